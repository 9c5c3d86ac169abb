/*
 * bind_json.c: the global json: decode, encode, null, array, object; and a walk over parsed text to Lua tables.
 * Owns: per state, two readers and a text buffer, in the state's slot, so that no Lua error can lose them.
 * Runs in: the state's thread. A script has no finalizers of its own (no newproxy, no ffi), so nothing can parse
 * another text in the middle of a walk. Fails: decode by nil and words; encode and misuse raise.
 */
#include "bind/bind_json.h"
#include "base/panic.h"
#include "bind/bind_arguments.h"
#include "bind/bind_json_internal.h"
#include "bind/bind_limits.h"
#include "script/state.h"
#include "script/table.h"
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>

#define TEXT_KEPT ((size_t)1 << 20)
#define NUMBER_EXACT (INT64_C(1) << 53)

static const char slot; /* its address is the state's slot */

static void release(void *pointer)
{
    struct bind_json *j = pointer;
    json_reader_free(&j->reader);
    json_reader_free(&j->deep);
    buf_free(&j->text);
    buf_free(&j->indented);
    free(j);
}

struct bind_json *bind_json_of(lua_State *L)
{
    return state_pointer(state_of(L), &slot);
}

struct json_reader *bind_json_reader(lua_State *L)
{
    struct bind_json *j = bind_json_of(L);
    CHECK(j != NULL);
    return j->reader;
}

struct json_reader *bind_json_reader_deep(lua_State *L)
{
    struct bind_json *j = bind_json_of(L);
    CHECK(j != NULL);
    return j->deep;
}

struct buf *bind_json_text(lua_State *L)
{
    struct bind_json *j = bind_json_of(L);
    CHECK(j != NULL);
    buf_clear(&j->text);
    return &j->text;
}

void bind_json_text_trim(lua_State *L)
{
    struct bind_json *j = bind_json_of(L);
    if (j->text.room > TEXT_KEPT)
        buf_free(&j->text);
}

void bind_json_push_meta(lua_State *L, const void *key)
{
    lua_pushlightuserdata(L, (void *)key);
    lua_rawget(L, LUA_REGISTRYINDEX);
}

/* --- text to values: one value per call, its first token read already -------------------------------------------- */

struct build {
    lua_State *L;
    struct json_walk *walk;
    struct json_token token; /* the walk's last */
    int array, integer;      /* stack indexes of the metatables */
    unsigned depth;
};

static void push_value(struct build *b);

static void push_integer(struct build *b)
{
    char digits[24];
    int len = b->token.kind == JSON_INT ? snprintf(digits, sizeof(digits), "%lld", (long long)b->token.i)
                                        : snprintf(digits, sizeof(digits), "%llu", (unsigned long long)b->token.u);
    bind_json_integer_push(b->L, (struct slice){digits, (size_t)len}, b->integer);
}

static void push_array(struct build *b)
{
    lua_createtable(b->L, (int)b->token.count, 0);
    lua_pushvalue(b->L, b->array);
    lua_setmetatable(b->L, -2);
    for (int i = 1;; i++) {
        json_next(b->walk, &b->token);
        if (b->token.kind == JSON_END)
            return;
        push_value(b);
        lua_rawseti(b->L, -2, i);
    }
}

static void push_object(struct build *b)
{
    lua_createtable(b->L, 0, (int)b->token.count);
    for (;;) {
        json_next(b->walk, &b->token);
        if (b->token.kind == JSON_END)
            return;
        lua_pushlstring(b->L, b->token.name.at, b->token.name.len);
        push_value(b);
        lua_rawset(b->L, -3);
    }
}

static void push_container(struct build *b)
{
    if (b->depth++ % 8 == 0)
        luaL_checkstack(b->L, 32, "JSON nested too deep");
    if (b->token.kind == JSON_ARRAY)
        push_array(b);
    else
        push_object(b);
    b->depth--;
}

static void push_value(struct build *b)
{
    const struct json_token *t = &b->token;
    switch (t->kind) {
    case JSON_TRUE:
    case JSON_FALSE:
        lua_pushboolean(b->L, t->kind == JSON_TRUE);
        return;
    case JSON_INT:
        if (t->i >= -NUMBER_EXACT && t->i <= NUMBER_EXACT)
            lua_pushnumber(b->L, (lua_Number)t->i);
        else
            push_integer(b);
        return;
    case JSON_UINT:
        push_integer(b);
        return;
    case JSON_BIG:
        bind_json_integer_push(b->L, t->text, b->integer);
        return;
    case JSON_DOUBLE:
        lua_pushnumber(b->L, t->d);
        return;
    case JSON_STRING:
        lua_pushlstring(b->L, t->text.at, t->text.len);
        return;
    case JSON_ARRAY:
    case JSON_OBJECT:
        push_container(b);
        return;
    case JSON_NULL:
        lua_pushlightuserdata(b->L, NULL);
        return;
    case JSON_END:
    case JSON_DONE:
        PANIC("a JSON walk ended where a value begins");
    }
}

