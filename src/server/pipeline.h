/*
 * pipeline.h: THE PATH: the ordered table of steps, and the loop that walks it. Read pipeline.c, then steps.c.
 * Runs in: the worker's thread.
 */
#ifndef CRESCENT_SERVER_PIPELINE_H
#define CRESCENT_SERVER_PIPELINE_H

struct server;
struct st_h2o_req_t;

/* A request has arrived as a whole: walks it as far as it goes now. libh2o's request is taken on. */
void pipeline_begin(struct server *s, struct st_h2o_req_t *req);

#endif
