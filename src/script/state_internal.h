/*
 * state_internal.h: what the files of script/ share of one state. Nobody else includes it.
 */
#ifndef CRESCENT_SCRIPT_STATE_INTERNAL_H
#define CRESCENT_SCRIPT_STATE_INTERNAL_H

#include "io/loop.h"
#include "script/fullness.h"
#include "script/holdings.h"
#include "script/memory.h"
#include "script/sandbox.h"
#include "script/task.h"
#include "script/turns.h"

#define STATE_MAGIC 0x57a7e001u
#define STATE_POINTERS_MAX 24
#define STATE_LEVELS 200 /* as in Lua 5.1 itself */

struct state {
    struct memory memory; /* first: the allocator's ud is the state */
    unsigned magic;
    lua_State *L; /* the main thread */
    const struct script_host *host;
    char *stack_limit; /* C stack below this address is left for calls that are bounded by themselves */

    unsigned loading;                /* sandbox_load calls under way, within each other */
    struct sandbox_modules *modules; /* of the innermost of them */
    lua_State *load_on;              /* the coroutine that required; else the main thread */
    const void *load_env;            /* address of the environment that is loading */
    const char *load_name;           /* of the innermost, for the log */
    int globals;                     /* registry references: what every script is given */
    int check_globals;               /* lua/crescent/globals.lua's function */
    int real_require;                /* Lua's own */

    struct holdings_list loaded; /* every script and module */
    struct fullness fullness;

    struct task *current; /* runs now */
    struct task *ending;  /* its end is told now */
    struct list tasks;    /* suspended and running */
    struct turns turns;   /* their stretches that are due */
    uint64_t wait_count;  /* waits begun, ever */
    bool inside;          /* a stretch runs: script/stretch; of it, or of the last one: */
    bool preparing;       /* its generation is not live yet */
    uint64_t stretch_version;
    dur_t stretch_limit;
    mono_t tidied;     /* the pass of the loop in which garbage was last collected as a whole, */
    dur_t tidying;     /* and how long that took in it */
    bool overfull;     /* likewise: it met the memory ceiling; with a part its whole task ends */
    bool interrupted;  /* while its end is told: the task's last stretch was */
    struct task *idle; /* pooled */
    size_t task_count, idle_count;
    const char *levels[STATE_LEVELS]; /* frames of C functions that call the script back: script/nested */
    unsigned level_count;
    bool no_wait; /* inside a coroutine that was resumed from a callback that cannot yield */

    struct loop_later collect; /* the collector goes on, a little in each pass */
    unsigned cycles;           /* of it that are still to be ended */

    struct {
        const void *key;
        void *pointer;
        void (*release)(void *);
    } pointers[STATE_POINTERS_MAX];
    size_t pointer_count;
};

/*
 * Something large may be garbage now (a script, with all it kept and the files it had open): collects it soon, a little
 * in each pass of the loop, where there is one. Never raises.
 */
void state_collect(struct state *s);

#endif
