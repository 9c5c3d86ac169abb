/*
 * embedded.c: looks a Lua file up in the table that the build generates, and runs it. See embedded.h.
 * Owns: nothing. Runs in: the state's thread.
 */
#include "script/embedded.h"

#include <lauxlib.h>
#include <string.h>

/* Made by scripts/embed.cmake; ends with a NULL name. */
extern const struct {
    const char *name;
    const unsigned char *bytes;
    size_t len;
} embedded_files[];

int script_embedded_load(lua_State *L, const char *name)
{
    size_t i = 0;

    while (embedded_files[i].name != NULL && strcmp(embedded_files[i].name, name) != 0)
        i++;
    if (embedded_files[i].name == NULL)
        return luaL_error(L, "no embedded file %s.lua", name);
    lua_pushfstring(L, "=crescent/%s.lua", name);
    if (luaL_loadbufferx(L, (const char *)embedded_files[i].bytes, embedded_files[i].len, lua_tostring(L, -1), "t") !=
        0)
        return lua_error(L);
    lua_remove(L, -2);
    lua_call(L, 0, 1);
    return 1;
}
