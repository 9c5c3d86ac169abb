/*
 * bind_reply.c: what handle returned → a response, and the global reply. A reply.* value is a table with a metatable
 * that no script can reach; its fields are checked again when it is read, since rawset reaches them. Owns nothing
 * between calls. Runs in: the state's thread. Fails: reading never raises; making one raises in words.
 */
#include "bind/bind_reply.h"
#include "base/panic.h"
#include "bind/bind_json.h"
#include "bind/bind_reply_internal.h"
#include "http/problem.h"
#include "script/failure.h"
#include "script/interrupt.h"
#include "script/stretch.h"
#include "script/table.h"
#include <lauxlib.h>

/* One reading: the response being made, and the words when it cannot be. */
struct reading {
    const struct uuid *id;
    struct http_response *response;
    struct bind_reply_plan *plan;
    struct buf *room;
    struct error *err;
    bool failed;
};

/* Registry keys: their addresses. */
static const char reply_meta, reply_reader;

static int add(struct reading *r, const char *name, struct slice value)
{
    return http_response_add(r->response, slice_of(name), value, r->err);
}

/* --- headers --- */

static int add_header_value(lua_State *L, int index, struct reading *r, struct slice name)
{
    int kind = lua_type(L, index);
    if (kind != LUA_TSTRING && kind != LUA_TNUMBER)
        return error_set(r->err, "header '%.*s' must be a string, a number or a list of these, not a %s",
                         SLICE_ARG(name), lua_typename(L, kind));
    lua_pushvalue(L, index); /* a number is turned into text in this copy */
    int done = http_response_add(r->response, name, table_text(L, -1), r->err);
    lua_pop(L, 1);
    return done;
}

static int add_header_list(lua_State *L, int index, struct reading *r, struct slice name)
{
    size_t count;
    if (!table_is_list(L, index, &count, r->err))
        return error_prefix(r->err, "header '%.*s%s'", SLICE_SHOWN(name, 80));
    if (count == 0)
        return error_set(r->err, "header '%.*s' has an empty list", SLICE_ARG(name));
    for (size_t i = 1; i <= count; i++) {
        lua_rawgeti(L, index, (int)i);
        int done = add_header_value(L, lua_gettop(L), r, name);
        lua_pop(L, 1);
        if (done != 0)
            return -1;
    }
    return 0;
}

/* The table of headers at `index`: names to a value, or a list of values. */
static int add_headers(lua_State *L, int index, struct reading *r)
{
    if (lua_isnil(L, index))
        return 0;
    if (!lua_istable(L, index))
        return error_set(r->err, "headers must be a table, not a %s", luaL_typename(L, index));
    if (!table_is_plain(L, index, r->err))
        return error_prefix(r->err, "headers");
    lua_pushnil(L);
    while (lua_next(L, index) != 0) {
        int value = lua_gettop(L);
        if (lua_type(L, value - 1) != LUA_TSTRING)
            return error_set(r->err, "headers must have names, not a list");
        struct slice name = table_text(L, value - 1);
        int done = lua_istable(L, value) ? add_header_list(L, value, r, name) : add_header_value(L, value, r, name);
        if (done != 0)
            return -1;
        lua_pop(L, 1);
    }
    return 0;
}

/* --- bodies --- */

/* Where the script gave none. It is the server's own: it has a place, and nobody needs to look at its bytes. */
static void add_type(struct reading *r, const char *type)
{
    if (!http_response_has(r->response, SLICE("content-type")))
        http_response_add_own(r->response, SLICE("content-type"), slice_of(type));
}

static bool bodiless(int status)
{
    return status == 204 || status == 205 || status == 304; /* RFC 9110 15.3.5, 15.3.6, 15.4.5 */
}

/* The string or number at `index` as the body; it stays on the stack as the function's result. */
static int take_text(lua_State *L, int index, struct reading *r, const char *type)
{
    struct slice body = table_text(L, index);
    if (body.len > 0 && bodiless(r->response->status))
        return error_set(r->err, "a %d answer cannot have a body", r->response->status);
    r->response->body = body;
    if (!bodiless(r->response->status))
        add_type(r, type);
    return 0;
}

static int take_json(lua_State *L, int index, struct reading *r)
{
    if (bodiless(r->response->status))
        return error_set(r->err, "a %d answer cannot have a body", r->response->status);
    size_t start = r->room->len;
    if (bind_json_encode_protected(L, index, r->room, r->err) != 0)
        return error_prefix(r->err, "the JSON answer");
    r->response->body = slice_from(buf_slice(r->room), start);
    add_type(r, "application/json");
    return 0;
}

/* --- a reply.* value --- */

/* The field of the reply at `index`, pushed. */
static int field(lua_State *L, int index, enum bind_reply_field which)
{
    lua_rawgeti(L, index, which);
    return lua_gettop(L);
}

