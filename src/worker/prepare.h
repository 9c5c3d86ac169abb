/*
 * prepare.h: a snapshot → a generation in this worker's Lua state: aside, a slice at a time between requests, so that
 * the flip costs nothing; at once when a request meets a generation word whose snapshot is not prepared yet. Scripts
 * whose version did not change keep their endpoint.
 * Owns: the live generation, the one prepared aside, the one being prepared. Runs in: the worker's loop.
 * Fails: a script that does not load here is told to the keeper, and served as it was before; a snapshot that cannot
 * be read is logged, the live generation stays.
 */
#ifndef CRESCENT_WORKER_PREPARE_H
#define CRESCENT_WORKER_PREPARE_H

#include "base/error.h"
#include "io/loop.h"
#include "ipc/messages.h"
#include "load/load.h"
#include "route/generation.h"
#include "shm/area.h"

struct prepare;
struct redact;

struct prepare_host {
    struct loop *loop;
    struct load *load;
    struct redact *redact; /* has learned what env gives to the scripts that load */
    struct area *area;
    uint32_t slot, incarnation;
    void (*tell)(void *cookie, const struct message *m); /* the keeper; nothing when it is away */
    void (*hear)(void *cookie);                          /* handles what the keeper has sent by now */
    void (*live)(void *cookie);                          /* there is a live generation (once) */
    void *cookie;
};

struct prepare *prepare_new(const struct prepare_host *host);
/* All requests must be over. */
void prepare_free(struct prepare **p);
/* The snapshot that was live when this process was made: prepared whole, now. Takes the descriptor. */
int prepare_inherited(struct prepare *p, uint64_t generation, int snapshot, struct error *err);
/* A new keeper: what the old one had begun counts no more. Returns the generation to greet it with. */
uint64_t prepare_new_keeper(struct prepare *p);
/* What of the inherited snapshot did not load here, told after the greeting. */
void prepare_confess(struct prepare *p);
/* The keeper's order. Takes the descriptor. */
void prepare_begin(struct prepare *p, uint64_t generation, int snapshot);
/* The live generation by the word, or NULL (none yet). Borrowed until the loop's next pass. */
struct generation *prepare_live(struct prepare *p);

#endif
