/*
 * rate_rules.c: see rate_rules.h.
 */
#include "load/rate_rules.h"
#include "bind/bind_verify.h"
#include "script/table.h"
#include <lauxlib.h>
#include <math.h>

#define EXPECTED "expected \"100/m\", { limit, per, burst, by }, a list of these, or \"none\""

static const char *const fields[] = {"limit", "per", "burst", "by"};
enum { LIMIT, PER, BURST, BY, FIELDS };

static struct slice text_at(lua_State *L, int index)
{
    struct slice text = SLICE_NONE;
    if (lua_type(L, index) == LUA_TSTRING)
        text.at = lua_tolstring(L, index, &text.len);
    return text;
}

/* A number of requests. */
static int read_count(lua_State *L, const char *field, uint64_t *count_out, struct error *err)
{
    double n = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : 0;
    if (n < 1 || n > 9e15 || floor(n) != n) {
        if (lua_type(L, -1) == LUA_TNUMBER)
            return error_set(err, "%s: expected a whole number from 1, got %.14g", field, n);
        return error_set(err, "%s: expected a number of requests, got a %s", field, luaL_typename(L, -1));
    }
    *count_out = (uint64_t)n;
    return 0;
}

/* "m", "30s", or seconds. */
static int read_period(lua_State *L, dur_t *per_out, struct error *err)
{
    struct slice text = text_at(L, -1);
    double n = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : 0;
    if (n >= 1 && n < 9e8 && floor(n) == n) {
        *per_out = DUR_S(n);
        return 0;
    }
    if (text.at != NULL && ratelimit_period(text, per_out))
        return 0;
    return error_set(err, "per: expected \"s\", \"m\", \"h\", \"d\", a duration like \"30s\", or a number of seconds");
}

/* Pops the value: a function is kept. */
static int read_by(lua_State *L, bool functions, struct key *by_out, struct error *err)
{
    struct slice text = text_at(L, -1);
    int done = 0;
    if (lua_type(L, -1) == LUA_TFUNCTION && functions) {
        *by_out = (struct key){.kind = KEY_FUNCTION, .function = bind_verify_ref(L)};
        return 0;
    }
    if (lua_type(L, -1) == LUA_TFUNCTION)
        done = error_set(err, "by: a function can be given in a script only");
    else if (text.at == NULL)
        done = error_set(err, "by: expected a key like \"ip\" or \"header:x-api-key\"%s, got a %s",
                         functions ? ", or a function" : "", luaL_typename(L, -1));
    else if (key_parse(text, by_out, err) != 0)
        done = error_prefix(err, "by");
    lua_pop(L, 1);
    return done;
}

/* The table at the top has these fields and no others. */
static int check_fields(lua_State *L, struct error *err)
{
    if (!table_is_plain(L, -1, err))
        return -1;
    for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1)) {
        struct slice name = text_at(L, -2);
        size_t i = 0;
        while (i < FIELDS && !slice_equal(name, slice_of(fields[i])))
            i++;
        if (i < FIELDS)
            continue;
        const char *near = name.at != NULL ? slice_nearest(name, fields, FIELDS) : NULL;
        if (name.at == NULL)
            error_set(err, "a field whose name is a %s", luaL_typename(L, -2));
        else
            error_set(err, "unknown field '%.*s%s'%s%s%s", SLICE_SHOWN(name, 60), near ? " (did you mean '" : "",
                      near ? near : "", near ? "'?)" : "");
        lua_pop(L, 2);
        return -1;
    }
    return 0;
}

static bool push_field(lua_State *L, int which)
{
    lua_pushstring(L, fields[which]);
    lua_rawget(L, -2);
    if (!lua_isnil(L, -1))
        return true;
    lua_pop(L, 1);
    return false;
}

/* { limit = …, per = …, burst = …, by = … } at the top. `by` comes last: what it keeps is handed over at once. */
static int read_table(lua_State *L, bool functions, struct ratelimit *into, struct error *err)
{
    uint64_t limit = 0, burst = 0;
    dur_t per;
    struct key by = {0};
    int done = check_fields(L, err);
    if (done == 0 && !push_field(L, LIMIT))
        done = error_set(err, "the field 'limit' is missing: how many requests");
    else if (done == 0) {
        done = read_count(L, "limit", &limit, err);
        lua_pop(L, 1);
    }
    if (done == 0 && !push_field(L, PER))
        done = error_set(err, "the field 'per' is missing: \"s\", \"m\", \"h\", \"d\" or a duration");
    else if (done == 0) {
        done = read_period(L, &per, err);
        lua_pop(L, 1);
    }
    if (done == 0 && push_field(L, BURST)) {
        done = read_count(L, "burst", &burst, err);
        lua_pop(L, 1);
    }
    if (done == 0 && push_field(L, BY))
        done = read_by(L, functions, &by, err);
    return done == 0 ? ratelimit_add(into, limit, per, burst, &by, err) : -1;
}

static int read_one(lua_State *L, bool functions, struct ratelimit *into, struct error *err)
{
    struct slice text = text_at(L, -1);
    if (text.at != NULL)
        return ratelimit_add_text(into, text, err);
    if (lua_type(L, -1) == LUA_TTABLE)
        return read_table(L, functions, into, err);
    return error_set(err, EXPECTED ", got a %s", luaL_typename(L, -1));
}

/* A list has positions only, without gaps. */
static int check_positions(lua_State *L, size_t count, struct error *err)
{
    size_t keys = 0;
    bool good = true;
    if (!table_is_plain(L, -1, err))
        return -1;
    for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1)) {
        good = good && lua_type(L, -2) == LUA_TNUMBER;
        keys++;
    }
    return good && keys == count ? 0 : error_set(err, EXPECTED ", got a table with both names and positions, or gaps");
}

static int read_list(lua_State *L, size_t count, bool functions, struct ratelimit *into, struct error *err)
{
    int done = check_positions(L, count, err);
    for (size_t i = 1; i <= count && done == 0; i++) {
        lua_rawgeti(L, -1, (int)i);
        done = read_one(L, functions, into, err);
        lua_pop(L, 1);
    }
    return done;
}

int rate_rules_read(lua_State *L, bool functions, struct ratelimit *into, struct error *err)
{
    luaL_checkstack(L, 8, "rate_limit");
    if (slice_equal(text_at(L, -1), SLICE("none")))
        return 0;
    size_t count = lua_type(L, -1) == LUA_TTABLE ? lua_objlen(L, -1) : 0;
    if (count > 0)
        return read_list(L, count, functions, into, err);
    if (lua_type(L, -1) == LUA_TTABLE) {
        lua_pushnil(L);
        if (lua_next(L, -2) == 0)
            return error_set(err, EXPECTED ", got an empty table");
        lua_pop(L, 2);
    }
    return read_one(L, functions, into, err);
}