static int take_reply_body(lua_State *L, int reply, int kind, struct reading *r)
{
    int body = field(L, reply, REPLY_BODY), type = field(L, reply, REPLY_TYPE);
    if (lua_type(L, type) == LUA_TSTRING) {
        if (http_response_has(r->response, SLICE("content-type")))
            return error_set(r->err, "the reply has a type and a content-type header");
        if (add(r, "content-type", table_text(L, type)) != 0)
            return -1;
    }
    if (kind == REPLY_KIND_JSON)
        return take_json(L, body, r);
    if (kind == REPLY_KIND_STREAM || kind == REPLY_KIND_SSE)
        return bind_reply_plan_read(L, reply, r->response, r->plan, r->err);
    if (kind == REPLY_KIND_PROXY)
        return bind_reply_proxy_read(L, reply, r->plan, r->err);
    r->plan->file = kind == REPLY_KIND_FILE;
    if (r->plan->file)
        return bind_reply_file_read(L, reply, r->response, r->err);
    if (kind == REPLY_KIND_REDIRECT)
        return lua_type(L, body) == LUA_TSTRING ? add(r, "location", table_text(L, body))
                                                : error_set(r->err, "reply.redirect without its URL");
    if (lua_type(L, body) != LUA_TSTRING)
        return error_set(r->err, "the reply's body is no longer a string");
    return take_text(L, body, r,
                     kind == REPLY_KIND_HTML    ? "text/html; charset=utf-8"
                     : kind == REPLY_KIND_BYTES ? "application/octet-stream"
                                                : "text/plain; charset=utf-8");
}

static int take_problem(lua_State *L, int reply, int status, struct reading *r)
{
    int detail = field(L, reply, REPLY_BODY);
    struct slice words = lua_type(L, detail) == LUA_TSTRING ? table_text(L, detail) : SLICE_NONE;
    if (status < 400) /* reply.problem takes none such, but rawset reaches the fields */
        return error_set(r->err, "a problem with status %d: expected 400 to 599", status);
    problem_make(r->response, status, words, r->id, SLICE_NONE, r->room);
    return 0;
}

static int take_reply(lua_State *L, int reply, struct reading *r)
{
    int kind = (int)lua_tointeger(L, field(L, reply, REPLY_KIND));
    int status = (int)lua_tointeger(L, field(L, reply, REPLY_STATUS));
    if (http_response_status(r->response, status, r->err) != 0)
        return -1;
    if (kind == REPLY_KIND_PROBLEM)
        return take_problem(L, reply, status, r);
    if (add_headers(L, field(L, reply, REPLY_HEADERS), r) != 0 ||
        bind_reply_cookies(L, field(L, reply, REPLY_COOKIES), r->response, r->err) != 0)
        return -1;
    return take_reply_body(L, reply, kind, r);
}

/* --- the plain forms --- */

