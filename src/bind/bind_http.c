/*
 * bind_http.c: one call of http.*: the plan becomes a request; its end becomes the call's results, or another attempt.
 * Owns: one struct per call, freed when it completes or is cancelled; with it what further attempts need.
 */
#include "bind/bind_http.h"
#include "base/panic.h"
#include "bind/bind_http_internal.h"
#include "bind/bind_http_plan.h"
#include "bind/bind_http_response.h"
#include "bind/bind_http_stream.h"
#include "crypto/random.h"
#include "io/timeout.h"
#include "script/await.h"
#include "script/error.h"
#include "script/failure.h"
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>

struct call;

struct again { /* what another attempt needs; all texts are copied, and the body is held (httpc_hold) */
    struct bind_http_retry retry;
    struct bind_http_sign sign;
    struct httpc_request request;
    struct httpc_header *headers; /* with room for the signature's */
    size_t header_count;
    struct buf texts, signature;
    struct call *call;
    mono_t end; /* of all of it */
    struct timeout pause;
};

struct call {
    struct await await;
    struct loop *loop;
    struct httpc *client;
    struct httpc_call *http; /* NULL: between two attempts */
    struct again *again;     /* NULL: there is one attempt */
    unsigned attempts;
    char method[16];
    struct bind_http_range expect[BIND_HTTP_EXPECT_MAX];
    size_t expect_count;
};

/* --- failures ---------------------------------------------------------------------------------------------------- */

static void push_number(lua_State *L, const char *name, int number)
{
    lua_pushinteger(L, number);
    lua_setfield(L, -2, name);
}

static void add_attempts(char *words, size_t room, unsigned attempts)
{
    size_t len = strlen(words);
    if (attempts > 1)
        snprintf(words + len, room - len, " (after %u attempts)", attempts);
}

int bind_http_push_failure(lua_State *L, const char *method, const struct httpc_reply *reply, unsigned attempts)
{
    char words[640];
    luaL_checkstack(L, 8, "error");
    snprintf(words, sizeof(words), "%s %s", method, reply->words);
    add_attempts(words, sizeof(words), attempts);
    lua_createtable(L, 2, 3);
    push_number(L, "attempts", (int)attempts);
    return failure_push_with(L, httpc_code_name(reply->code), words, "status response attempts");
}

int bind_http_push_unexpected(lua_State *L, const char *method, const struct httpc_reply *reply, unsigned attempts)
{
    char words[640];
    luaL_checkstack(L, 8, "error");
    snprintf(words, sizeof(words), "%s %.*s: the reply has status %d", method, SLICE_ARG(reply->origin), reply->status);
    add_attempts(words, sizeof(words), attempts);
    lua_createtable(L, 2, 4);
    lua_insert(L, -2);
    lua_setfield(L, -2, "response");
    push_number(L, "status", reply->status);
    push_number(L, "attempts", (int)attempts);
    return failure_push_with(L, "status", words, "");
}

/* --- further attempts -------------------------------------------------------------------------------------------- */

static struct slice keep(struct buf *texts, struct slice s)
{
    if (s.at == NULL)
        return s;
    struct slice kept = {texts->at + texts->len, s.len};
    buf_add_slice(texts, s);
    return kept;
}

/* The room is made before: what was kept does not move. */
static size_t texts_size(const struct httpc_request *r)
{
    size_t size = r->method.len + r->url.len + r->body.len + r->ca.len + r->cert.len + r->key.len + r->traceparent.len;
    for (size_t i = 0; i < r->header_count; i++)
        size += r->headers[i].name.len + r->headers[i].value.len;
    return size + 1;
}

