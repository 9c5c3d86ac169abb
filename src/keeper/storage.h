/*
 * storage.h: the store in the keeper's life: where it is, whether this keeper may serve without it, and whether it may
 * be made.
 *
 * What nothing is served by yet (a start, an upgrade) is refused when its store cannot be opened. The one exception is
 * the default store in a folder that cannot be written: whoever named none may need none. A keeper that takes the place
 * of one that died goes on without: the workers serve, what needs the store is a 503, and the store is tried again each
 * second.
 *
 * A store that was open once in this server's life is never made anew: an empty one in its place would look like all
 * was well.
 *
 * Owns: the store. Runs in: the keeper's loop. Fails: as said.
 */
#ifndef CRESCENT_KEEPER_STORAGE_H
#define CRESCENT_KEEPER_STORAGE_H

#include "base/config.h"
#include "shm/area.h"
#include "store/store.h"

struct storage;

struct storage_host { /* all of it outlives the storage */
    struct loop *loop;
    const struct config *config;
    struct area *area;
    void (*ready)(void *cookie);                    /* once: this keeper can serve */
    void (*refused)(void *cookie, const char *why); /* once, in place of ready */
    void *cookie;
};

/* ready or refused are told from the loop. NULL with words: no thread can be started. */
struct storage *storage_new(const struct storage_host *host, struct error *err);
struct store *storage_store(struct storage *s);
/* Ends it, within `most`; after that the process must end. Leaves NULL. */
void storage_free(struct storage **s, dur_t most);

#endif
