/*
 * edition.h: one configuration and the binary that read it, with what was opened for them: what a keeper and workers
 * are started from. There is one that serves, and in an upgrade the next one beside it.
 * Owns: everything in it. Runs in: the supervisor. Fails: with words.
 */
#ifndef CRESCENT_SUPERVISE_EDITION_H
#define CRESCENT_SUPERVISE_EDITION_H

#include "base/config.h"
#include "shm/area.h"
#include "supervise/snapshots.h"
#include "supervise/sockets.h"

struct edition {
    uint32_t number; /* its generation word in shared memory */
    char version[32];
    struct config config;
    int config_text; /* sealed, for its keeper */
    int binary;
    struct sockets sockets;
    struct snapshots snapshots; /* that were made under this configuration; or, at first, what came before them */
};

/* Nothing is opened yet. Takes all that it is given, config too (*config is empty then). */
struct edition *edition_new(uint32_t number, const char *version, struct config *config, int config_text, int binary);
/* keep: the set of sockets that stays (see sockets_close); may be NULL. */
void edition_free(struct edition **e, const struct sockets *keep);
/*
 * Its configuration, sealed, for a child that meets strangers or runs their scripts: without the admin token, which is
 * the operator's. The caller closes it. -1 with words.
 */
int edition_open_text(const struct edition *e, struct error *err);
/* The snapshot that a new child of it starts from, borrowed. A worker is born with none before its keeper has made one
 * live under this configuration. */
struct snapshot_held edition_snapshot(struct edition *e, struct area *a, bool worker);
/* The snapshot that it starts with: what `before` has live. -1: no descriptor is left. */
int edition_inherit(struct edition *e, struct edition *before, struct area *a);

#endif
