/*
 * table.c: option tables, read with words. See table.h.
 * Owns: nothing. Runs in: the state's thread. Fails: Lua errors with the script's file and line.
 */
#include "script/table.h"
#include "base/duration.h"
#include "script/error.h"

#include <lauxlib.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#define KNOWN_MAX 64

static const char plain_mark; /* its address is a key of metatables */

static void refuse_key(struct table_reader *t, const char *const *known)
{
    size_t count = 0;
    struct slice key;
    const char *nearest;

    if (lua_type(t->L, -1) != LUA_TSTRING) {
        script_error_words(t->L, "%s: a %s is not a name of an option", t->what, luaL_typename(t->L, -1));
        return;
    }
    while (known[count] != NULL && count < KNOWN_MAX)
        count++;
    key.at = lua_tolstring(t->L, -1, &key.len);
    nearest = slice_nearest(key, known, count);
    if (nearest != NULL)
        script_error_words(t->L, "%s: unknown option '%s' (did you mean '%s'?)", t->what, key.at, nearest);
    script_error_words(t->L, "%s: unknown option '%s'", t->what, key.at);
}

static bool is_known(struct slice key, const char *const *known)
{
    for (; *known != NULL; known++)
        if (slice_equal(key, slice_of(*known)))
            return true;
    return false;
}

static int absolute(lua_State *L, int index)
{
    return index > 0 || index <= LUA_REGISTRYINDEX ? index : lua_gettop(L) + 1 + index;
}

void table_mark_plain(lua_State *L)
{
    lua_pushlightuserdata(L, (void *)&plain_mark);
    lua_pushboolean(L, 1);
    lua_rawset(L, -3);
}

bool table_is_plain(lua_State *L, int index, struct error *err)
{
    bool plain;

    luaL_checkstack(L, 3, "table");
    if (!lua_getmetatable(L, index))
        return true;
    lua_pushliteral(L, "__index");
    lua_rawget(L, -2);
    lua_pushlightuserdata(L, (void *)&plain_mark);
    lua_rawget(L, -3);
    plain = lua_isnil(L, -2) || lua_toboolean(L, -1);
    lua_pop(L, 3);
    if (!plain)
        error_set(err, "its metatable has an __index, whose values are not seen here: write them into the table");
    return plain;
}

void table_begin(struct table_reader *t, lua_State *L, int index, const char *what, const char *const *known,
                 bool positions)
{
    struct error err;

    *t = (struct table_reader){L, absolute(L, index), what};
    if (!lua_istable(L, t->index))
        script_error_words(L, "%s: expected a table of options, got %s", what,
                           lua_isnone(L, t->index) ? "nothing" : luaL_typename(L, t->index));
    if (!table_is_plain(L, t->index, &err))
        script_error_words(L, "%s: the table of options: %s", what, err.text);
    luaL_checkstack(L, 4, what);
    lua_pushnil(L);
    while (lua_next(L, t->index) != 0) {
        lua_pop(L, 1);
        if (lua_type(L, -1) == LUA_TSTRING) {
            struct slice key;
            key.at = lua_tolstring(L, -1, &key.len);
            if (is_known(key, known))
                continue;
        } else if (positions && lua_type(L, -1) == LUA_TNUMBER) {
            lua_Number n = lua_tonumber(L, -1);
            if (n >= 1 && n <= (lua_Number)lua_objlen(L, t->index) && n == floor(n))
                continue;
        }
        refuse_key(t, known);
    }
}

bool table_push(struct table_reader *t, const char *key)
{
    lua_pushstring(t->L, key);
    lua_rawget(t->L, t->index);
    if (!lua_isnil(t->L, -1))
        return true;
    lua_pop(t->L, 1);
    return false;
}

static bool wrong_kind(struct table_reader *t, const char *key, const char *expected)
{
    table_fault(t, key, "expected %s, got %s", expected, luaL_typename(t->L, -1));
    return false;
}

bool table_string(struct table_reader *t, const char *key, struct slice *value_out)
{
    if (!table_push(t, key))
        return false;
    if (lua_type(t->L, -1) != LUA_TSTRING)
        return wrong_kind(t, key, "a string");
    value_out->at = lua_tolstring(t->L, -1, &value_out->len);
    lua_pop(t->L, 1);
    return true;
}

bool table_bool(struct table_reader *t, const char *key, bool *value_out)
{
    if (!table_push(t, key))
        return false;
    if (lua_type(t->L, -1) != LUA_TBOOLEAN)
        return wrong_kind(t, key, "true or false");
    *value_out = lua_toboolean(t->L, -1);
    lua_pop(t->L, 1);
    return true;
}

bool table_whole(lua_State *L, int index, long long min, long long max, long long *value_out)
{
    lua_Number n;

    if (lua_type(L, index) != LUA_TNUMBER)
        return false;
    n = lua_tonumber(L, index);
    if (!(n >= (lua_Number)min && n <= (lua_Number)max) || n != floor(n))
        return false;
    *value_out = (long long)n;
    return true;
}

