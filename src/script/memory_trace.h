/*
 * memory_trace.h: memory that runs out in compiled code. LuaJIT 2.1 (Debian's of 2023) raises "not enough memory" there
 * from a frame that it has not brought up to date, and reads whatever that points to: the process ends. So before an
 * allocation is refused, the frame is set to what compiled code keeps beside it. Where LuaJIT keeps that is in no
 * header: it is found, and proved, by watching a loop run without the compiler and with it.
 * Owns nothing. Runs in: the state's thread. Fails: not found; then the state must run without the compiler.
 */
#ifndef CRESCENT_SCRIPT_MEMORY_TRACE_H
#define CRESCENT_SCRIPT_MEMORY_TRACE_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#define MEMORY_TRACE_WORDS 64 /* of LuaJIT's global state that are looked at */

struct memory_trace { /* born as {0} */
    size_t word;      /* which one of the global state holds the frame of compiled code; 0: not known */
    /* While it is looked for: */
    void **global;
    lua_State *runs;                /* the coroutine of the loop */
    bool compiling;                 /* the second run */
    bool used[MEMORY_TRACE_WORDS];  /* not zero at some allocation of the first run */
    bool found[MEMORY_TRACE_WORDS]; /* zero in the first run, the frame's place in the second */
};

/* Looks for it; the compiler must be on, and is on afterwards. False: not found. [-0,+0] */
bool memory_trace_find(lua_State *L, struct memory_trace *t);
/* Of the allocator: an allocation happens. Only while it is looked for. */
void memory_trace_watch(struct memory_trace *t);
/* Of the allocator: an allocation is about to be refused. */
void memory_trace_settle(const struct memory_trace *t);

#endif
