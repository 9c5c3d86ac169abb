/*
 * bind_req.c: req as a script sees it. The userdata holds one pointer, which the exchange's end clears; what was read
 * into tables (headers, query, params, cookies) is kept in the userdata's own environment table.
 * Owns: nothing; the object is anchored in the registry until bind_req_end. Runs in: the state's thread.
 */
#include "bind/bind_req.h"
#include "base/panic.h"
#include "bind/bind_arguments.h"
#include "bind/bind_body.h"
#include "bind/bind_content.h"
#include "bind/bind_part.h"
#include "bind/bind_save.h"
#include "script/error.h"
#include "script/table.h"
#include <lauxlib.h>

struct object {
    struct bind_req *req; /* NULL: the request has ended */
    lua_State *main;
    int anchor;      /* in the registry */
    bool kept_table; /* its environment is its own table */
};

enum field {
    FIELD_ID = 1,
    FIELD_METHOD,
    FIELD_PATH,
    FIELD_HOST,
    FIELD_SCHEME,
    FIELD_VERSION,
    FIELD_IP,
    FIELD_BODY,
    FIELD_RECEIVED_AT,
    FIELD_EVENT_TYPE,
    FIELD_AUTH, /* from here on: a table, made once */
    FIELD_QUERY,
    FIELD_PARAMS,
    FIELD_HEADERS,
    FIELD_COOKIES
};

static const char *const field_names[] = {"id",      "method", "path",   "host",        "scheme",
                                          "version", "ip",     "body",   "received_at", "event_type",
                                          "auth",    "query",  "params", "headers",     "cookies"};
#define FIELD_COUNT (sizeof(field_names) / sizeof(field_names[0]))

/* Registry keys: their addresses. */
static const char object_meta, headers_meta;

static void push_registered(lua_State *L, const char *key)
{
    lua_pushlightuserdata(L, (void *)key);
    lua_rawget(L, LUA_REGISTRYINDEX);
}

static void push_slice(lua_State *L, struct slice s)
{
    if (s.at != NULL)
        lua_pushlstring(L, s.at, s.len);
    else
        lua_pushnil(L);
}

/* --- the object's life --- */

void bind_req_push(lua_State *L, struct bind_req *r)
{
    if (r->userdata != NULL) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, ((struct object *)r->userdata)->anchor);
        return;
    }
    struct object *o = lua_newuserdata(L, sizeof(*o));
    *o = (struct object){.main = state_lua(state_of(L)), .anchor = LUA_NOREF};
    push_registered(L, &object_meta);
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    o->anchor = luaL_ref(L, LUA_REGISTRYINDEX);
    o->req = r;
    r->userdata = (void **)o;
}

void bind_req_end(struct bind_req *r)
{
    struct object *o = (struct object *)r->userdata;
    struct state *s = o != NULL ? state_of(o->main) : r->state;
    if (r->content.state != CONTENT_UNREAD) { /* of a body that nobody has asked for, nothing is kept */
        content_free(&r->content);
        if (s != NULL)
            bind_body_forget(s, &r->http->id);
    }
    if (o == NULL)
        return;
    r->userdata = NULL;
    o->req = NULL;
    luaL_unref(o->main, LUA_REGISTRYINDEX, o->anchor);
}

struct bind_req *bind_req_of(void *object)
{
    return ((struct object *)object)->req;
}

struct bind_req *bind_req_check(lua_State *L, int index)
{
    struct object *o = lua_touserdata(L, index);
    bool ours = false;
    if (o != NULL && lua_getmetatable(L, index)) {
        push_registered(L, &object_meta);
        ours = lua_rawequal(L, -1, -2);
        lua_pop(L, 2);
    }
    if (!ours)
        luaL_argerror(L, index, "expected req (call its methods as req:name())");
    if (o->req == NULL)
        luaL_error(L, "the request has ended: req cannot be used after handle has returned");
    return o->req;
}

bool bind_req_bytes(void *object, struct slice *bytes_out)
{
    const struct object *o = object;
    if (o->req == NULL)
        return false;
    *bytes_out = content_bytes(&o->req->content, o->req->http);
    return true;
}

/* --- fields --- */

void bind_req_headers(lua_State *L)
{
    push_registered(L, &headers_meta);
    lua_setmetatable(L, -2);
}

static void push_headers(lua_State *L, const struct http_request *http)
{
    lua_createtable(L, 0, (int)http->header_count);
    for (size_t i = http->header_count; i-- > 0;) { /* backwards: the first of a name is written last */
        push_slice(L, http->headers[i].name);
        push_slice(L, http->headers[i].value);
        lua_rawset(L, -3);
    }
    bind_req_headers(L);
}

