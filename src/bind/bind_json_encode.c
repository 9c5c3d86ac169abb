/*
 * bind_json_encode.c: Lua values to JSON text, for json.encode and for replies.
 * Raises nothing and calls no metamethod: tables are read with lua_next and lua_rawgeti, numbers are never made
 * strings by Lua, and the stack grows under protection. A fault leaves the stack as it stands, so that the path to it
 * can be read from there. Owns nothing. Runs in: the state's thread. Fails: by words with the path.
 */
#include "base/panic.h"
#include "bind/bind_json_internal.h"
#include "codec/utf8.h"
#include "script/interrupt.h"
#include <lauxlib.h>
#include <stdarg.h>
#include <stdio.h>

#define LEVELS_PER_GROWTH 16
#define PATH_SHOWN 200 /* bytes of a path in a message */

struct encode {
    lua_State *L;
    const struct bind_json *json;
    struct json_writer writer;
    struct error *err;
    size_t begin; /* of this value's text in the buf */
    unsigned depth;
    struct {
        int table, key;       /* stack indexes; the value is behind the key */
    } at[JSON_DEPTH_MAX + 1]; /* from 1 */
};

static const char both_kinds[] =
    "a table is an array (keys 1, 2, ...) or an object (every key a string), this one is neither";

static bool value(struct encode *e, int index);

/* Appends "/items/3", the keys down to the value that is being written. */
static void add_path(const struct encode *e, struct buf *text)
{
    for (unsigned d = 1; d <= e->depth; d++) {
        struct slice name = SLICE_NONE;
        buf_add_char(text, '/');
        if (lua_type(e->L, e->at[d].key) == LUA_TSTRING)
            name.at = lua_tolstring(e->L, e->at[d].key, &name.len);
        buf_add_slice(text, name);
        if (name.at == NULL)
            buf_addf(text, "%.14g", lua_tonumber(e->L, e->at[d].key));
    }
}

/* Says what is wrong at the value that is being written. Always false. */
static bool __attribute__((format(printf, 2, 3))) refuse(struct encode *e, const char *format, ...)
{
    char what[200];
    va_list args;
    va_start(args, format);
    error_words(what, sizeof(what), format, args);
    va_end(args);
    if (e->depth == 0) {
        error_set(e->err, "%s", what);
        return false;
    }
    struct buf path = {0};
    add_path(e, &path);
    error_set(e->err, "at %.*s%s: %s", path.len < PATH_SHOWN ? (int)path.len : PATH_SHOWN, path.at,
              path.len < PATH_SHOWN ? "" : "...", what);
    buf_free(&path);
    return false;
}

/* The place says nothing then, and may be deep. Always false. */
static bool refuse_time(struct encode *e)
{
    error_set(e->err, "%s", interrupt_words());
    return false;
}

/* As refuse, about the table whose members are being written. */
static bool refuse_table(struct encode *e, const char *what)
{
    e->depth--;
    return refuse(e, "%s", what);
}

static int grow_stack(lua_State *L)
{
    luaL_checkstack(L, 4 * LEVELS_PER_GROWTH, "JSON");
    return 0;
}

/* Room for the next levels' keys and values, and for a metatable; protected, since there may be no memory for it. */
static bool room(struct encode *e)
{
    if (e->depth % LEVELS_PER_GROWTH != 0 || lua_cpcall(e->L, grow_stack, NULL) == 0)
        return true;
    lua_pop(e->L, 1);
    return refuse(e, "not enough memory");
}

/* At the bound of depth: is it because a table is within itself? */
static bool too_deep(struct encode *e)
{
    for (unsigned inner = 2; inner <= e->depth; inner++) {
        const void *table = lua_topointer(e->L, e->at[inner].table);
        for (unsigned outer = 1; outer < inner; outer++) {
            if (lua_topointer(e->L, e->at[outer].table) != table)
                continue;
            e->depth = inner - 1;
            return refuse(e, "the table contains itself");
        }
    }
    return refuse(e, "nested deeper than %d tables", JSON_DEPTH_MAX);
}

/* Names and values until lua_next has no more; the first pair is on the stack. */
static bool members(struct encode *e, int table)
{
    lua_State *L = e->L;
    json_write_object(&e->writer);
    do {
        struct slice name;
        int type = lua_type(L, -2);
        if (type == LUA_TNUMBER)
            return refuse_table(e, both_kinds);
        if (type != LUA_TSTRING)
            return refuse_table(e, "a key that is neither a string nor a position");
        name.at = lua_tolstring(L, -2, &name.len);
        if (!json_write_name(&e->writer, name))
            return refuse(e, "the name is not UTF-8");
        if (!value(e, lua_gettop(L)))
            return false;
        lua_pop(L, 1);
    } while (lua_next(L, table));
    json_write_end(&e->writer, '}');
    return true;
}

/* How many elements, when the keys are 1 to that and nothing else; else -1 and the words. */
static long length(struct encode *e, int table)
{
    lua_State *L = e->L;
    long count = 0;
    lua_Number last = 0;
    for (lua_pushnil(L); lua_next(L, table); count++) {
        lua_pop(L, 1);
        if (interrupt_due(L)) {
            refuse_time(e);
            return -1;
        }
        lua_Number key = lua_tonumber(L, -1);
        if (lua_type(L, -1) != LUA_TNUMBER || key < 1 || key != (lua_Number)(long)key) {
            bool name = lua_type(L, -1) == LUA_TSTRING;
            lua_pop(L, 1);
            refuse_table(e, name ? both_kinds : "an array with a key that is no position");
            return -1;
        }
        last = key > last ? key : last;
    }
    if (last == (lua_Number)count)
        return count;
    refuse_table(e, "an array with holes; json.null can fill them");
    return -1;
}

