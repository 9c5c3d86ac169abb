/*
 * steps.c: see steps.h. Lua is entered only through script/task; what is pushed for it is pushed under lua_pcall,
 * because pushing may meet the state's memory ceiling.
 */
#include "server/steps.h"
#include "base/panic.h"
#include "bind/bind_body.h"
#include "bind/bind_reply.h"
#include "bind/bind_verify.h"
#include "codec/json.h"
#include "policy/event_type.h"
#include "route/generation.h"
#include "server/access.h"
#include "server/answer_cors.h"
#include "server/answer_file.h"
#include "server/answer_proxy.h"
#include "server/dev_page.h"
#include "server/http2_head.h"
#include "server/probation.h"
#include "server/steps_rate.h"
#include "server/tls.h"
#include <lauxlib.h>
#include <stdio.h>

#define ROOM_KEPT ((size_t)1 << 20)

/* --- what Lua needs --------------------------------------------------------------------------------------------- */

static int push_handle(lua_State *L)
{
    struct exchange *ex = lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, ex->handler->function);
    bind_req_push(L, &ex->bind);
    return 2;
}

static int push_verify(lua_State *L)
{
    struct exchange *ex = lua_touserdata(L, 1);
    return bind_verify_push_task(L, exchange_endpoint(ex)->verify, &ex->bind) + 1;
}

static void open_protected(lua_State *L, void *cookie)
{
    struct server *s = cookie;
    lua_pushcfunction(L, push_handle);
    s->push_handle = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushcfunction(L, push_verify);
    s->push_verify = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushcfunction(L, steps_stream_push);
    s->push_stream = luaL_ref(L, LUA_REGISTRYINDEX);
    steps_rate_open(L, s);
}

int steps_open(struct server *s, struct error *err)
{
    return state_protected(s->host.state, open_protected, s, err);
}

/* --- before the endpoint is known ------------------------------------------------------------------------------- */

static wall_t wall_of_pass(struct server *s)
{
    mono_t pass = loop_now(s->host.loop);
    if (pass.ns != s->wall_pass.ns) {
        s->wall_pass = pass;
        s->wall = wall_now();
    }
    return s->wall;
}

/*
 * A connection may carry requests for any host, whatever name its handshake was for: one that asks for client
 * certificates is served to who has met that (RFC 9110 7.4, 15.5.20).
 */
static bool may_site(const struct exchange *ex)
{
    const struct server *s = ex->server;
    const struct connection *c = ex->connection;
    if (s->tls == NULL || ex->view.host.len == 0) /* HTTP/1.0 may name none, and reaches the script of none then */
        return true;
    const struct tls_site *met = c != NULL && c->ssl != NULL ? tls_site_of(c->ssl) : NULL;
    return tls_site_may(tls_site_named(s->tls, ex->view.host), met);
}

/* viewed: its path and host can be told, but by a proxy, whose fields are not read yet. */
static enum step_result too_fast(struct exchange *ex, bool viewed)
{
    CHECK(http_response_add(exchange_response(ex), SLICE("retry-after"), SLICE("1"), NULL) == 0);
    if (viewed && !ex->connection->proxied && may_site(ex))
        answer_cors_unrouted(ex);
    exchange_refuse(ex, REASON_connection_rate, "this connection has asked too much at once");
    return STEP_DONE;
}

enum step_result steps_view(struct exchange *ex)
{
    const char *why = NULL;
    int viewed = http_request_view(ex->req, wall_of_pass(ex->server), &ex->view, &why);
    if (ex->connection != NULL && ex->connection->framing != NULL) {
        why = ex->connection->framing;
        viewed = -1;
    }
    trace_read(&ex->view, &ex->trace);
    if (ex->connection != NULL && ex->connection->identity != NULL)
        ex->view.identity = ex->identity = identity_hold(ex->connection->identity);
    bool crowded = ex->connection != NULL && ex->connection->crowded;
    if (ex->connection != NULL && !connections_may_ask(ex->connection))
        return too_fast(ex, viewed == 0 && !crowded);
    if (viewed == 0 && !crowded)
        return STEP_NEXT;
    exchange_response(ex);
    if (crowded)
        exchange_refuse(ex, REASON_headers_too_large, "the request has too many header fields");
    else
        exchange_refuse(ex, REASON_bad_request, why);
    return STEP_DONE;
}

