/*
 * bind_http_stream.c: see bind_http_stream.h. One piece at most waits to be read; the next one is fetched while the
 * script is busy with it. The struct outlives whoever looks at it: Lua's object, and the callback that is under way.
 */
#include "bind/bind_http_stream.h"
#include "base/panic.h"
#include "bind/bind_http_internal.h"
#include "bind/bind_http_response.h"
#include "io/timeout.h"
#include "script/await.h"
#include "script/embedded.h"
#include "script/error.h"
#include "script/failure.h"
#include "script/task.h"
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>

#define ORPHAN_TIME DUR_S(10)

struct transfer {
    struct await await; /* of the header, or of a piece */
    struct task_belonging owner;
    struct state *state;
    struct loop *loop;
    struct httpc_call *http;          /* NULL: over */
    struct timeout orphan;            /* nobody's: for so long only */
    struct buf piece;                 /* not read yet */
    struct slice arrived;             /* the one that goes to whoever waits */
    bool object;                      /* Lua has its object */
    unsigned busy;                    /* callbacks under way that will look at it again */
    const struct httpc_reply *failed; /* while its end is told, where there was no header */
    bool closed;                      /* by the script */
    enum httpc_code code;             /* once it is over */
    struct error words;
    char method[16];
    struct bind_http_range expect[BIND_HTTP_EXPECT_MAX];
    size_t expect_count;
};

static const char meta; /* registry key: its address */

/* --- its life ---------------------------------------------------------------------------------------------------- */

static void free_if_unseen(struct transfer *t)
{
    if (t->busy > 0 || t->object || t->http != NULL || t->await.task != NULL)
        return;
    timeout_clear(&t->orphan);
    task_belongs_not(&t->owner);
    buf_free(&t->piece);
    free(t);
}

/* Over, and why, for whoever reads on. */
static void stop(struct transfer *t, const char *why)
{
    timeout_clear(&t->orphan);
    task_belongs_not(&t->owner);
    if (t->http == NULL)
        return;
    httpc_cancel(&t->http);
    buf_free(&t->piece);
    t->code = HTTPC_CLOSED;
    error_set(&t->words, "%s %s", t->method, why);
}

static void nobody_came(struct timeout *timeout)
{
    stop(CONTAINER_OF(timeout, struct transfer, orphan), "the reply was not read on, so its transfer was ended");
}

static void owner_ended(struct task_belonging *b, bool returned)
{
    struct transfer *t = CONTAINER_OF(b, struct transfer, owner);
    if (returned && t->http != NULL)
        timeout_set(t->loop, &t->orphan, mono_add(loop_now(t->loop), ORPHAN_TIME), nobody_came);
    else
        stop(t, "the transfer was ended with the task that read it");
}

/* The running task's, from here on. */
static void adopt(struct transfer *t)
{
    timeout_clear(&t->orphan);
    task_belongs(task_current(t->state), &t->owner, owner_ended);
}

static struct transfer *check(lua_State *L, const char *what)
{
    struct transfer **object = bind_http_response_stream(L, what);
    return *object;
}

static int collect(lua_State *L)
{
    struct transfer **object = lua_touserdata(L, 1), *t = *object;
    if (t == NULL)
        return 0;
    *object = NULL;
    t->object = false;
    stop(t, "");
    free_if_unseen(t);
    return 0;
}

/* --- results ----------------------------------------------------------------------------------------------------- */

static int push_over(lua_State *L, const struct transfer *t)
{
    if (t->code != HTTPC_OK)
        return failure_push(L, httpc_code_name(t->code), t->words.text);
    lua_pushnil(L);
    return 1;
}

static int push_waited(lua_State *co, void *cookie)
{
    struct transfer *t = cookie;
    if (t->arrived.at == NULL)
        return push_over(co, t);
    lua_pushlstring(co, t->arrived.at, t->arrived.len);
    return 1;
}

static int push_started(lua_State *co, void *cookie)
{
    struct transfer *t = cookie;
    const struct httpc_reply *reply = httpc_reply(t->http);
    struct transfer **object = lua_newuserdata(co, sizeof(struct transfer *));
    *object = NULL;
    lua_pushlightuserdata(co, (void *)&meta);
    lua_rawget(co, LUA_REGISTRYINDEX);
    lua_setmetatable(co, -2);
    *object = t;
    t->object = true;
    bind_http_response_push_streamed(co, reply);
    if (bind_http_plan_expects(t->expect, t->expect_count, reply->status))
        return 1;
    int count = bind_http_push_unexpected(co, t->method, reply, 1);
    stop(t, "the reply was not expected, so its transfer was ended"); /* who does not look at it holds nothing up */
    return count;
}

static int push_failed(lua_State *co, void *cookie)
{
    const struct transfer *t = cookie;
    return bind_http_push_failure(co, t->method, t->failed, 1);
}

