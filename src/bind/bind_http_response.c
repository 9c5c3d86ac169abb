/*
 * bind_http_response.c: see bind_http_response.h. A response is a table of its own with a metatable that all share; one
 * with repeated headers, or streamed, has a metatable of its own that holds what is more.
 */
#include "bind/bind_http_response.h"
#include "bind/bind_http_stream.h"
#include "bind/bind_json.h"
#include "bind/bind_req.h"
#include "script/error.h"
#include "script/failure.h"
#include "script/state.h"
#include <lauxlib.h>
#include <stdio.h>

#define SEEN_MAX 24 /* so many names are compared; more are looked up */

enum { HEAD = 1, STREAM = 2 }; /* positions in a metatable */

static const char whole_meta, whole_methods, streamed_methods; /* registry keys: their addresses */

static void push_registered(lua_State *L, const char *key)
{
    lua_pushlightuserdata(L, (void *)key);
    lua_rawget(L, LUA_REGISTRYINDEX);
}

/* --- made -------------------------------------------------------------------------------------------------------- */

/* Pushes the name in lower case. */
static void push_name(lua_State *L, struct slice name)
{
    char lower[256];
    if (name.len > sizeof(lower)) { /* nobody asks for that */
        lua_pushlstring(L, name.at, name.len);
        return;
    }
    for (size_t i = 0; i < name.len; i++)
        lower[i] = (char)(name.at[i] >= 'A' && name.at[i] <= 'Z' ? name.at[i] + ('a' - 'A') : name.at[i]);
    lua_pushlstring(L, lower, name.len);
}

static bool is_hidden(const struct httpc_reply *reply, struct slice name)
{
    return reply->unpacked &&
           (slice_equal_nocase(name, SLICE("content-encoding")) || slice_equal_nocase(name, SLICE("content-length")));
}

static bool is_among(const struct httpc_header *fields, size_t count, struct slice name)
{
    for (size_t i = 0; i < count; i++)
        if (fields[i].name.len == name.len && slice_equal_nocase(fields[i].name, name))
            return true;
    return false;
}

/* In the table at the top, for headers of more than SEEN_MAX fields. */
static bool is_set(lua_State *L, struct slice name)
{
    push_name(L, name);
    lua_rawget(L, -2);
    bool set = !lua_isnil(L, -1);
    lua_pop(L, 1);
    return set;
}

/* Pushes the table of headers; whether a name is repeated. */
static bool push_headers(lua_State *L, const struct httpc_reply *reply)
{
    struct slice head = reply->head;
    struct httpc_header seen[SEEN_MAX + 1]; /* each is read into its place, those beyond into the last one */
    size_t count = 0;
    bool repeated = false;
    lua_createtable(L, 0, (int)reply->fields);
    while (httpc_next_header(&head, &seen[count])) {
        const struct httpc_header *h = &seen[count];
        if (is_hidden(reply, h->name))
            continue;
        if (count == SEEN_MAX ? is_set(L, h->name) : is_among(seen, count, h->name)) {
            repeated = true;
            continue;
        }
        push_name(L, h->name);
        lua_pushlstring(L, h->value.at, h->value.len);
        lua_rawset(L, -3);
        if (count < SEEN_MAX)
            count++;
    }
    bind_req_headers(L);
    return repeated;
}

static int to_string(lua_State *L)
{
    lua_pushliteral(L, "response");
    if (lua_istable(L, 1)) {
        lua_getfield(L, 1, "status");
        lua_pushfstring(L, "response %d", (int)lua_tointeger(L, -1));
    }
    return 1;
}

/* Pushes a metatable with these methods. */
static void push_meta(lua_State *L, const char *methods)
{
    lua_createtable(L, 2, 3);
    push_registered(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, to_string);
    lua_setfield(L, -2, "__tostring");
    lua_pushliteral(L, "response");
    lua_setfield(L, -2, "__metatable");
}

/* The response's table, but for its metatable. True: it must keep the header. */
static bool push_fields(lua_State *L, const struct httpc_reply *reply)
{
    luaL_checkstack(L, 12, "response");
    lua_createtable(L, 0, 4);
    lua_pushinteger(L, reply->status);
    lua_setfield(L, -2, "status");
    lua_pushlstring(L, reply->url.at, reply->url.len);
    lua_setfield(L, -2, "url");
    bool repeated = push_headers(L, reply);
    lua_setfield(L, -2, "headers");
    return repeated;
}

static void keep_head(lua_State *L, const struct httpc_reply *reply)
{
    lua_pushlstring(L, reply->head.at, reply->head.len);
    lua_rawseti(L, -2, HEAD);
}

void bind_http_response_push(lua_State *L, const struct httpc_reply *reply)
{
    bool repeated = push_fields(L, reply);
    lua_pushlstring(L, reply->body.at, reply->body.len);
    lua_setfield(L, -2, "body");
    if (repeated) {
        push_meta(L, &whole_methods);
        keep_head(L, reply);
    } else {
        push_registered(L, &whole_meta);
    }
    lua_setmetatable(L, -2);
}

void bind_http_response_push_streamed(lua_State *L, const struct httpc_reply *reply)
{
    int stream = lua_gettop(L);
    push_fields(L, reply);
    push_meta(L, &streamed_methods);
    keep_head(L, reply);
    lua_pushvalue(L, stream);
    lua_rawseti(L, -2, STREAM);
    lua_setmetatable(L, -2);
    lua_remove(L, stream);
}