enum step_result steps_limits(struct exchange *ex)
{
    const struct config_limits *limits = &ex->server->host.config->limits;
    const struct http_request *v = &ex->view;
    if (v->raw_path.len + v->query.len > limits->uri || http2_head_is_target(ex->req)) {
        exchange_response(ex);
        answer_cors_unrouted(ex);
        exchange_refuse(ex, REASON_uri_too_long, "the request's path and query are too long");
        return STEP_DONE;
    }
    size_t fields = v->header_count - v->header_own;
    if (v->header_bytes > limits->headers || fields > limits->fields) {
        exchange_response(ex);
        answer_cors_unrouted(ex);
        exchange_refuse(ex, REASON_headers_too_large,
                        fields > limits->fields ? "the request has too many header fields"
                                                : "the request's header fields are too large");
        return STEP_DONE;
    }
    return STEP_NEXT;
}

enum step_result steps_site(struct exchange *ex)
{
    if (may_site(ex))
        return STEP_NEXT;
    exchange_response(ex);
    exchange_refuse(ex, REASON_misdirected, "this host wants a connection of its own, with a client certificate");
    return STEP_DONE;
}

static enum step_result not_now(struct exchange *ex, const char *detail)
{
    CHECK(http_response_add(exchange_response(ex), SLICE("retry-after"), SLICE("1"), NULL) == 0);
    exchange_refuse(ex, REASON_not_loaded, detail);
    return STEP_DONE;
}

const struct endpoint *steps_endpoint_at(struct server *s, struct slice host, struct slice path)
{
    struct generation *g = s->host.generation(s->host.cookie);
    struct router_match match = {.endpoint = NULL};
    if (g != NULL)
        router_find(g->router, host, path, &match);
    return match.endpoint;
}

enum step_result steps_route(struct exchange *ex)
{
    struct server_host *host = &ex->server->host;
    struct generation *g = host->generation(host->cookie);
    if (g == NULL)
        return not_now(ex, "the scripts are not loaded yet");
    ex->match.endpoint = NULL;
    ex->match.param_count = 0;
    ex->generation = generation_hold(g);
    router_find(g->router, ex->view.host, ex->view.path, &ex->match);
    if (ex->match.endpoint == NULL) {
        dev_page_note_routes(ex->server, g);
        exchange_response(ex);
        exchange_refuse(ex, REASON_no_route, "nothing is served here");
        return STEP_DONE;
    }
    if (ex->match.endpoint->broken == NULL)
        return STEP_NEXT;
    dev_page_note(ex->server, slice_of(ex->match.endpoint->broken));
    return not_now(ex, "this endpoint's script has not loaded");
}

/* --- what the endpoint declares --------------------------------------------------------------------------------- */

enum step_result steps_method(struct exchange *ex)
{
    const struct endpoint *e = exchange_endpoint(ex);
    ex->handler = endpoint_handler_for(e, ex->view.method.at, ex->view.method.len);
    if (ex->handler != NULL)
        return STEP_NEXT;
    struct http_response *r = exchange_response(ex);
    if (e->allow != NULL)
        CHECK(http_response_add(r, SLICE("allow"), slice_of(e->allow), NULL) == 0);
    if (!e->options && slice_equal(ex->view.method, SLICE("OPTIONS")))
        exchange_answer(ex); /* a cleared response is an empty 204 */
    else
        exchange_refuse(ex, REASON_method_not_allowed, "this endpoint does not take this method");
    return STEP_DONE;
}

size_t steps_body_bound(const struct server *s, const struct endpoint *e)
{
    size_t most = s->host.config->limits.body;
    return e->max_body < most ? e->max_body : most;
}

enum step_result steps_size(struct exchange *ex)
{
    const struct connection *c = ex->connection;
    enum reason cut = c != NULL ? c->refusal.why : REASON_none;
    if (cut == REASON_body_memory || cut == REASON_body_memory_per_ip) {
        CHECK(http_response_add(exchange_response(ex), SLICE("retry-after"), SLICE("1"), NULL) == 0);
        exchange_refuse(ex, cut,
                        cut == REASON_body_memory ? "there is no memory for the body now"
                                                  : "this address has too many bodies on their way");
        return STEP_DONE;
    }
    size_t bound = steps_body_bound(ex->server, exchange_endpoint(ex));
    size_t inflated = ex->server->host.config->limits.inflated;
    ex->bind.max_body = bound < inflated ? bound : inflated;
    if (ex->view.body.len <= bound && cut == REASON_none && (c == NULL || !c->unread))
        return STEP_NEXT;
    char words[64];
    snprintf(words, sizeof(words), "the body has more than %zu bytes", bound);
    exchange_response(ex);
    exchange_refuse(ex, REASON_body_too_large, words);
    return STEP_DONE;
}

