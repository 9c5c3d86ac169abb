/*
 * config_list.c: see config_list.h.
 */
#include "cli/config_list.h"

#include "script/table.h"

#include <lauxlib.h>

int config_list_each(lua_State *L, int type, const char *expected, config_list_add *add, struct config *c,
                     struct error *err)
{
    size_t count;
    int result = 0;

    if (!table_is_list(L, -1, &count, err))
        return error_prefix(err, "%s", expected);
    for (size_t i = 1; i <= count && result == 0; i++) {
        lua_rawgeti(L, -1, (int)i);
        result = lua_type(L, -1) == type ? add(L, c, err)
                                         : error_set(err, "%s, got a %s in it", expected, luaL_typename(L, -1));
        lua_pop(L, 1);
    }
    return result;
}