static struct again *again_new(struct bind_http_plan *p, mono_t end)
{
    struct again *a = need_zero(1, sizeof(*a));
    struct httpc_request *r = &a->request;
    *r = p->request;
    a->retry = p->retry;
    a->sign = p->sign; /* with its keys */
    p->sign.count = 0;
    a->end = end;
    buf_reserve(&a->texts, texts_size(r));
    const char *memory = a->texts.at;
    r->method = keep(&a->texts, r->method);
    r->url = keep(&a->texts, r->url);
    r->body = keep(&a->texts, r->body);
    r->ca = keep(&a->texts, r->ca);
    r->cert = keep(&a->texts, r->cert);
    r->key = keep(&a->texts, r->key);
    r->traceparent = keep(&a->texts, r->traceparent);
    r->body_stays = true;
    a->header_count = r->header_count;
    a->headers = need_zero(a->header_count + BIND_HTTP_SIGN_HEADERS, sizeof(*a->headers));
    for (size_t i = 0; i < a->header_count; i++) {
        a->headers[i].name = keep(&a->texts, r->headers[i].name);
        a->headers[i].value = keep(&a->texts, r->headers[i].value);
    }
    r->headers = a->headers;
    CHECK(a->texts.at == memory);
    return a;
}

static void again_free(struct again **ap)
{
    struct again *a = *ap;
    if (a == NULL)
        return;
    timeout_clear(&a->pause);
    httpc_unhold(a->call->client, a->request.body.len);
    bind_http_sign_free(&a->sign);
    buf_free(&a->texts);
    buf_free(&a->signature);
    free(a->headers);
    free(a);
    *ap = NULL;
}

/* Signs the request as it goes out now: its time is signed too. */
static void sign(struct bind_http_sign *s, struct httpc_request *r, struct httpc_header *headers, size_t count,
                 struct buf *memory)
{
    struct slice values[BIND_HTTP_SIGN_HEADERS];
    bind_http_sign_make(s, r->body.at != NULL ? r->body : SLICE(""), wall_now(), memory, values);
    for (size_t i = 0; i < BIND_HTTP_SIGN_HEADERS; i++)
        headers[count + i] = (struct httpc_header){slice_of(bind_http_sign_headers[i]), values[i]};
    r->header_count = count + BIND_HTTP_SIGN_HEADERS;
}

/* --- one call ---------------------------------------------------------------------------------------------------- */

static void call_end(struct call *c)
{
    again_free(&c->again);
    free(c);
}

static int push_result(lua_State *co, void *cookie)
{
    struct call *c = cookie;
    const struct httpc_reply *reply = httpc_reply(c->http);
    if (reply->code != HTTPC_OK)
        return bind_http_push_failure(co, c->method, reply, c->attempts);
    bind_http_response_push(co, reply);
    if (!bind_http_plan_expects(c->expect, c->expect_count, reply->status))
        return bind_http_push_unexpected(co, c->method, reply, c->attempts);
    return 1;
}

static void attempt(struct call *c);

static void on_pause_over(struct timeout *t)
{
    struct again *a = CONTAINER_OF(t, struct again, pause);
    attempt(a->call);
}

/* Whether another attempt comes: its pause has begun then. */
static bool try_again(struct call *c, const struct httpc_reply *reply)
{
    struct again *a = c->again;
    uint32_t random;
    bool named = c->expect_count > 0 && bind_http_plan_expects(c->expect, c->expect_count, reply->status);
    if (a == NULL || !bind_http_retry_wanted(&a->retry, c->attempts, reply, a->request.repeatable, named))
        return false;
    random_fill(&random, sizeof(random));
    dur_t pause = bind_http_retry_pause(&a->retry, c->attempts, reply, wall_now(), random);
    mono_t at = mono_add(loop_now(c->loop), pause);
    if (!mono_before(at, a->end))
        return false;
    c->http = NULL;
    timeout_set(c->loop, &a->pause, at, on_pause_over);
    return true;
}

static void on_end(struct httpc_call *http, void *cookie)
{
    struct call *c = cookie;
    const struct httpc_reply *reply = httpc_reply(http);
    if (try_again(c, reply))
        return;
    await_complete(&c->await, push_result, c);
    call_end(c);
}

static const struct httpc_events events = {.end = on_end};