/* --- tasks ------------------------------------------------------------------------------------------------------ */

/* RFC 9110 15.5.16: a body in a coding that is not known is told which ones are. */
static void accept_codings(struct exchange *ex, int status)
{
    if (status == 415 && ex->bind.content.status == 415)
        CHECK(http_response_add(&ex->server->response, SLICE("accept-encoding"), SLICE(CONTENT_ACCEPTED), NULL) == 0);
}

/* RFC 9110 10.2.3 */
static void ask_again(struct exchange *ex)
{
    CHECK(http_response_add(&ex->server->response, SLICE("retry-after"), SLICE("1"), NULL) == 0);
}

static enum step_result answer_error(struct exchange *ex, const struct script_error *e)
{
    access_script_error(ex, e);
    if (e->interrupted)
        probation_struck(ex);
    exchange_response(ex);
    accept_codings(ex, e->status);
    if (e->passing)
        ask_again(ex);
    exchange_problem(ex, e->status, e->detail.len > 0 ? buf_slice(&e->detail) : SLICE_NONE,
                     e->members.len > 0 ? buf_slice(&e->members) : SLICE_NONE);
    return STEP_DONE;
}

enum step_result steps_raised(struct exchange *ex, lua_State *co)
{
    struct script_error e = {.status = 500};
    script_error_read(co, &e);
    enum step_result result = answer_error(ex, &e);
    script_error_free(&e);
    return result;
}

void steps_unstarted(struct exchange *ex, lua_State *L)
{
    steps_raised(ex, L);
}

enum step_result steps_task(struct exchange *ex, int push, task_done_fn *done,
                            void (*failed)(struct exchange *ex, lua_State *L))
{
    struct server *s = ex->server;
    lua_State *L = state_lua(s->host.state);
    int top = lua_gettop(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, push);
    lua_pushlightuserdata(L, ex);
    if (lua_pcall(L, 1, LUA_MULTRET, 0) != 0) {
        failed(ex, L);
        lua_settop(L, top);
        return STEP_DONE;
    }
    struct endpoint *e = exchange_endpoint(ex);
    ex->starting = true;
    struct task *task = task_start(s->host.state, lua_gettop(L) - top - 1, e->name, e->version, e->max_run, done, ex);
    ex->starting = false;
    if (task == NULL)
        return ex->outcome;
    ex->task = task;
    return STEP_WAIT;
}

void steps_task_over(struct exchange *ex, enum step_result outcome)
{
    ex->outcome = outcome;
    if (!ex->starting)
        loop_later(ex->server->host.loop, &ex->later);
}

/* --- verify ----------------------------------------------------------------------------------------------------- */

static enum step_result refuse_verify(struct exchange *ex, enum reason reason)
{
    struct http_response *r = exchange_response(ex);
    const char *challenge = verify_challenge(exchange_endpoint(ex)->verify);
    if (policy_reason_status(reason) == 401 && challenge != NULL)
        CHECK(http_response_add(r, SLICE("www-authenticate"), slice_of(challenge), NULL) == 0);
    /* The same words whatever the reason is: it is for the log and the metrics. */
    exchange_refuse(ex, reason, "the request was not verified");
    return STEP_DONE;
}

static void verified(enum task_end end, lua_State *co, int count, void *cookie)
{
    struct exchange *ex = cookie;
    CHECK(ex->magic == EXCHANGE_MAGIC);
    ex->task = NULL;
    ex->bind.verifying = false;
    if (end == TASK_FAILED) {
        ex->refused = REASON_verifier_failed;
        access_refused(ex, REASON_verifier_failed);
        steps_task_over(ex, steps_raised(ex, co));
        return;
    }
    enum reason reason = REASON_none;
    if (bind_verify_result(co, count, &reason) == VERDICT_PASS)
        steps_task_over(ex, STEP_NEXT);
    else
        steps_task_over(ex, refuse_verify(ex, reason));
}

enum step_result steps_verify(struct exchange *ex)
{
    const struct verifier *v = exchange_endpoint(ex)->verify;
    if (v == NULL)
        return STEP_NEXT;
    ex->bind.verifying = verify_needs_lua(v);
    if (ex->bind.verifying)
        return steps_task(ex, ex->server->push_verify, verified, steps_unstarted);
    enum reason reason = REASON_none;
    if (verify_check(v, &ex->view, ex->view.received_at, &ex->auth, &reason) == VERDICT_PASS)
        return STEP_NEXT;
    return refuse_verify(ex, reason);
}

/* --- events ----------------------------------------------------------------------------------------------------- */

