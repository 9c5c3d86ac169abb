/*
 * sweep.h: the timeouts that libh2o 2.2.5 lacks or measures wrongly: every second (or oftener, for short limits) all
 * connections are looked at, and those that are too slow in sending a header or a body, in taking an answer in, or
 * in doing anything, are cut. Finds the clients that have gone from a waiting HTTP/1 request.
 * Runs in: the worker's thread. Never fails.
 */
#ifndef CRESCENT_SERVER_SWEEP_H
#define CRESCENT_SERVER_SWEEP_H

struct server;

void sweep_start(struct server *s);

#endif
