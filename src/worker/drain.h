/*
 * drain.h: the orderly end of a worker: accept no more, finish what is under way, leave.
 * Runs in: the worker's loop. Never fails: at the deadline it leaves all the same.
 */
#ifndef CRESCENT_WORKER_DRAIN_H
#define CRESCENT_WORKER_DRAIN_H

#include "worker/internal.h"

/* replaced, gone: see server/drain.h. A second call may make a replacement a stop. */
void drain_begin(struct worker *w, dur_t within, bool replaced, struct slice gone);

#endif