/* 0, or -1 with the fault: a body that must say the type and is no JSON, or cannot be unpacked. */
static int read_event_type(struct exchange *ex, const char *place, struct bind_body_fault *fault_out)
{
    const struct json_reader *json = NULL;
    bool in_body = event_type_in_body(place);
    if (in_body && ex->view.body.len > 0 &&
        (json = bind_body_reader(ex->server->host.state, &ex->bind, fault_out)) == NULL)
        return -1;
    struct slice type = event_type_read(place, &ex->view, json);
    if (type.at != NULL && in_body) { /* it lies in the reader */
        buf_clear(&ex->event_type);
        buf_add_slice(&ex->event_type, type);
        buf_add_char(&ex->event_type, '\0'); /* so that an empty type still has memory */
        type = (struct slice){ex->event_type.at, type.len};
    }
    ex->bind.event_type = type;
    return 0;
}

/* To acknowledge it as one that nobody wants would lose an event with a 2xx. */
static enum step_result refuse_untyped(struct exchange *ex, const struct bind_body_fault *fault)
{
    exchange_response(ex);
    accept_codings(ex, fault->status);
    exchange_refuse(ex,
                    fault->status == 413          ? REASON_body_too_large
                    : fault->status == 415        ? REASON_unknown_coding
                    : fault->status != 503        ? REASON_bad_request
                    : ex->bind.content.past_share ? REASON_body_memory_per_ip
                                                  : REASON_body_memory,
                    fault->words);
    return STEP_DONE;
}

enum step_result steps_events(struct exchange *ex)
{
    const struct endpoint *e = exchange_endpoint(ex);
    const char *place = e->event_type;
    if (place == NULL && e->verify != NULL)
        place = verify_event_type(e->verify);
    struct bind_body_fault fault;
    if (place != NULL && read_event_type(ex, place, &fault) != 0 && e->events != NULL)
        return refuse_untyped(ex, &fault);
    if (e->events == NULL || event_type_wanted(ex->bind.event_type, e->events, e->event_count))
        return STEP_NEXT;
    struct http_response *r = exchange_response(ex);
    int ack = e->ack_status == 0 && e->verify != NULL ? verify_ack_status(e->verify) : e->ack_status;
    if (ack != 0)
        r->status = ack;
    counters_add(ex->server->counters, COUNTER_events_ignored, 1);
    exchange_answer(ex);
    return STEP_DONE;
}

/* --- handle ----------------------------------------------------------------------------------------------------- */

static void trim_room(struct server *s)
{
    if (s->room.room > ROOM_KEPT)
        buf_free(&s->room);
}

/* To read it may have taken too long, which is no other thing than a loop in the handler. */
static void refuse_reply(struct exchange *ex, const char *words)
{
    struct script_error e = {.status = 500, .interrupted = ex->plan.interrupted};
    buf_add_text(&e.log, words);
    answer_error(ex, &e);
    script_error_free(&e);
}

static enum step_result answer_reply(struct exchange *ex, lua_State *co, int count)
{
    struct server *s = ex->server;
    struct error err; /* not cleared as a whole: each answer passes here */
    err.text[0] = '\0';
    buf_clear(&s->room);
    if (bind_reply_read(co, count, &ex->view.id, exchange_response(ex), &ex->plan, &s->room, &err) != 0 ||
        answer_cors_check(ex, &err) != 0) {
        bind_reply_plan_drop(co, &ex->plan);
        refuse_reply(ex, err.text);
        trim_room(s);
        return STEP_DONE;
    }
    if (ex->plan.file) {
        answer_file_take(ex);
        return STEP_NEXT;
    }
    if (ex->plan.proxy != NULL) {
        answer_proxy_take(ex);
        return STEP_NEXT;
    }
    if (ex->plan.function != 0)
        return steps_stream_begin(ex) ? STEP_NEXT : STEP_DONE;
    exchange_answer(ex);
    trim_room(s); /* a large answer has been copied into libh2o's memory */
    return STEP_DONE;
}

static void handled(enum task_end end, lua_State *co, int count, void *cookie)
{
    struct exchange *ex = cookie;
    CHECK(ex->magic == EXCHANGE_MAGIC);
    ex->task = NULL;
    enum step_result result = end == TASK_FAILED ? steps_raised(ex, co) : answer_reply(ex, co, count);
    if (ex->plan.function == 0)
        probation_passed(ex);
    steps_task_over(ex, result);
}

enum step_result steps_handle(struct exchange *ex)
{
    return steps_task(ex, ex->server->push_handle, handled, steps_unstarted);
}