static bool is_reply(lua_State *L, int index)
{
    if (!lua_istable(L, index) || !lua_getmetatable(L, index))
        return false;
    lua_pushlightuserdata(L, (void *)&reply_meta);
    lua_rawget(L, LUA_REGISTRYINDEX);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

/* "handle returned nil, timeout": what a second value behind nil says, for the log. */
static int refuse_nil(lua_State *L, int count, struct reading *r)
{
    for (int i = 2; i <= count; i++) {
        if (lua_isnil(L, i))
            continue;
        struct slice words;
        if (failure_words(L, i, &words))
            return error_set(r->err, "handle returned nil, %.*s%s", SLICE_SHOWN(words, 200));
        if (lua_type(L, i) == LUA_TSTRING || lua_type(L, i) == LUA_TNUMBER) {
            lua_pushvalue(L, i);
            words = slice_of(lua_tostring(L, -1));
            return error_set(r->err, "handle returned nil, %.*s%s", SLICE_SHOWN(words, 200));
        }
        return error_set(r->err, "handle returned nil and a %s", luaL_typename(L, i));
    }
    return 0; /* a lone nil: the 204 that the response is born as */
}

static int take_status_form(lua_State *L, int count, struct reading *r)
{
    double status = lua_tonumber(L, 1);
    if (!(status >= 200 && status <= 599) || status != (int)status)
        return error_set(r->err, "handle returned the status %.14g: it must be an integer from 200 to 599", status);
    if (count > 3)
        return error_set(r->err, "handle returned %d values: status, body and headers are three", count);
    if (http_response_status(r->response, (long)status, r->err) != 0)
        return -1;
    lua_settop(L, 3);
    if (add_headers(L, 3, r) != 0)
        return -1;
    switch (lua_type(L, 2)) {
    case LUA_TNIL:
        return 0;
    case LUA_TSTRING:
        return take_text(L, 2, r, "text/plain; charset=utf-8");
    case LUA_TTABLE:
        return is_reply(L, 2) ? error_set(r->err, "handle returned a status and a reply: a reply has its own status")
                              : take_json(L, 2, r);
    default:
        return error_set(r->err, "handle returned a body that is a %s", luaL_typename(L, 2));
    }
}

static int take_results(lua_State *L, int count, struct reading *r)
{
    if (count == 0)
        return 0;
    int kind = lua_type(L, 1);
    if (kind == LUA_TNIL)
        return refuse_nil(L, count, r);
    if (kind == LUA_TNUMBER)
        return take_status_form(L, count, r);
    if (kind != LUA_TSTRING && kind != LUA_TTABLE)
        return error_set(r->err, "handle returned %s%s", kind == LUA_TBOOLEAN ? "" : "a ",
                         kind == LUA_TBOOLEAN ? (lua_toboolean(L, 1) ? "true" : "false") : lua_typename(L, kind));
    for (int i = 2; i <= count; i++)
        if (!lua_isnil(L, i))
            return error_set(r->err, "handle returned a %s and a %s: a status comes first", lua_typename(L, kind),
                             luaL_typename(L, i));
    if (is_reply(L, 1))
        return take_reply(L, 1, r);
    CHECK(http_response_status(r->response, 200, r->err) == 0);
    return kind == LUA_TSTRING ? take_text(L, 1, r, "text/plain; charset=utf-8") : take_json(L, 1, r);
}

/* Called protected with the results and the reading; leaves the string that the body may point into. */
static int read_protected(lua_State *L)
{
    struct reading *r = lua_touserdata(L, -1);
    lua_pop(L, 1);
    luaL_checkstack(L, 16, "answer");
    r->failed = take_results(L, lua_gettop(L), r) != 0;
    for (int i = lua_gettop(L); i >= 1; i--)
        if (lua_type(L, i) == LUA_TSTRING && lua_tostring(L, i) == r->response->body.at) {
            lua_pushvalue(L, i);
            return 1;
        }
    return 0;
}

/* What is no table takes no time. */
static bool takes_time(lua_State *co, int count)
{
    for (int i = 1; i <= count; i++)
        if (lua_istable(co, i))
            return true;
    return false;
}

int bind_reply_read(lua_State *co, int count, const struct uuid *id, struct http_response *r,
                    struct bind_reply_plan *plan, struct buf *room, struct error *err)
{
    struct reading reading = {.id = id, .response = r, .plan = plan, .room = room, .err = err};
    *plan = (struct bind_reply_plan){0};
    if (count > 8) { /* more than any form has; and the stack shall not grow here */
        lua_settop(co, 8);
        count = 8;
    }
    bool timed = takes_time(co, count);
    lua_pushlightuserdata(co, (void *)&reply_reader);
    lua_rawget(co, LUA_REGISTRYINDEX);
    lua_insert(co, 1);
    lua_pushlightuserdata(co, &reading);
    if (timed)
        stretch_again(state_of(co));
    int result = lua_pcall(co, count + 1, 1, 0);
    if (timed && stretch_end(state_of(co))) {
        bind_reply_plan_drop(co, plan);
        plan->interrupted = true;
        return error_set(err, "the answer could not be read: %s", interrupt_words());
    }
    if (result != 0) {
        bind_reply_plan_drop(co, plan);
        return error_set(err, "the answer could not be read: %s",
                         lua_type(co, -1) == LUA_TSTRING ? lua_tostring(co, -1) : "error");
    }
    return reading.failed ? -1 : 0;
}

/* A reply is complete when it is made: a field set later would be ignored, so it is refused. */
static int refuse_access(lua_State *L)
{
    return luaL_error(L, "a reply has no field '%s': its status, headers, cookies and type are options of reply.*",
                      lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "?");
}

void bind_reply_register(lua_State *L)
{
    lua_pushlightuserdata(L, (void *)&reply_meta);
    lua_createtable(L, 0, 3);
    lua_pushliteral(L, "reply");
    lua_setfield(L, -2, "__metatable");
    lua_pushcfunction(L, refuse_access);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, refuse_access);
    lua_setfield(L, -2, "__newindex");
    lua_rawset(L, LUA_REGISTRYINDEX);
    lua_pushlightuserdata(L, (void *)&reply_reader);
    lua_pushcfunction(L, read_protected);
    lua_rawset(L, LUA_REGISTRYINDEX);
    bind_reply_proxy_register(L);
}

void bind_reply_push(lua_State *L, enum bind_reply_kind kind, int status)
{
    lua_createtable(L, REPLY_FIELDS, 0);
    lua_pushinteger(L, kind);
    lua_rawseti(L, -2, REPLY_KIND);
    lua_pushinteger(L, status);
    lua_rawseti(L, -2, REPLY_STATUS);
    lua_pushlightuserdata(L, (void *)&reply_meta);
    lua_rawget(L, LUA_REGISTRYINDEX);
    lua_setmetatable(L, -2);
}