static void attempt(struct call *c)
{
    struct again *a = c->again;
    dur_t left = mono_since(a->end, mono_now());
    a->request.timeout = a->retry.timeout.ns > 0 && a->retry.timeout.ns < left.ns ? a->retry.timeout : left;
    if (a->request.timeout.ns <= 0)
        a->request.timeout.ns = 1; /* it ends at once, in words */
    buf_clear(&a->signature);
    if (a->sign.count > 0)
        sign(&a->sign, &a->request, a->headers, a->header_count, &a->signature);
    c->attempts++;
    c->http = httpc_start(c->client, &a->request, &events, c);
}

static void cancel(struct await *a)
{
    struct call *c = CONTAINER_OF(a, struct call, await);
    httpc_cancel(&c->http);
    call_end(c);
}

static struct call *call_new(const struct script_host *host, const struct bind_http_plan *p)
{
    struct call *c = need_zero(1, sizeof(*c));
    c->loop = host->loop;
    c->client = host->http;
    size_t len = p->request.method.len < sizeof(c->method) ? p->request.method.len : sizeof(c->method) - 1;
    memcpy(c->method, p->request.method.at, len); /* the rest is zero */
    memcpy(c->expect, p->expect, p->expect_count * sizeof(p->expect[0]));
    c->expect_count = p->expect_count;
    return c;
}

static int ask(lua_State *L, const char *what, const char *method)
{
    const struct script_host *host = state_host(state_of(L));
    struct bind_http_plan *p = bind_http_plan_read(L, what, method);
    await_check(L, what);
    if (host->http == NULL)
        script_error_words(L, "%s: no requests go out from here", what);
    if (p->stream)
        return bind_http_stream_start(L, p);
    struct call *c = call_new(host, p);
    /* Where there is no room to keep the body, there is none to send it once: that ends in words. */
    if (p->retry.attempts > 1 && httpc_hold(c->client, p->request.body.len)) {
        c->again = again_new(p, mono_add(mono_now(), p->request.timeout));
        c->again->call = c;
        attempt(c);
    } else {
        if (p->sign.count > 0)
            sign(&p->sign, &p->request, p->headers.at, p->request.header_count, &p->text);
        c->attempts = 1;
        c->http = httpc_start(c->client, &p->request, &events, c);
        bind_http_sign_free(&p->sign);
    }
    return await_begin(L, &c->await, cancel);
}

/* --- the global -------------------------------------------------------------------------------------------------- */

static int http_get(lua_State *L)
{
    return ask(L, "http.get", "GET");
}

static int http_head(lua_State *L)
{
    return ask(L, "http.head", "HEAD");
}

static int http_post(lua_State *L)
{
    return ask(L, "http.post", "POST");
}

static int http_put(lua_State *L)
{
    return ask(L, "http.put", "PUT");
}

static int http_patch(lua_State *L)
{
    return ask(L, "http.patch", "PATCH");
}

static int http_delete(lua_State *L)
{
    return ask(L, "http.delete", "DELETE");
}

static int http_request(lua_State *L)
{
    return ask(L, "http.request", NULL);
}

static int unknown(lua_State *L)
{
    static const char *const known[] = {"get", "head", "post", "put", "patch", "delete", "request"};
    struct slice name;
    name.at = luaL_checklstring(L, 2, &name.len);
    const char *nearest = slice_nearest(name, known, sizeof(known) / sizeof(known[0]));
    return nearest != NULL ? script_error_words(L, "there is no http.%s; did you mean http.%s?", name.at, nearest)
                           : script_error_words(L, "there is no http.%s", name.at);
}

void bind_http_open(lua_State *L)
{
    static const luaL_Reg functions[] = {{"get", http_get},         {"head", http_head},   {"post", http_post},
                                         {"put", http_put},         {"patch", http_patch}, {"delete", http_delete},
                                         {"request", http_request}, {NULL, NULL}};
    bind_http_plan_open(L);
    bind_http_stream_open(L);
    bind_http_response_open(L);
    lua_createtable(L, 0, 8);
    luaL_setfuncs(L, functions, 0);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, unknown);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
}
