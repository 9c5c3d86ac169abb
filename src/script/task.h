/*
 * task.h: one coroutine run from its start to its end: the only caller of lua_resume. Coroutines are pooled.
 * A task ends exactly once: it returns, fails, or is cancelled. It is anchored in the registry until then.
 * Owns: the coroutine, the await in progress. Runs in: the state's thread, from the loop. See await.h for waits.
 */
#ifndef CRESCENT_SCRIPT_TASK_H
#define CRESCENT_SCRIPT_TASK_H

#include "base/list.h"
#include "script/state.h"

struct task;

enum task_end { TASK_RETURNED, TASK_FAILED, TASK_LEFT };

/*
 * Told once at the end, unless the task was cancelled. RETURNED: the results are on co's stack, `count` of them from
 * index 1. FAILED: the error value is at the top of co's stack (see error.h). LEFT: likewise what task_leave was given.
 * The stack is gone after this returns.
 */
typedef void task_done_fn(enum task_end end, lua_State *co, int count, void *cookie);

/*
 * Starts one: pops a function and `nargs` arguments from L (the state's main thread) and runs them up to the first wait
 * or the end. name, version: the script, for the progress slot and messages (must outlive the task). max_run: CPU time
 * that each of its stretches may take; one that takes longer is interrupted, and the task has failed.
 * Returns the task when it is suspended, NULL when it has ended already (done was called).
 */
struct task *task_start(struct state *s, int nargs, const char *name, uint64_t version, dur_t max_run,
                        task_done_fn *done, void *cookie);
/*
 * The same, without arguments, as a part of `whole`, which is suspended: under its script's name and limits, and its
 * log lines carry the same labels. Whoever starts parts ends them when `whole` ends.
 */
struct task *task_start_part(struct task *whole, task_done_fn *done, void *cookie);
/* The task that it is a part of, in the end; of none: itself. NULL gives NULL. */
const struct task *task_whole(const struct task *t);
/*
 * For a C function that a script calls: `return task_leave(L, "drop");` ends the whole task of the one that runs, with
 * the value at the top of the stack. Nothing of the script runs any more: no pcall holds it, no coroutine of its own,
 * no callback of table.sort or string.gsub, and its other parts are cancelled. Raises while the script loads, naming
 * the function.
 */
int task_leave(lua_State *L, const char *name);
/* Ends a suspended task: its await is cancelled, nothing of the script runs any more, done is not called. Leaves NULL.
 */
void task_cancel(struct task **t);
/*
 * Something that belongs to a task without being waited for: `ended` is called once at the task's end, `returned`: it
 * came to its end by itself; else it failed or was cancelled. It must not touch Lua. What belongs to a part that
 * returns passes to the task that called it.
 */
struct task_belonging { /* born as {0}; lives in the thing */
    struct list link;
    void (*ended)(struct task_belonging *b, bool returned);
};
void task_belongs(struct task *t, struct task_belonging *b, void (*ended)(struct task_belonging *b, bool returned));
/* It belongs to none any more, which is fine too. */
void task_belongs_not(struct task_belonging *b);
/* The one that runs now, or NULL. */
struct task *task_current(const struct state *s);
/* How many are suspended or running in this state. */
size_t task_count(const struct state *s);

#endif