/* --- methods ----------------------------------------------------------------------------------------------------- */

/* Argument 1's metatable, pushed, if it is a response of this kind. */
static bool push_meta_of(lua_State *L, const char *methods)
{
    if (!lua_istable(L, 1) || !lua_getmetatable(L, 1))
        return false;
    lua_pushliteral(L, "__index");
    lua_rawget(L, -2);
    push_registered(L, methods);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, same ? 2 : 3);
    return same;
}

void *bind_http_response_stream(lua_State *L, const char *what)
{
    if (!push_meta_of(L, &streamed_methods))
        script_error_words(L, "%s: expected a streamed response (call its methods as response:name())", what);
    lua_rawgeti(L, -1, STREAM);
    void *stream = lua_touserdata(L, -1);
    lua_pop(L, 2);
    return stream;
}

/* response:json() → the body's value; nil, err where it is no JSON */
static int json(lua_State *L)
{
    struct slice text = SLICE_NONE;
    struct json_fault fault;
    struct json_walk walk;
    char words[160];
    lua_pushliteral(L, "body");
    if (!push_meta_of(L, &whole_methods))
        script_error_words(L, "response:json: expected a response (call it as response:json())");
    lua_pop(L, 1);
    lua_rawget(L, 1);
    text.at = lua_tolstring(L, -1, &text.len);
    struct json_reader *reader = bind_json_reader(L);
    if (text.at == NULL)
        script_error_words(L, "response:json: body is no text any more");
    if (json_parse(reader, text, &fault) != 0) {
        json_reader_trim(reader);
        snprintf(words, sizeof(words), "the reply is no JSON: line %zu column %zu: %s", fault.line, fault.column,
                 fault.what);
        return failure_push(L, "bad_json", words);
    }
    json_walk_root(reader, &walk);
    bind_json_push_walk(L, &walk, false);
    json_reader_trim(reader);
    return 1;
}

/* Every value of the name in the header that was kept. */
static int push_all(lua_State *L, struct slice head, struct slice name)
{
    struct httpc_header h;
    int count = 0;
    lua_createtable(L, 2, 0);
    while (httpc_next_header(&head, &h)) {
        if (!slice_equal_nocase(h.name, name))
            continue;
        lua_pushlstring(L, h.value.at, h.value.len);
        lua_rawseti(L, -2, ++count);
    }
    return 1;
}

/* response:all_headers(name) → every value of it, in the order sent */
static int all_headers(lua_State *L)
{
    struct slice name, head = SLICE_NONE;
    if (!push_meta_of(L, &whole_methods) && !push_meta_of(L, &streamed_methods))
        script_error_words(L, "response:all_headers: expected a response (call it as response:all_headers(name))");
    name.at = luaL_checklstring(L, 2, &name.len);
    lua_rawgeti(L, -1, HEAD);
    if (!lua_isnil(L, -1)) {
        head.at = lua_tolstring(L, -1, &head.len);
        return push_all(L, head, name);
    }
    lua_createtable(L, 1, 0);
    lua_pushliteral(L, "headers");
    lua_rawget(L, 1);
    if (lua_istable(L, -1)) {
        push_name(L, name);
        lua_rawget(L, -2);
        if (!lua_isnil(L, -1))
            lua_rawseti(L, -3, 1);
        else
            lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return 1;
}

static int unknown(lua_State *L)
{
    static const char *const known[] = {"status", "headers", "body",  "url",        "json",
                                        "read",   "pieces",  "close", "all_headers"};
    struct slice name;
    if (lua_type(L, 2) != LUA_TSTRING)
        return 0;
    name.at = lua_tolstring(L, 2, &name.len);
    const char *nearest = slice_nearest(name, known, sizeof(known) / sizeof(known[0]));
    if (slice_equal(name, SLICE("body")) || slice_equal(name, SLICE("json")))
        return script_error_words(L, "a streamed response has no %s: read it with response:read()", name.at);
    if (nearest != NULL && slice_equal(name, slice_of(nearest)))
        return script_error_words(L, "this response has no %s: it is not streamed", name.at);
    return nearest != NULL ? script_error_words(L, "a response has no field '%s'; did you mean '%s'?", name.at, nearest)
                           : script_error_words(L, "a response has no field '%s'", name.at);
}

/* Registers the table of methods at the top of the stack under the key; another name is an error. */
static void register_methods(lua_State *L, const char *key)
{
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, unknown);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
    lua_pushlightuserdata(L, (void *)key);
    lua_insert(L, -2);
    lua_rawset(L, LUA_REGISTRYINDEX);
}

void bind_http_response_open(lua_State *L)
{
    static const luaL_Reg whole[] = {{"json", json}, {"all_headers", all_headers}, {NULL, NULL}};
    static const luaL_Reg streamed[] = {{"all_headers", all_headers}, {NULL, NULL}};
    lua_createtable(L, 0, 2);
    luaL_setfuncs(L, whole, 0);
    register_methods(L, &whole_methods);
    lua_createtable(L, 0, 4);
    luaL_setfuncs(L, streamed, 0);
    bind_http_stream_methods(L);
    register_methods(L, &streamed_methods);
    lua_pushlightuserdata(L, (void *)&whole_meta);
    push_meta(L, &whole_methods);
    lua_rawset(L, LUA_REGISTRYINDEX);
}
