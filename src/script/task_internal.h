/*
 * task_internal.h: what await.c, nested.c and state.c must know of a task.
 */
#ifndef CRESCENT_SCRIPT_TASK_INTERNAL_H
#define CRESCENT_SCRIPT_TASK_INTERNAL_H

#include "base/buf.h"
#include "script/task.h"
#include "script/turns.h"

#define TASK_MAGIC 0x7a5c0001u

struct await;

struct task {
    unsigned magic;
    struct state *state;
    lua_State *co;
    int anchor; /* registry reference of co */
    const char *name;
    uint64_t version;
    dur_t max_run;
    task_done_fn *done;
    void *cookie;
    struct list link;    /* in state.tasks */
    struct await *await; /* the wait in progress, or NULL */
    uint64_t wait;       /* its number */
    struct turn turn;    /* its wait is over, and it stands in line to go on with */
    int values;          /* so many */
    struct task *whole;  /* it is a part of this one (script/parallel), or NULL */
    unsigned depth;      /* how many there are above it */
    void *labels;        /* the cookie that its log lines are labelled by: the outermost task's */
    int left;            /* registry reference of what task_leave was given; LUA_NOREF: it has not been called */
    int traced;          /* registry reference of what a part of it raised last; LUA_NOREF: none did. With it: */
    struct buf trace;    /* where that came from: script_error_keep_trace */
    struct list belongings;
    struct task *next; /* in the pool */
};

/* Goes on with a suspended task, now or in its turn: `count` values for its wait are at the top of its coroutine's
 * stack. */
void task_resume(struct task *t, int count);
/* Ends a suspended task, whose wait is over, with the value that is at the top of its coroutine's stack. */
void task_stop(struct task *t, enum task_end how);
/* Cancels its wait, if it has one: nobody waits for it any more. */
void task_drop_wait(struct task *t);
/*
 * What met the ceiling has left garbage up to it: without this the next stretch would meet it at once. Between
 * stretches.
 */
void task_tidy(struct state *s);
/* After the end of a task that met the ceiling (state->overfull): all that it held is garbage now. */
void task_collect(struct state *s);
/* Gives the pool back; before lua_close. */
void task_free_idle(struct state *s);

#endif
