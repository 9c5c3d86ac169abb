/*
 * bind_reply_make.c: the global reply: reply.json, text, html, bytes, redirect, problem, stream, sse, file, proxy; what
 * later versions have is refused by name. opts is a status or { status, headers, cookies, type }. Runs in: the state's
 * thread. Fails: misuse raises, with the script's line.
 */
#include "bind/bind_reply_internal.h"
#include "script/error.h"
#include "script/table.h"
#include <lauxlib.h>

/* Reads opts at index 2 into the reply at the top of the stack; `what`: "reply.json". */
static void take_options(lua_State *L, const char *what, const char *const *known)
{
    static const char *const tables[] = {"headers", "cookies"};
    static const int fields[] = {REPLY_HEADERS, REPLY_COOKIES};
    struct table_reader options;
    struct slice type;
    long long status;
    if (lua_isnoneornil(L, 2))
        return;
    if (lua_type(L, 2) == LUA_TNUMBER) {
        double number = lua_tonumber(L, 2);
        if (!(number >= 200 && number <= 599) || number != (int)number)
            script_error_words(L, "%s: status must be an integer from 200 to 599", what);
        lua_pushinteger(L, (int)number);
        lua_rawseti(L, -2, REPLY_STATUS);
        return;
    }
    table_begin(&options, L, 2, what, known, false);
    if (table_integer(&options, "status", 200, 599, &status)) {
        lua_pushinteger(L, (int)status);
        lua_rawseti(L, -2, REPLY_STATUS);
    }
    if (table_string(&options, "type", &type)) {
        lua_pushlstring(L, type.at, type.len);
        lua_rawseti(L, -2, REPLY_TYPE);
    }
    for (int i = 0; i < 2; i++) {
        lua_getfield(L, 2, tables[i]);
        if (!lua_isnil(L, -1) && !lua_istable(L, -1))
            table_fault(&options, tables[i], "expected a table, got a %s", luaL_typename(L, -1));
        lua_rawseti(L, -2, fields[i]);
    }
}

/* The status is that of opts where these have one; the value at 1 is the body, a redirect's URL, a stream's function.
 */
int bind_reply_make(lua_State *L, enum bind_reply_kind kind, int status, const char *what, const char *const *known)
{
    if (lua_gettop(L) > 2)
        return script_error_words(L, "%s: expected one value and options, got %d values", what, lua_gettop(L));
    lua_settop(L, 2);
    bind_reply_push(L, kind, status);
    take_options(L, what, known);
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, REPLY_BODY);
    return 1;
}

static int make(lua_State *L, enum bind_reply_kind kind, int status, const char *what)
{
    static const char *const known[] = {"status", "headers", "cookies", "type", NULL};
    return bind_reply_make(L, kind, status, what, known);
}

/*
 * The value at 1 must be text; a number is turned into it, in place. These messages name their function themselves:
 * `return reply.text(x)` is a tail call, after which Lua knows neither name nor line.
 */
static void check_text(lua_State *L, const char *what)
{
    if (lua_type(L, 1) != LUA_TSTRING && lua_type(L, 1) != LUA_TNUMBER)
        script_error_words(L, "%s: expected a string, got %s", what,
                           lua_isnone(L, 1) ? "nothing" : luaL_typename(L, 1));
    table_text(L, 1);
}

static int reply_json(lua_State *L)
{
    if (lua_isnoneornil(L, 1)) /* null must be meant */
        return script_error_words(L, "reply.json: expected a value, got nil (json.null is JSON's null)");
    return make(L, REPLY_KIND_JSON, 200, "reply.json");
}

static int reply_text(lua_State *L)
{
    check_text(L, "reply.text");
    return make(L, REPLY_KIND_TEXT, 200, "reply.text");
}

static int reply_html(lua_State *L)
{
    check_text(L, "reply.html");
    return make(L, REPLY_KIND_HTML, 200, "reply.html");
}

static int reply_bytes(lua_State *L)
{
    check_text(L, "reply.bytes");
    return make(L, REPLY_KIND_BYTES, 200, "reply.bytes");
}

/* reply.redirect(url [, opts]): RFC 9110 15.4; 302 unless opts says another */
static int reply_redirect(lua_State *L)
{
    check_text(L, "reply.redirect");
    if (lua_objlen(L, 1) == 0)
        return script_error_words(L, "reply.redirect: an empty URL");
    make(L, REPLY_KIND_REDIRECT, 302, "reply.redirect");
    lua_rawgeti(L, -1, REPLY_STATUS);
    int status = (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
    if (status != 301 && status != 302 && status != 303 && status != 307 && status != 308)
        return script_error_words(L, "reply.redirect: expected status 301, 302, 303, 307 or 308");
    return 1;
}

/* reply.problem(status [, detail]): RFC 9457 */
static int reply_problem(lua_State *L)
{
    double status = lua_type(L, 1) == LUA_TNUMBER ? lua_tonumber(L, 1) : 0;
    if (!(status >= 400 && status <= 599) || status != (int)status)
        return script_error_words(L, "reply.problem: expected a status from 400 to 599");
    if (!lua_isnoneornil(L, 2) && lua_type(L, 2) != LUA_TSTRING)
        return script_error_words(L, "reply.problem: expected a string as detail, got %s", luaL_typename(L, 2));
    if (lua_gettop(L) > 2)
        return script_error_words(L,
                                  "reply.problem: expected a status and a detail; error { ... } takes further members");
    lua_settop(L, 2);
    bind_reply_push(L, REPLY_KIND_PROBLEM, (int)status);
    lua_pushvalue(L, 2);
    lua_rawseti(L, -2, REPLY_BODY);
    return 1;
}

static const luaL_Reg functions[] = {
    {"json", reply_json},
    {"text", reply_text},
    {"html", reply_html},
    {"bytes", reply_bytes},
    {"redirect", reply_redirect},
    {"problem", reply_problem},
    {"stream", bind_reply_stream},
    {"sse", bind_reply_sse},
    {"file", bind_reply_file},
    {"proxy", bind_reply_proxy},
    {NULL, NULL},
};

/* reply.<name> that is not there: later versions' by name, others with the nearest. */
static int reply_missing(lua_State *L)
{
    static const char *const names[] = {"json",    "text",   "html", "bytes", "redirect",
                                        "problem", "stream", "sse",  "file",  "proxy"};
    static const char *const later[] = {"skip"};
    struct slice name;
    name.at = luaL_checklstring(L, 2, &name.len);
    for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++)
        if (slice_equal(name, slice_of(later[i])))
            return luaL_error(L, "reply.%s is not in this version of crescent", later[i]);
    const char *nearest = slice_nearest(name, names, sizeof(names) / sizeof(names[0]));
    return nearest != NULL ? luaL_error(L, "there is no reply.%s; did you mean reply.%s?", name.at, nearest)
                           : luaL_error(L, "there is no reply.%s", name.at);
}

void bind_reply_open(lua_State *L)
{
    bind_reply_register(L);
    lua_createtable(L, 0, sizeof(functions) / sizeof(functions[0]));
    luaL_setfuncs(L, functions, 0);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, reply_missing);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
}
