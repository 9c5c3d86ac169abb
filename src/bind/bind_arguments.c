/*
 * bind_arguments.c: see bind_arguments.h.
 */
#include "bind/bind_arguments.h"
#include <lauxlib.h>

void bind_arguments(lua_State *L, int own, int most, const char *what)
{
    int given = lua_gettop(L) - own;
    if (given > most)
        luaL_error(L, "%s: expected at most %d argument%s, got %d", what, most, most == 1 ? "" : "s", given);
}
