/*
 * server.h: the request path of one worker, as its process sees it. See pipeline.h for the steps.
 * Owns: h2o's context, connections, exchanges in progress. Runs in: the worker's thread.
 */
#ifndef CRESCENT_SERVER_SERVER_H
#define CRESCENT_SERVER_SERVER_H

#include "base/config.h"
#include "base/error.h"
#include "ipc/heritage.h"
#include "route/generation.h"
#include "script/state.h"
#include "shm/area.h"

struct records_sink;
struct redact;
struct server;
struct loop;

struct server_host { /* what the worker gives it */
    struct loop *loop;
    struct state *state;
    const struct config *config;
    struct area *area;
    uint32_t slot, member;           /* this worker's */
    const struct heritage *heritage; /* listening sockets */
    struct redact *redact;           /* what never reaches the log */
    struct records_sink *records;    /* where exchanges are recorded; NULL: nowhere */
    /* The live generation now, or NULL (then 503): looks at the generation word, prepares what is owed. Borrowed. */
    struct generation *(*generation)(void *cookie);
    void *cookie;
};

struct server *server_new(const struct server_host *host, struct error *err);
/* Begins to accept on its own members and the shared sockets. */
void server_listen(struct server *s);
/* Accepts on the members of worker `member` too (its owner is dead or stuck), or no more. */
void server_adopt(struct server *s, uint32_t member, bool on);

#endif