/* A header asked for as it is usually spelled: the table has lower-case names. */
static int headers_index(lua_State *L)
{
    char lower[128];
    size_t len;
    if (lua_type(L, 2) != LUA_TSTRING)
        return 0;
    const char *name = lua_tolstring(L, 2, &len);
    if (len > sizeof(lower))
        return 0;
    for (size_t i = 0; i < len; i++)
        lower[i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] + ('a' - 'A') : name[i]);
    lua_pushlstring(L, lower, len);
    lua_rawget(L, 1);
    return 1;
}

static void push_params(lua_State *L, const struct router_match *match)
{
    lua_createtable(L, 0, (int)match->param_count);
    for (size_t i = 0; i < match->param_count; i++) {
        push_slice(L, match->names[i]);
        push_slice(L, match->values[i]);
        lua_rawset(L, -3);
    }
}

static void push_auth(lua_State *L, const struct verify_auth *auth)
{
    if (auth == NULL || auth->by.at == NULL) {
        lua_pushnil(L);
        return;
    }
    lua_createtable(L, 0, 3);
    push_slice(L, auth->by);
    lua_setfield(L, -2, "by");
    if (auth->index > 0) {
        lua_pushinteger(L, auth->index);
        lua_setfield(L, -2, "index");
    }
    push_slice(L, auth->subject);
    lua_setfield(L, -2, "subject");
}

static void push_cookies(lua_State *L, const struct http_request *http)
{
    struct slice header = http_request_header(http, SLICE("cookie"));
    bool several = false;
    if (header.at == NULL) {
        lua_createtable(L, 0, 0);
        return;
    }
    lua_pushliteral(L, "");
    for (size_t i = 0; i < http->header_count; i++) { /* HTTP/2 may send one for each: RFC 9113 8.2.3 */
        if (!slice_equal(http->headers[i].name, SLICE("cookie")))
            continue;
        lua_pushstring(L, several ? "; " : "");
        push_slice(L, http->headers[i].value);
        lua_concat(L, 3);
        several = true;
    }
    header.at = lua_tolstring(L, -1, &header.len);
    bind_body_push_cookies(L, header);
    lua_remove(L, -2);
}

static void push_table(lua_State *L, struct bind_req *r, enum field which)
{
    switch (which) {
    case FIELD_AUTH:
        push_auth(L, r->auth);
        break;
    case FIELD_QUERY:
        if (r->http->query.at == NULL)
            lua_createtable(L, 0, 0);
        else
            bind_body_push_pairs(L, r->http->query, "query string", false);
        break;
    case FIELD_PARAMS:
        push_params(L, r->match);
        break;
    case FIELD_HEADERS:
        push_headers(L, r->http);
        break;
    default:
        push_cookies(L, r->http);
    }
}

/* A field that is a table: made at first use, then the same one (a script may keep notes in it). */
static int push_kept(lua_State *L, struct object *o, enum field which)
{
    if (!o->kept_table) {
        lua_createtable(L, FIELD_COOKIES - FIELD_AUTH + 1, 0);
        lua_setfenv(L, 1);
        o->kept_table = true;
    }
    lua_getfenv(L, 1);
    lua_rawgeti(L, -1, (int)which - FIELD_AUTH + 1);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        push_table(L, o->req, which);
        lua_pushvalue(L, -1);
        lua_rawseti(L, -3, (int)which - FIELD_AUTH + 1);
    }
    return 1;
}

static void push_body(lua_State *L, struct bind_req *r)
{
    struct slice body = r->verifying ? r->http->body : bind_content_bytes(L, r);
    lua_pushlstring(L, body.at, body.len);
}

static int push_field(lua_State *L, struct object *o, enum field which)
{
    const struct http_request *http = o->req->http;
    char id[UUID_TEXT], ip[IP_TEXT];
    switch (which) {
    case FIELD_ID:
        uuid_text(&http->id, id);
        lua_pushlstring(L, id, sizeof(id));
        return 1;
    case FIELD_METHOD:
        push_slice(L, http->method);
        return 1;
    case FIELD_PATH:
        push_slice(L, http->path);
        return 1;
    case FIELD_HOST:
        push_slice(L, http_request_host(http));
        return 1;
    case FIELD_SCHEME:
        push_slice(L, http_request_scheme(http));
        return 1;
    case FIELD_VERSION: /* as nginx and Go spell the number: 1.0, 1.1, 2 */
        lua_pushstring(L, http->version >= 0x200 ? "2" : http->version >= 0x101 ? "1.1" : "1.0");
        return 1;
    case FIELD_IP:
        push_slice(L, ip_text(&http->client, ip));
        return 1;
    case FIELD_BODY:
        push_body(L, o->req);
        return 1;
    case FIELD_RECEIVED_AT:
        lua_pushnumber(L, (double)(http->received_at.ns / 1000) / 1e6);
        return 1;
    case FIELD_EVENT_TYPE:
        push_slice(L, o->req->event_type);
        return 1;
    default:
        return push_kept(L, o, which);
    }
}