void bind_json_push_walk(lua_State *L, struct json_walk *w, bool null_is_nil)
{
    struct build b = {.L = L, .walk = w};
    luaL_checkstack(L, 8, "JSON");
    json_next(w, &b.token);
    if (b.token.kind == JSON_STRING) { /* most picks: no need of metatables */
        lua_pushlstring(L, b.token.text.at, b.token.text.len);
        return;
    }
    if (b.token.kind == JSON_NULL && null_is_nil) {
        lua_pushnil(L);
        return;
    }
    struct bind_json *j = bind_json_of(L);
    CHECK(j != NULL);
    b.array = lua_gettop(L) + 1;
    b.integer = b.array + 1;
    bind_json_push_meta(L, &j->array);
    bind_json_push_meta(L, &j->integer);
    push_value(&b);
    lua_replace(L, b.array);
    lua_settop(L, b.array);
}

/* --- the global json ---------------------------------------------------------------------------------------------- */

/* json.decode(text) → value, or nil and "line 3 column 7: expected ':'". A null at the top is json.null. */
static int json_decode(lua_State *L)
{
    struct slice text;
    struct json_fault fault;
    struct json_walk walk;
    luaL_checktype(L, 1, LUA_TSTRING);
    bind_arguments(L, 0, 1, "json.decode");
    text.at = lua_tolstring(L, 1, &text.len);
    struct json_reader *reader = bind_json_reader(L);
    if (json_parse(reader, text, &fault) != 0) {
        json_reader_trim(reader);
        lua_pushnil(L);
        lua_pushfstring(L, "line %d column %d: %s", (int)fault.line, (int)fault.column, fault.what);
        return 2;
    }
    json_walk_root(reader, &walk);
    bind_json_push_walk(L, &walk, false);
    json_reader_trim(reader);
    return 1;
}

static bool wants_pretty(lua_State *L)
{
    static const char *const known[] = {"pretty", NULL};
    bool pretty = false;
    if (lua_isnoneornil(L, 2))
        return false;
    struct table_reader options;
    table_begin(&options, L, 2, "json.encode", known, false);
    table_bool(&options, "pretty", &pretty);
    return pretty;
}

/* json.encode(value [, { pretty = true }]) → text; raises where the value has no JSON form, naming the place. */
static int json_encode(lua_State *L)
{
    luaL_checkany(L, 1);
    bool pretty = wants_pretty(L);
    struct buf *text = bind_json_text(L), *indented = &bind_json_of(L)->indented;
    bind_json_encode(L, 1, text);
    if (pretty) {
        buf_clear(indented);
        json_write_pretty(buf_slice(text), indented);
    }
    struct slice result = buf_slice(pretty ? indented : text);
    lua_pushlstring(L, result.at, result.len);
    bind_json_text_trim(L);
    if (indented->room > TEXT_KEPT)
        buf_free(indented);
    return 1;
}

/* Gives the table at argument 1, or a new one, the mark; a metatable that is not a mark stays the script's own. */
static int mark(lua_State *L, const void *key)
{
    const struct bind_json *j = bind_json_of(L);
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    if (lua_getmetatable(L, 1)) {
        const void *old = lua_topointer(L, -1);
        luaL_argcheck(L, old == j->array || old == j->object, 1, "the table has a metatable of its own");
        lua_pop(L, 1);
    }
    bind_json_push_meta(L, key);
    lua_setmetatable(L, 1);
    return 1;
}

/* json.array([t]) → t, which encodes as an array even when it is empty. */
static int json_array(lua_State *L)
{
    return mark(L, &bind_json_of(L)->array);
}

/* json.object([t]) → t, which encodes as an object. */
static int json_object(lua_State *L)
{
    return mark(L, &bind_json_of(L)->object);
}

/* Keeps the table at the top of the stack under the field's address, and takes it off. */
static void keep_meta(lua_State *L, const void **field)
{
    *field = lua_topointer(L, -1);
    lua_pushlightuserdata(L, field);
    lua_insert(L, -2);
    lua_rawset(L, LUA_REGISTRYINDEX);
}

static void new_mark(lua_State *L, const char *name)
{
    lua_createtable(L, 0, 1);
    lua_pushstring(L, name);
    lua_setfield(L, -2, "__metatable");
}

static const luaL_Reg functions[] = {
    {"decode", json_decode}, {"encode", json_encode}, {"array", json_array}, {"object", json_object}, {NULL, NULL}};

void bind_json_open(lua_State *L)
{
    struct bind_json *j = need_zero(1, sizeof(*j));
    j->reader = json_reader_new();
    j->deep = json_reader_new();
    json_reader_bound(j->reader, (unsigned)bind_limits_of(state_of(L))->json_depth);
    state_set_pointer(state_of(L), &slot, j, release);
    new_mark(L, "json.array");
    keep_meta(L, &j->array);
    new_mark(L, "json.object");
    keep_meta(L, &j->object);
    bind_json_integer_open(L);
    keep_meta(L, &j->integer);
    lua_createtable(L, 0, 6);
    luaL_setfuncs(L, functions, 0);
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, -2, "null");
}
