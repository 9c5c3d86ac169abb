/*
 * config_exec.c: see config_exec.h.
 */
#include "cli/config_exec.h"

#include <lauxlib.h>
#include <math.h>

#define EXPECTED "expected true, false or a list of programs"

static int add(struct config *c, struct slice name, struct error *err)
{
    if (name.len == 0)
        return error_set(err, EXPECTED ", got an empty name");
    if (slice_find(name, '\0') != SIZE_MAX)
        return error_set(err, EXPECTED ", got a name with a NUL byte");
    config_add_exec(c, name);
    return 0;
}

/* A list has positions only: what is between or beside them would be a program that is silently not allowed. */
static int check_positions(lua_State *L, size_t count, struct error *err)
{
    size_t keys = 0;

    for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1)) {
        lua_Number at = lua_type(L, -2) == LUA_TNUMBER ? lua_tonumber(L, -2) : 0;

        if (at < 1 || at > (lua_Number)count || at != floor(at)) {
            lua_pop(L, 2);
            return error_set(err, EXPECTED ", got a table with names or gaps");
        }
        keys++;
    }
    return keys == count ? 0 : error_set(err, EXPECTED ", got a table with names or gaps");
}

static int add_list(lua_State *L, struct config *c, struct error *err)
{
    size_t count = lua_objlen(L, -1);
    int result = check_positions(L, count, err);

    for (size_t i = 1; i <= count && result == 0; i++) {
        struct slice name = SLICE_NONE;

        lua_rawgeti(L, -1, (int)i);
        if (lua_type(L, -1) == LUA_TSTRING) {
            name.at = lua_tolstring(L, -1, &name.len);
            result = add(c, name, err);
        } else {
            result = error_set(err, EXPECTED ", got a %s in it", luaL_typename(L, -1));
        }
        lua_pop(L, 1);
    }
    return result;
}

int config_exec_value(lua_State *L, struct config *c, struct error *err)
{
    config_forget_exec(c);
    switch (lua_type(L, -1)) {
    case LUA_TBOOLEAN:
        c->exec_any = lua_toboolean(L, -1);
        return 0;
    case LUA_TTABLE:
        return add_list(L, c, err);
    default:
        return error_set(err, EXPECTED ", got a %s", luaL_typename(L, -1));
    }
}

int config_exec_text(struct slice text, struct config *c, struct error *err)
{
    struct slice name;

    config_forget_exec(c);
    c->exec_any = slice_equal(text, SLICE("true")) || slice_equal(text, SLICE("1"));
    if (c->exec_any || slice_equal(text, SLICE("false")) || slice_equal(text, SLICE("0")))
        return 0;
    while (slice_cut(&text, ',', &name))
        if (add(c, slice_trim(name), err) != 0)
            return -1;
    return 0;
}
