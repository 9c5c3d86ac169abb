/*
 * limit.h: bounds the CPU time of Lua that nobody supervises: a script's top level in the trial and in check, and
 * crescent.lua. Past the first limit a hook raises "file:line: <what> ran longer than 250ms", as often as it takes; a
 * second later (stuck in a C function, where no hook fires) the process ends with LIMIT_STUCK.
 * The compiler must be off in that state: compiled loops ask no hook (lua_sethook in a signal handler is allowed).
 * Owns: SIGVTALRM of the process, a timer between begin and end. Runs in: a process with one thread that may die.
 */
#ifndef CRESCENT_LOAD_LIMIT_H
#define CRESCENT_LOAD_LIMIT_H

#include "base/time.h"
#include <lua.h>

#define LIMIT_STUCK 1 /* exit status of a process that could not be interrupted */

/* From now on. what: "top level"; must stay valid until limit_end. */
void limit_begin(lua_State *L, const char *what, dur_t most);
void limit_end(lua_State *L);
/* What to say on stderr before the process ends stuck, or NULL: nothing. Must stay valid. */
void limit_last_words(const char *words);

#endif