bool table_integer(struct table_reader *t, const char *key, long long min, long long max, long long *value_out)
{
    if (!table_push(t, key))
        return false;
    if (lua_type(t->L, -1) != LUA_TNUMBER)
        return wrong_kind(t, key, "a whole number");
    if (!table_whole(t->L, -1, min, max, value_out))
        table_fault(t, key, "expected a whole number from %lld to %lld", min, max);
    lua_pop(t->L, 1);
    return true;
}

bool table_duration(struct table_reader *t, const char *key, dur_t *value_out)
{
    struct slice text;
    bool fine = false;

    if (!table_push(t, key))
        return false;
    if (lua_type(t->L, -1) == LUA_TNUMBER) {
        lua_Number n = lua_tonumber(t->L, -1);
        fine = n >= 0 && n <= 9e9;
        value_out->ns = fine ? (int64_t)(n * 1e9) : 0;
    } else if (lua_type(t->L, -1) == LUA_TSTRING) {
        text.at = lua_tolstring(t->L, -1, &text.len);
        fine = duration_parse(text, value_out);
    }
    if (!fine)
        table_fault(t, key, "expected a duration: seconds, or text such as \"250ms\", \"5s\", \"2h\", \"7d\"");
    lua_pop(t->L, 1);
    return true;
}

bool table_size(struct table_reader *t, const char *key, size_t *value_out)
{
    struct slice text;
    bool fine = false;

    if (!table_push(t, key))
        return false;
    if (lua_type(t->L, -1) == LUA_TNUMBER) {
        lua_Number n = lua_tonumber(t->L, -1);
        fine = n >= 0 && n <= 9007199254740992.0 && n == floor(n);
        *value_out = fine ? (size_t)n : 0;
    } else if (lua_type(t->L, -1) == LUA_TSTRING) {
        text.at = lua_tolstring(t->L, -1, &text.len);
        fine = duration_parse_size(text, value_out);
    }
    if (!fine)
        table_fault(t, key, "expected a size: bytes, or text such as \"64KiB\", \"1MiB\"");
    lua_pop(t->L, 1);
    return true;
}

/* The key at the top of the stack. */
static bool no_position(lua_State *L, struct error *err)
{
    struct slice name;

    switch (lua_type(L, -1)) {
    case LUA_TSTRING:
        name.at = lua_tolstring(L, -1, &name.len);
        error_set(err, "'%.*s%s' is no position of a list", SLICE_SHOWN(name, 60));
        break;
    case LUA_TNUMBER:
        error_set(err, "%.14g is no position of a list", lua_tonumber(L, -1));
        break;
    default:
        error_set(err, "a %s is no position of a list", luaL_typename(L, -1));
    }
    return false;
}

/* count_out: how many keys there are. */
static bool positions(lua_State *L, int index, size_t *last_out, size_t *count_out, struct error *err)
{
    long long at;

    *last_out = *count_out = 0;
    if (!table_is_plain(L, index, err))
        return false;
    luaL_checkstack(L, 4, "list");
    for (lua_pushnil(L); lua_next(L, index) != 0; (*count_out)++) {
        lua_pop(L, 1);
        if (!table_whole(L, -1, 1, INT_MAX, &at)) {
            no_position(L, err);
            lua_pop(L, 1);
            return false;
        }
        *last_out = (size_t)at > *last_out ? (size_t)at : *last_out;
    }
    return true;
}

bool table_is_list_with_gaps(lua_State *L, int index, size_t *length_out, struct error *err)
{
    size_t count;

    return positions(L, absolute(L, index), length_out, &count, err);
}

bool table_is_list(lua_State *L, int index, size_t *length_out, struct error *err)
{
    size_t count;
    int gap = 1;

    index = absolute(L, index);
    if (!positions(L, index, length_out, &count, err))
        return false;
    if (*length_out == count)
        return true;
    for (;; gap++) { /* it is met: there are fewer keys than positions */
        lua_rawgeti(L, index, gap);
        bool there = !lua_isnil(L, -1);
        lua_pop(L, 1);
        if (!there)
            break;
    }
    error_set(err, "position %d of the list is nil", gap);
    return false;
}

void table_plain(const struct table_reader *t, const char *key, int index)
{
    struct error err;

    if (!table_is_plain(t->L, index, &err))
        table_fault(t, key, "%s", err.text);
}

size_t table_list(struct table_reader *t, const char *key, int index)
{
    struct error err;
    size_t length;

    if (!table_is_list(t->L, index, &length, &err))
        table_fault(t, key, "%s", err.text);
    return length;
}

int table_fault(const struct table_reader *t, const char *key, const char *format, ...)
{
    struct error words;
    va_list args;

    va_start(args, format);
    error_words(words.text, sizeof(words.text), format, args);
    va_end(args);
    return script_error_words(t->L, "%s: %s: %s", t->what, key, words.text);
}

struct slice table_text(lua_State *L, int index)
{
    struct slice text = SLICE_NONE;
    if (lua_type(L, index) == LUA_TNUMBER) {
        double n = lua_tonumber(L, index);
        char digits[32];
        if (n == floor(n) && fabs(n) < 0x1p63) {
            snprintf(digits, sizeof(digits), "%.0f", n == 0 ? 0 : n); /* to a script -0 is 0 */
            lua_pushstring(L, digits);
            lua_replace(L, index < 0 ? index - 1 : index);
        }
    }
    text.at = lua_tolstring(L, index, &text.len);
    return text;
}