/* The elements from `first` on, in the order of their positions. */
static bool elements_by_position(struct encode *e, int table, int first)
{
    lua_State *L = e->L;
    long count = length(e, table);
    if (count < 0)
        return false;
    for (int i = first; i <= count; i++) {
        lua_pushnumber(L, i);
        lua_rawgeti(L, table, i);
        if (!value(e, lua_gettop(L)))
            return false;
        lua_pop(L, 2);
    }
    json_write_end(&e->writer, ']');
    return true;
}

/* As lua_next gives them, which is in order unless the table grew in another one. The first pair is on the stack. */
static bool elements(struct encode *e, int table)
{
    lua_State *L = e->L;
    int i = 1;
    json_write_array(&e->writer);
    do {
        if (lua_type(L, -2) != LUA_TNUMBER || lua_tonumber(L, -2) != i) {
            lua_pop(L, 2);
            return elements_by_position(e, table, i);
        }
        if (!value(e, lua_gettop(L)))
            return false;
        lua_pop(L, 1);
        i++;
    } while (lua_next(L, table));
    json_write_end(&e->writer, ']');
    return true;
}

static bool empty(struct encode *e, bool array)
{
    if (array)
        json_write_array(&e->writer);
    else
        json_write_object(&e->writer);
    json_write_end(&e->writer, array ? ']' : '}');
    return true;
}

static bool table(struct encode *e, int index)
{
    lua_State *L = e->L;
    const void *meta = NULL;
    if (e->depth == JSON_DEPTH_MAX)
        return too_deep(e);
    if (e->depth > 0 && !room(e)) /* the first levels' room is there: see bind_json_encode_protected */
        return false;
    if (lua_getmetatable(L, index)) {
        meta = lua_topointer(L, -1);
        lua_pop(L, 1);
    }
    bool array = meta == e->json->array;
    lua_pushnil(L);
    if (!lua_next(L, index))
        return empty(e, array);
    e->depth++;
    e->at[e->depth].table = index;
    e->at[e->depth].key = lua_gettop(L) - 1;
    if (lua_type(L, -2) == LUA_TNUMBER && meta != e->json->object)
        array = true;
    if (!(array ? elements(e, index) : members(e, index)))
        return false;
    e->depth--;
    return true;
}

static bool string(struct encode *e, int index)
{
    struct slice s;
    s.at = lua_tolstring(e->L, index, &s.len);
    if (json_write_string(&e->writer, s))
        return true;
    return refuse(e, "the string is not UTF-8 (byte %zu); crypto.base64 makes text of bytes", utf8_valid(s) + 1);
}

static bool number(struct encode *e, int index)
{
    lua_Number n = lua_tonumber(e->L, index);
    if (n == 0) {
        json_write_int(&e->writer, 0); /* to a script -0 is 0 */
        return true;
    }
    return json_write_double(&e->writer, n) || refuse(e, "%s has no JSON form", n != n ? "NaN" : "an infinity");
}

static bool other(struct encode *e, int index, int type)
{
    struct slice digits;
    if (type == LUA_TLIGHTUSERDATA && lua_touserdata(e->L, index) == NULL) {
        json_write_null(&e->writer);
        return true;
    }
    if (bind_json_integer(e->L, index, &digits)) {
        json_write_raw(&e->writer, digits);
        return true;
    }
    return refuse(e, "a %s has no JSON form", lua_typename(e->L, type));
}

/* The value at a positive index. On false the stack is left for add_path. */
static bool value(struct encode *e, int index)
{
    int type = lua_type(e->L, index);
    if (interrupt_due(e->L))
        return refuse_time(e);
    if (e->writer.out->overflow || e->writer.out->len - e->begin > BIND_JSON_TEXT_MAX)
        return refuse(e, "the text is too long");
    switch (type) {
    case LUA_TSTRING:
        return string(e, index);
    case LUA_TNUMBER:
        return number(e, index);
    case LUA_TBOOLEAN:
        json_write_bool(&e->writer, lua_toboolean(e->L, index));
        return true;
    case LUA_TNIL:
        json_write_null(&e->writer);
        return true;
    case LUA_TTABLE:
        return table(e, index);
    default:
        return other(e, index, type);
    }
}

int bind_json_encode_protected(lua_State *L, int index, struct buf *out, struct error *err)
{
    struct encode e; /* its levels are filled as they are entered */
    int top = lua_gettop(L);
    e.L = L;
    e.json = bind_json_of(L);
    CHECK(e.json != NULL);
    json_write_begin(&e.writer, out);
    e.err = err;
    e.begin = out->len;
    e.depth = 0;
    bool good = room(&e) && value(&e, index > 0 ? index : top + index + 1);
    if (good && out->overflow)
        good = refuse(&e, "the text is too long");
    lua_settop(L, top);
    return good ? 0 : -1;
}

void bind_json_encode(lua_State *L, int index, struct buf *out)
{
    struct error err;
    if (bind_json_encode_protected(L, index, out, &err) != 0)
        luaL_error(L, "cannot encode as JSON: %s", err.text);
}
