/*
 * bind_reply_stream.c: reply.stream(function(write) … end, opts) and reply.sse(function(send) … end, opts): an answer
 * whose body a function writes. Made here, and read here into a plan; bind_stream has the function's argument.
 * Runs in: the state's thread. Fails: misuse raises, with the script's line.
 */
#include "bind/bind_reply_internal.h"
#include "script/error.h"
#include "script/table.h"
#include <lauxlib.h>

#define HEARTBEAT DUR_S(15) /* below the 30 to 60 s after which proxies and load balancers close what is silent */
#define HEARTBEAT_MIN DUR_S(1)

static void check_function(lua_State *L, const char *what)
{
    if (lua_type(L, 1) != LUA_TFUNCTION)
        script_error_words(L, "%s: expected a function, got %s", what,
                           lua_isnone(L, 1) ? "nothing" : luaL_typename(L, 1));
}

static void put_duration(lua_State *L, enum bind_reply_field field, dur_t d)
{
    lua_pushnumber(L, (double)d.ns);
    lua_rawseti(L, -2, field);
}

/* opts.timeout, of the reply at the top of the stack. */
static void take_timeout(lua_State *L, struct table_reader *t)
{
    dur_t timeout;
    if (!table_duration(t, "timeout", &timeout))
        return;
    if (timeout.ns == 0)
        table_fault(t, "timeout", "expected more than 0; without one a stream has no end but its own");
    put_duration(L, REPLY_TIMEOUT, timeout);
}

/* opts.heartbeat: a duration, or false. */
static void take_heartbeat(lua_State *L, struct table_reader *t)
{
    dur_t heartbeat = HEARTBEAT;
    lua_getfield(L, t->index, "heartbeat");
    bool off = lua_isboolean(L, -1) && !lua_toboolean(L, -1);
    lua_pop(L, 1);
    if (off)
        heartbeat.ns = 0;
    else if (table_duration(t, "heartbeat", &heartbeat) && heartbeat.ns < HEARTBEAT_MIN.ns)
        table_fault(t, "heartbeat", "expected false, or at least 1s");
    put_duration(L, REPLY_HEARTBEAT, heartbeat);
}

int bind_reply_stream(lua_State *L)
{
    static const char *const known[] = {"status", "headers", "cookies", "type", "timeout", NULL};
    check_function(L, "reply.stream");
    bind_reply_make(L, REPLY_KIND_STREAM, 200, "reply.stream", known);
    struct table_reader t = {L, 2, "reply.stream"};
    if (lua_istable(L, 2))
        take_timeout(L, &t);
    return 1;
}

int bind_reply_sse(lua_State *L)
{
    static const char *const known[] = {"status", "headers", "cookies", "timeout", "heartbeat", NULL};
    check_function(L, "reply.sse");
    bind_reply_make(L, REPLY_KIND_SSE, 200, "reply.sse", known);
    struct table_reader t = {L, 2, "reply.sse"};
    put_duration(L, REPLY_HEARTBEAT, HEARTBEAT);
    if (lua_istable(L, 2)) {
        take_timeout(L, &t);
        take_heartbeat(L, &t);
    }
    return 1;
}

/* --- reading ---------------------------------------------------------------------------------------------------- */

static int add_unless_there(struct http_response *r, struct slice name, struct slice value, struct error *err)
{
    return http_response_has(r, name) ? 0 : http_response_add(r, name, value, err);
}

/* WHATWG HTML 9.2.7: what keeps caches and proxies from holding events back. */
static int add_sse_headers(struct http_response *r, struct error *err)
{
    if (http_response_has(r, SLICE("content-type")))
        return error_set(err, "reply.sse has its own content-type");
    if (http_response_add(r, SLICE("content-type"), SLICE("text/event-stream"), err) != 0 ||
        add_unless_there(r, SLICE("cache-control"), SLICE("no-cache"), err) != 0)
        return -1;
    return add_unless_there(r, SLICE("x-accel-buffering"), SLICE("no"), err);
}

static dur_t duration_field(lua_State *L, int index, enum bind_reply_field field)
{
    lua_rawgeti(L, index, field);
    double ns = lua_tonumber(L, -1);
    lua_pop(L, 1);
    return (dur_t){ns > 0 && ns < 9e18 ? (int64_t)ns : 0};
}

int bind_reply_plan_read(lua_State *L, int index, struct http_response *r, struct bind_reply_plan *plan,
                         struct error *err)
{
    lua_rawgeti(L, index, REPLY_KIND);
    bool sse = lua_tointeger(L, -1) == REPLY_KIND_SSE;
    if (r->status == 204 || r->status == 205 || r->status == 304) /* RFC 9110 15.3.5, 15.3.6, 15.4.5 */
        return error_set(err, "a %d answer cannot have a body, so it cannot be streamed", r->status);
    int done = sse ? add_sse_headers(r, err)
                   : add_unless_there(r, SLICE("content-type"), SLICE("text/plain; charset=utf-8"), err);
    if (done != 0)
        return -1;
    lua_rawgeti(L, index, REPLY_BODY);
    if (lua_type(L, -1) != LUA_TFUNCTION) /* rawset reaches the fields */
        return error_set(err, "the stream's function is no longer a function");
    *plan = (struct bind_reply_plan){.sse = sse,
                                     .timeout = duration_field(L, index, REPLY_TIMEOUT),
                                     .heartbeat = sse ? duration_field(L, index, REPLY_HEARTBEAT) : (dur_t){0}};
    plan->function = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

void bind_reply_plan_drop(lua_State *L, struct bind_reply_plan *plan)
{
    if (plan->function != 0)
        luaL_unref(L, LUA_REGISTRYINDEX, plan->function);
    plan->function = 0;
    plan->proxy = NULL;
}
