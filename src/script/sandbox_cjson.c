/*
 * sandbox_cjson.c: see sandbox_cjson.h. What is to be encoded is walked before, as cjson does it, and its bytes are
 * summed up: the text may be longer by what is escaped, at most six times as long.
 * Owns: nothing. Runs in: the state's thread. Fails: Lua errors.
 */
#include "script/sandbox_cjson.h"
#include "script/error.h"
#include "script/interrupt.h"

#include <lauxlib.h>
#include <math.h>

#define TEXT_MAX ((size_t)64 << 20) /* as json.encode has it */
#define TEXT_WORDS "cjson.encode: the text is larger than 64 MiB"

struct measure {
    lua_State *L;
    size_t size;
    double ratio, safe; /* of sparse arrays: see gaps */
    bool late;
};

static bool add(struct measure *m, double bytes)
{
    if (bytes > (double)(TEXT_MAX - m->size))
        return false;
    m->size += (size_t)bytes;
    return true;
}

/* The nulls of an array with this last position: cjson writes them unless it is one of those that it calls sparse. */
static double gaps(const struct measure *m, double last, double items)
{
    bool sparse = m->ratio > 0 && last > items * m->ratio && last > m->safe;
    return sparse ? 0 : 5 * (last - items);
}

static bool measure(struct measure *m, int index);

static bool measure_table(struct measure *m, int index)
{
    lua_State *L = m->L;
    double last = 0, items = 0;
    bool array = true;
    if (!lua_checkstack(L, 3)) /* cjson goes no deeper either */
        return true;
    for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1), items++) {
        double key = lua_type(L, -2) == LUA_TNUMBER ? lua_tonumber(L, -2) : 0;
        array = array && key >= 1 && key == floor(key);
        last = key > last ? key : last;
        if ((!array && !measure(m, lua_gettop(L) - 1)) || !measure(m, lua_gettop(L))) {
            lua_pop(L, 2);
            return false;
        }
    }
    return !array || add(m, gaps(m, last, items));
}

/* Whether the value at this positive index has room in the text. */
static bool measure(struct measure *m, int index)
{
    if (interrupt_due(m->L)) {
        m->late = true;
        return false;
    }
    int type = lua_type(m->L, index);
    if (!add(m, type == LUA_TSTRING ? 2 + (double)lua_objlen(m->L, index) : type == LUA_TTABLE ? 2 : 6))
        return false;
    return type != LUA_TTABLE || measure_table(m, index);
}

/* Upvalues: the encode and the encode_sparse_array that are cjson's own, and whether it is one of cjson.safe. */
static int encode(lua_State *L)
{
    struct measure m = {.L = L};
    int count = lua_gettop(L);
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_call(L, 0, 3); /* convert, ratio, safe */
    m.ratio = lua_tonumber(L, -2);
    m.safe = lua_tonumber(L, -1);
    lua_settop(L, count);
    if (count == 1 && !measure(&m, 1)) {
        if (m.late)
            return luaL_error(L, "%s", interrupt_words());
        if (!lua_toboolean(L, lua_upvalueindex(3)))
            return script_error_words(L, TEXT_WORDS);
        lua_pushnil(L);
        lua_pushliteral(L, TEXT_WORDS);
        return 2;
    }
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, count, LUA_MULTRET);
    return lua_gettop(L);
}

/* Upvalues: cjson's own, and whether it is that of cjson.safe. */
static int make(lua_State *L)
{
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_call(L, 0, 1);
    sandbox_cjson_bound(L, lua_toboolean(L, lua_upvalueindex(2)));
    return 1;
}

void sandbox_cjson_bound(lua_State *L, bool safe)
{
    luaL_checkstack(L, 4, "cjson");
    lua_getfield(L, -1, "encode");
    lua_getfield(L, -2, "encode_sparse_array");
    lua_pushboolean(L, safe);
    lua_pushcclosure(L, encode, 3);
    lua_setfield(L, -2, "encode");
    lua_getfield(L, -1, "new");
    lua_pushboolean(L, safe);
    lua_pushcclosure(L, make, 2);
    lua_setfield(L, -2, "new");
}
