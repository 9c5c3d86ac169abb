/*
 * pool.h: a few helper threads for what may wait on a disk. A job runs on one of them and is then told as done on the
 * loop; it lives in the operation's own struct, and while it is in the pool's hands nothing else touches what `run`
 * uses: no Lua, no h2o, nothing of a request.
 * Owns: the threads, started at first need, which end with the process or with pool_free. Runs in: the loop's thread,
 * but `run`. Fails: pool_submit only, when not one thread can be started.
 */
#ifndef CRESCENT_IO_POOL_H
#define CRESCENT_IO_POOL_H

#include "base/error.h"
#include "io/loop.h"

struct pool;

struct pool_job {
    struct list link;
    void (*run)(struct pool_job *job); /* on a helper thread, all signals blocked */
    void (*done)(
        struct pool_job *job); /* on the loop, exactly once after `run`; may free the job, or submit it again */
};

/* No thread runs yet. */
struct pool *pool_new(struct loop *l);
/* Every job must have been told as done. Waits for the threads to leave. Leaves NULL. */
void pool_free(struct pool **p);
/*
 * Hands a job over, first in, first out; the job is the pool's until `done` is called, never inside this call.
 * An operation whose asker has gone marks itself and ends in its next `done`: nothing is taken back from a thread.
 * -1 with words: no thread can be started, the job is the caller's as before. That can only happen to the first one.
 */
int pool_submit(struct pool *p, struct pool_job *job, struct error *err);
/*
 * Whether so much is waiting that new operations must be refused. Those that have begun go on: each has at most one job
 * here, so their number bounds the queue.
 */
bool pool_full(const struct pool *p);

#endif
