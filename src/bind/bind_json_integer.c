/*
 * bind_json_integer.c: json.integer, an integer that a Lua number cannot hold exactly, as its decimal digits. It
 * prints, joins and compares; it does not calculate, and says how to. Owns nothing: the digits are in the userdata.
 * Runs in: the state's thread. Fails: Lua errors.
 */
#include "bind/bind_json_internal.h"
#include <lauxlib.h>

struct integer {
    size_t len;
    char digits[]; /* as JSON has them: an optional '-', no leading zero */
};

void bind_json_integer_push(lua_State *L, struct slice digits, int meta)
{
    struct integer *n = lua_newuserdata(L, sizeof(*n) + digits.len);
    n->len = digits.len;
    memcpy(n->digits, digits.at, digits.len);
    lua_pushvalue(L, meta);
    lua_setmetatable(L, -2);
}

bool bind_json_integer(lua_State *L, int index, struct slice *digits_out)
{
    if (lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index))
        return false;
    bool is = lua_topointer(L, -1) == bind_json_of(L)->integer;
    lua_pop(L, 1);
    if (is) {
        const struct integer *n = lua_touserdata(L, index);
        *digits_out = (struct slice){n->digits, n->len};
    }
    return is;
}

static int integer_tostring(lua_State *L)
{
    struct slice digits = SLICE_NONE;
    luaL_argcheck(L, bind_json_integer(L, 1, &digits), 1, "json.integer expected");
    lua_pushlstring(L, digits.at, digits.len);
    return 1;
}

static void push_text(lua_State *L, int index)
{
    struct slice digits;
    if (bind_json_integer(L, index, &digits))
        lua_pushlstring(L, digits.at, digits.len);
    else if (lua_isstring(L, index))
        lua_pushvalue(L, index);
    else
        luaL_error(L, "attempt to concatenate a json.integer and a %s", luaL_typename(L, index));
}

static int integer_concat(lua_State *L)
{
    push_text(L, 1);
    push_text(L, 2);
    lua_concat(L, 2);
    return 1;
}

/* Below, equal, above zero as a is below, equal, above b. */
static int compare(struct slice a, struct slice b)
{
    bool a_negative = a.at[0] == '-', b_negative = b.at[0] == '-';
    if (a_negative != b_negative)
        return a_negative ? -1 : 1;
    int order = a.len != b.len ? (a.len < b.len ? -1 : 1) : memcmp(a.at, b.at, a.len);
    return a_negative ? -order : order;
}

static int compare_arguments(lua_State *L)
{
    struct slice side[2];
    for (int i = 0; i < 2; i++) {
        if (!bind_json_integer(L, i + 1, &side[i]))
            return luaL_error(L,
                              "attempt to compare a json.integer with a %s; tonumber(tostring(x)) makes it a number, "
                              "rounded to 53 bits",
                              luaL_typename(L, i + 1));
    }
    return compare(side[0], side[1]);
}

static int integer_eq(lua_State *L)
{
    struct slice a, b;
    lua_pushboolean(L, bind_json_integer(L, 1, &a) && bind_json_integer(L, 2, &b) && slice_equal(a, b));
    return 1;
}

static int integer_lt(lua_State *L)
{
    lua_pushboolean(L, compare_arguments(L) < 0);
    return 1;
}

static int integer_le(lua_State *L)
{
    lua_pushboolean(L, compare_arguments(L) <= 0);
    return 1;
}

static int integer_arithmetic(lua_State *L)
{
    return luaL_error(L, "a json.integer keeps its digits and does not calculate; tonumber(tostring(x)) makes it a "
                         "number, rounded to 53 bits");
}

static const luaL_Reg metamethods[] = {{"__tostring", integer_tostring},
                                       {"__concat", integer_concat},
                                       {"__eq", integer_eq},
                                       {"__lt", integer_lt},
                                       {"__le", integer_le},
                                       {"__add", integer_arithmetic},
                                       {"__sub", integer_arithmetic},
                                       {"__mul", integer_arithmetic},
                                       {"__div", integer_arithmetic},
                                       {"__mod", integer_arithmetic},
                                       {"__pow", integer_arithmetic},
                                       {"__unm", integer_arithmetic},
                                       {NULL, NULL}};

void bind_json_integer_open(lua_State *L)
{
    lua_createtable(L, 0, 16);
    luaL_setfuncs(L, metamethods, 0);
    lua_pushliteral(L, "json.integer");
    lua_setfield(L, -2, "__metatable");
    lua_pushliteral(L, "json.integer");
    lua_setfield(L, -2, "__name");
}
