/*
 * sandbox_globals.h: what every script is given: Lua's libraries less what blocks or escapes, and the globals of bind/.
 * Runs in: the state's thread. Fails: Lua errors.
 */
#ifndef CRESCENT_SCRIPT_SANDBOX_GLOBALS_H
#define CRESCENT_SCRIPT_SANDBOX_GLOBALS_H

#include <lua.h>
#include <stdbool.h>

/* Builds the table of globals (state->globals) and the metatable of environments; open adds to it. [-0,+0,e] */
void sandbox_globals_open(lua_State *L, void (*open)(lua_State *L));
/*
 * Pushes the script's own copy of the global `name` (a table is copied: what one script changes, no other sees), or
 * returns false, with nothing pushed. A name that open refuses raises. [-0,+(0|1),e]
 */
bool sandbox_globals_push(lua_State *L, const char *name);
/* Whether it is one of them. [-0,+0,m] */
bool sandbox_globals_known(lua_State *L, const char *name);
/* Raises: there is no such global; names the nearest, or says that the sandbox took it. */
int sandbox_globals_fault(lua_State *L, const char *name);
/* Pushes what `require name` gives of the libraries, a copy of its own; false: no such library. [-0,+(0|1),e] */
bool sandbox_globals_library(lua_State *L, const char *name);

#endif
