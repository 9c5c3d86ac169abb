/*
 * failure.c: a table with code and words, and a metatable that makes it words wherever a script uses it as text.
 * See failure.h. Owns nothing. Runs in: the state's thread.
 */
#include "script/failure.h"
#include <lauxlib.h>

static const char meta; /* registry key: its address */

enum { WORDS = 1, OPTIONAL = 2 }; /* positions in the table; `code` and further fields stand by their names */

static int to_string(lua_State *L)
{
    struct slice words;
    if (!failure_words(L, 1, &words))
        return luaL_argerror(L, 1, "expected an error value");
    lua_pushlstring(L, words.at, words.len);
    return 1;
}

/* "could not save: " .. err */
static int concat(lua_State *L)
{
    struct slice words;
    for (int i = 1; i <= 2; i++) {
        if (failure_words(L, i, &words))
            lua_pushlstring(L, words.at, words.len);
        else if (lua_type(L, i) == LUA_TSTRING || lua_type(L, i) == LUA_TNUMBER)
            lua_pushvalue(L, i);
        else
            return luaL_error(L, "attempt to concatenate a %s value", luaL_typename(L, i));
    }
    lua_concat(L, 2);
    return 1;
}

/* Text, not a pointer: a script may have overwritten it. */
static bool is_optional(lua_State *L)
{
    struct slice names, name, field;
    lua_rawgeti(L, 1, OPTIONAL);
    if (lua_type(L, -1) != LUA_TSTRING)
        return false;
    names.at = lua_tolstring(L, -1, &names.len);
    field.at = lua_tolstring(L, 2, &field.len);
    while (slice_cut(&names, ' ', &name))
        if (slice_equal(name, field))
            return true;
    return false;
}

static int no_field(lua_State *L)
{
    if (lua_type(L, 2) == LUA_TSTRING && !(lua_istable(L, 1) && is_optional(L)))
        return luaL_error(L, "an error has no field '%s': it has code, and its words by tostring", lua_tostring(L, 2));
    return 0;
}

static void push_meta(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"__tostring", to_string}, {"__concat", concat}, {"__index", no_field}, {NULL, NULL}};
    lua_pushlightuserdata(L, (void *)&meta);
    lua_rawget(L, LUA_REGISTRYINDEX);
    if (!lua_isnil(L, -1))
        return;
    lua_pop(L, 1);
    lua_createtable(L, 0, 4);
    luaL_setfuncs(L, methods, 0);
    lua_pushliteral(L, "error");
    lua_setfield(L, -2, "__metatable");
    lua_pushlightuserdata(L, (void *)&meta);
    lua_pushvalue(L, -2);
    lua_rawset(L, LUA_REGISTRYINDEX);
}

/* The table at the top of the stack becomes one. */
static void finish(lua_State *L, const char *code, const char *words)
{
    lua_pushstring(L, words);
    lua_rawseti(L, -2, WORDS);
    lua_getfield(L, -1, "code");
    bool has_code = !lua_isnil(L, -1);
    lua_pop(L, 1);
    if (!has_code) {
        lua_pushstring(L, code);
        lua_setfield(L, -2, "code");
    }
    push_meta(L);
    lua_setmetatable(L, -2);
}

int failure_push(lua_State *L, const char *code, const char *words)
{
    luaL_checkstack(L, 6, "error");
    lua_pushnil(L);
    lua_createtable(L, 1, 1);
    finish(L, code, words);
    return 2;
}

int failure_push_with(lua_State *L, const char *code, const char *words, const char *optional)
{
    luaL_checkstack(L, 6, "error");
    lua_pushstring(L, optional);
    lua_rawseti(L, -2, OPTIONAL);
    finish(L, code, words);
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
}

bool failure_words(lua_State *L, int index, struct slice *words_out)
{
    if (!lua_istable(L, index) || !lua_getmetatable(L, index))
        return false;
    lua_pushlightuserdata(L, (void *)&meta);
    lua_rawget(L, LUA_REGISTRYINDEX);
    bool ours = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    if (!ours)
        return false;
    lua_rawgeti(L, index, WORDS);
    bool text = lua_type(L, -1) == LUA_TSTRING; /* a script may have overwritten it */
    if (text)
        words_out->at = lua_tolstring(L, -1, &words_out->len);
    lua_pop(L, 1);
    return text;
}