/* --- methods --- */

/* What was sent: which of the two a save takes is settled as it begins. */
static bool sent_bytes(void *object, struct slice *bytes_out)
{
    const struct object *o = object;
    if (o->req == NULL)
        return false;
    *bytes_out = o->req->http->body;
    return true;
}

/* req:save(path [, { overwrite, mkdir }]) → path; or nil and why. The bytes are those of req.body. */
static int save(lua_State *L)
{
    struct bind_req *r = bind_req_check(L, 1);
    if (r->verifying)
        return bind_save(L, "req:save", sent_bytes);
    bind_content_bytes(L, r);
    return bind_save(L, "req:save", bind_req_bytes);
}

/* req:all_headers(name) → every value of it, in the order sent */
static int all_headers(lua_State *L)
{
    const struct http_request *http = bind_req_check(L, 1)->http;
    struct slice name;
    int count = 0;
    name.at = luaL_checklstring(L, 2, &name.len);
    bind_arguments(L, 1, 1, "req:all_headers");
    lua_createtable(L, 2, 0);
    for (size_t i = 0; i < http->header_count; i++)
        if (slice_equal_nocase(http->headers[i].name, name)) {
            push_slice(L, http->headers[i].value);
            lua_rawseti(L, -2, ++count);
        }
    return 1;
}

static const luaL_Reg methods[] = {
    {"all_headers", all_headers}, {"json", bind_body_json},   {"pick", bind_body_pick}, {"form", bind_body_form},
    {"data", bind_body_data},     {"files", bind_part_files}, {"save", save},           {NULL, NULL},
};

static int unknown_field(lua_State *L)
{
    static const char *const later[] = {"xml", "keep", "stream"};
    static const char *const callable[] = {"all_headers", "json", "pick", "form", "data", "files", "save"};
    struct slice name;
    name.at = luaL_checklstring(L, 2, &name.len);
    for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++)
        if (slice_equal(name, slice_of(later[i])))
            return luaL_error(L, "req.%s is not in this version of crescent", later[i]);
    const char *nearest = slice_nearest(name, field_names, FIELD_COUNT);
    if (nearest == NULL)
        nearest = slice_nearest(name, callable, sizeof(callable) / sizeof(callable[0]));
    return nearest != NULL ? luaL_error(L, "req has no field '%s'; did you mean '%s'?", name.at, nearest)
                           : luaL_error(L, "req has no field '%s'", name.at);
}

/* Upvalue 1: name → field number, or the method itself. */
static int object_index(lua_State *L)
{
    lua_pushvalue(L, 2);
    lua_rawget(L, lua_upvalueindex(1));
    if (lua_type(L, -1) == LUA_TFUNCTION)
        return 1;
    if (lua_isnil(L, -1))
        return unknown_field(L);
    enum field which = (enum field)lua_tointeger(L, -1);
    bind_req_check(L, 1);
    return push_field(L, lua_touserdata(L, 1), which);
}

static int object_newindex(lua_State *L)
{
    return luaL_error(L, "req is read-only: keep '%s' in a local variable",
                      lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "it");
}

static int object_tostring(lua_State *L)
{
    struct object *o = lua_touserdata(L, 1);
    if (o == NULL || o->req == NULL) {
        lua_pushliteral(L, "req (ended)");
        return 1;
    }
    const struct http_request *http = bind_req_check(L, 1)->http;
    lua_pushliteral(L, "req ");
    push_slice(L, http->method);
    lua_pushliteral(L, " ");
    push_slice(L, http->path);
    lua_concat(L, 4);
    return 1;
}

static void set_function(lua_State *L, const char *name, lua_CFunction function)
{
    lua_pushcfunction(L, function);
    lua_setfield(L, -2, name);
}

void bind_req_register(lua_State *L)
{
    lua_pushlightuserdata(L, (void *)&object_meta);
    lua_createtable(L, 0, 4);
    lua_createtable(L, 0, FIELD_COUNT + 8);
    luaL_setfuncs(L, methods, 0);
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        lua_pushinteger(L, (int)i + 1);
        lua_setfield(L, -2, field_names[i]);
    }
    lua_pushcclosure(L, object_index, 1);
    lua_setfield(L, -2, "__index");
    set_function(L, "__newindex", object_newindex);
    set_function(L, "__tostring", object_tostring);
    lua_pushliteral(L, "req");
    lua_setfield(L, -2, "__metatable");
    lua_rawset(L, LUA_REGISTRYINDEX);
    bind_part_register(L);
    lua_pushlightuserdata(L, (void *)&headers_meta);
    lua_createtable(L, 0, 2);
    set_function(L, "__index", headers_index);
    table_mark_plain(L);
    lua_pushliteral(L, "headers");
    lua_setfield(L, -2, "__metatable");
    lua_rawset(L, LUA_REGISTRYINDEX);
}