/* --- the transfer's events --------------------------------------------------------------------------------------- */

static void on_headers(struct httpc_call *call, void *cookie)
{
    struct transfer *t = cookie;
    t->busy++;
    await_complete(&t->await, push_started, t);
    t->busy--;
    if (!t->object) /* no memory for it; or it is garbage already */
        stop(t, "");
    free_if_unseen(t);
}

static bool on_data(struct httpc_call *call, struct slice piece, void *cookie)
{
    struct transfer *t = cookie;
    if (t->await.task == NULL) {
        buf_add_slice(&t->piece, piece);
        return false;
    }
    t->busy++;
    t->arrived = piece;
    await_complete(&t->await, push_waited, t);
    t->arrived = SLICE_NONE;
    t->busy--;
    bool more = t->await.task != NULL;
    free_if_unseen(t);
    return more;
}

/* The call is over before anybody is told: a task that ends with what it is told has nothing to cancel. */
static void on_end(struct httpc_call *call, void *cookie)
{
    struct transfer *t = cookie;
    const struct httpc_reply *reply = httpc_reply(call);
    t->busy++;
    t->code = reply->code;
    error_set(&t->words, "%s %s", t->method, reply->words);
    t->http = NULL;
    timeout_clear(&t->orphan);
    task_belongs_not(&t->owner);
    t->failed = reply;
    if (t->await.task != NULL)
        await_complete(&t->await, t->object ? push_waited : push_failed, t);
    t->failed = NULL;
    t->busy--;
    free_if_unseen(t);
}

static const struct httpc_events events = {.headers = on_headers, .data = on_data, .end = on_end};

/* --- the call ---------------------------------------------------------------------------------------------------- */

static void cancel(struct await *a)
{
    struct transfer *t = CONTAINER_OF(a, struct transfer, await);
    stop(t, "the transfer was ended with the task that read it");
    free_if_unseen(t);
}

int bind_http_stream_start(lua_State *L, struct bind_http_plan *p)
{
    const struct script_host *host = state_host(state_of(L));
    if (p->retry.attempts > 1)
        script_error_words(L, "%s: retry does not go with stream", p->what);
    if (p->sign.count > 0)
        script_error_words(L, "%s: sign does not go with stream", p->what);
    struct transfer *t = need_zero(1, sizeof(*t));
    t->state = state_of(L);
    t->loop = host->loop;
    snprintf(t->method, sizeof(t->method), "%.*s", SLICE_ARG(p->request.method));
    memcpy(t->expect, p->expect, p->expect_count * sizeof(p->expect[0]));
    t->expect_count = p->expect_count;
    adopt(t);
    t->http = httpc_start(host->http, &p->request, &events, t);
    return await_begin(L, &t->await, cancel);
}

/* --- methods ----------------------------------------------------------------------------------------------------- */

/* response:read() → the next piece; nil at the end; nil, err */
static int stream_read(lua_State *L)
{
    struct transfer *t = check(L, "response:read");
    if (t->closed)
        script_error_words(L, "response:read: the response has been closed");
    if (t->await.task != NULL)
        script_error_words(L, "response:read: another read of this response waits");
    await_check(L, "response:read");
    if (t->http != NULL)
        adopt(t);
    if (t->piece.len > 0) {
        lua_pushlstring(L, t->piece.at, t->piece.len);
        buf_clear(&t->piece);
        if (t->http != NULL)
            httpc_resume(t->http);
        return 1;
    }
    if (t->http == NULL)
        return push_over(L, t);
    httpc_resume(t->http);
    return await_begin(L, &t->await, cancel);
}

/* response:close(): the rest is not wanted */
static int stream_close(lua_State *L)
{
    struct transfer *t = check(L, "response:close");
    if (t->await.task != NULL)
        script_error_words(L, "response:close: a read of this response waits");
    t->closed = true;
    stop(t, "");
    return 0;
}

void bind_http_stream_methods(lua_State *L)
{
    lua_pushcfunction(L, stream_read);
    lua_setfield(L, -2, "read");
    lua_pushcfunction(L, stream_close);
    lua_setfield(L, -2, "close");
    script_embedded_load(L, "http");
    lua_pushcfunction(L, stream_read);
    lua_call(L, 1, 1);
    lua_setfield(L, -2, "pieces");
}

void bind_http_stream_open(lua_State *L)
{
    lua_pushlightuserdata(L, (void *)&meta);
    lua_createtable(L, 0, 2);
    lua_pushcfunction(L, collect);
    lua_setfield(L, -2, "__gc");
    lua_pushliteral(L, "response stream");
    lua_setfield(L, -2, "__metatable");
    lua_rawset(L, LUA_REGISTRYINDEX);
}
