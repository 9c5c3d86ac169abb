/*
 * interrupt.h: ends a stretch of Lua that has used up its CPU time, wherever it is in Lua: interpreted or compiled, in
 * a coroutine or under a pcall. A tick of the thread's own CPU time (none while it sleeps, no system call for a
 * request) finds the stretch that runs, and past its limit sets a hook that raises, again and again, until the stretch
 * is over. Compiled code asks no hook. It asks LuaJIT's profiler, at each line, once that was started: interrupt_open
 * starts it, stops its clock, and has the tick do what that clock would have done. What is in a C function is not
 * reached: the supervisor's watchdog ends it with its process. Owns: SIGVTALRM, one timer and LuaJIT's profiler, for
 * one state in a process. Runs in: the state's thread; the tick in a signal handler on it. Fails: see interrupt_open.
 */
#ifndef CRESCENT_SCRIPT_INTERRUPT_H
#define CRESCENT_SCRIPT_INTERRUPT_H

#include "base/time.h"
#include <lua.h>
#include <stdbool.h>

/*
 * The tick begins. compiler: whether LuaJIT's compiler is on. Proves that a compiled loop can be interrupted: false
 * when it cannot, and then the compiler must be switched off. A process that cannot have a timer panics. [-0,+0,m]
 */
bool interrupt_open(lua_State *L, bool compiler);
void interrupt_close(lua_State *L);

/* A stretch begins that may use so much CPU time, measured from the first tick that meets it: never too short. */
void interrupt_begin(dur_t limit);
/* It has ended; no hook is left. Whether it was interrupted (be it that the script caught that). */
bool interrupt_end(void);
/* What was raised in the stretch that was interrupted last: "hooks/x.lua:2: ran for longer than max_run (250ms)". */
const char *interrupt_words(void);
/*
 * For C that may take long over what a script gave it, and that no hook reaches: to be asked now and then (it costs
 * next to nothing). True: the time is used up, and the stretch counts as interrupted; the caller fails, with
 * interrupt_words.
 */
bool interrupt_due(lua_State *L);
/* Whether the stretch that runs is being interrupted. */
bool interrupt_under_way(void);

#endif
