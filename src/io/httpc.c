/*
 * httpc.c: the way of a call: its turn at the host, libcurl, what came of it; then the next hop, or the end. See
 * httpc.h. What libcurl's callbacks found is told in `deliver`, from the loop, when libcurl has returned; whoever is
 * told may end the call there, and start others.
 */
#include "io/httpc.h"
#include "base/panic.h"
#include "io/httpc_internal.h"
#include <stdlib.h>

#define CALLS_MAX 4096 /* under way */
#define IDLE_MAX 256   /* handles kept */
#define KEPT (HTTPC_PIECE + 1024)

static void on_done(void *cookie, CURL *easy, CURLcode code);
static void on_after(void *cookie);
static void deliver(struct httpc *c);

static void on_later(struct loop_later *later)
{
    deliver(CONTAINER_OF(later, struct httpc, later));
}

struct httpc *httpc_new(const struct httpc_host *host)
{
    struct httpc *c = need_zero(1, sizeof(*c));
    const struct io_curl_host curl = {.done = on_done, .after = on_after, .cookie = c};
    c->host = *host;
    list_init(&c->calls);
    list_init(&c->idle);
    list_init(&c->ready);
    list_init(&c->young);
    loop_later_init(&c->later, on_later);
    c->curl = io_curl_new(host->loop, &curl);
    c->outbound = outbound_new(host->loop);
    return c;
}

static void discard(struct httpc_call *call)
{
    curl_easy_cleanup(call->easy);
    curl_url_cleanup(call->parsed);
    buf_free(&call->known);
    buf_free(&call->given);
    buf_free(&call->text);
    buf_free(&call->body);
    buf_free(&call->url);
    buf_free(&call->origin);
    buf_free(&call->next);
    buf_free(&call->head);
    buf_free(&call->data);
    free(call->lines);
    free(call);
}

void httpc_free(struct httpc **cp)
{
    struct httpc *c = *cp;
    if (c == NULL)
        return;
    CHECK(c->call_count == 0 && c->memory == 0 && list_empty(&c->ready));
    while (!list_empty(&c->idle)) {
        struct httpc_call *call = CONTAINER_OF(c->idle.next, struct httpc_call, link);
        list_remove(&call->link);
        discard(call);
    }
    loop_later_cancel(&c->later);
    outbound_free(&c->outbound);
    io_curl_free(&c->curl);
    free(c);
    *cp = NULL;
}

struct outbound *httpc_outbound(struct httpc *c)
{
    return c->outbound;
}

size_t httpc_calls(const struct httpc *c)
{
    return c->call_count;
}

size_t httpc_idle(const struct httpc *c)
{
    return c->idle_count;
}

/* --- the pool ---------------------------------------------------------------------------------------------------- */

static struct httpc_call *take_idle(struct httpc *c)
{
    struct httpc_call *call;
    if (!list_empty(&c->idle)) {
        call = CONTAINER_OF(c->idle.prev, struct httpc_call, link); /* used last: warm */
        list_remove(&call->link);
        c->idle_count--;
    } else {
        call = need_zero(1, sizeof(*call));
        call->client = c;
        list_init(&call->link);
        list_init(&call->ready);
        list_init(&call->young);
        httpc_handle_open(call);
    }
    call->magic = HTTPC_MAGIC;
    list_add(&c->calls, &call->link);
    c->call_count++;
    return call;
}

static void trim(struct buf *b)
{
    if (b->room > KEPT)
        buf_free(b);
    else
        buf_clear(b);
}

static void rest(struct httpc_call *call)
{
    struct httpc *c = call->client;
    CHECK(call->magic == HTTPC_MAGIC && call->state != HTTPC_RUNNING);
    call->magic = 0;
    call->state = HTTPC_IDLE;
    timeout_clear(&call->deadline);
    list_remove(&call->ready);
    list_remove(&call->link);
    c->call_count--;
    if (call->events.data == NULL)
        c->memory -= call->data.len;
    httpc_unhold(c, call->body.len);
    httpc_handle_rest(call);
    httpc_unpack_free(call);
    trim(&call->body);
    trim(&call->text);
    trim(&call->head);
    trim(&call->data);
    free(call->credentials);
    call->credentials = NULL;
    if (c->idle_count >= IDLE_MAX) {
        discard(call);
        return;
    }
    list_add(&c->idle, &call->link);
    c->idle_count++;
}

/* --- telling ----------------------------------------------------------------------------------------------------- */

void httpc_tell(struct httpc_call *call)
{
    if (list_empty(&call->ready))
        list_add(&call->client->ready, &call->ready);
}

/* News that did not come from libcurl. */
static void tell_later(struct httpc_call *call)
{
    httpc_tell(call);
    loop_later(call->client->host.loop, &call->client->later);
}

void httpc_end(struct httpc_call *call)
{
    struct httpc *c = call->client;
    list_remove(&call->ready);
    call->reply.url = buf_slice(&call->url);
    call->reply.origin = buf_slice(&call->origin);
    call->reply.body = call->events.data == NULL ? buf_slice(&call->data) : SLICE_NONE;
    c->current = call;
    call->events.end(call, call->cookie);
    CHECK(c->current == call); /* cancelled by its own end */
    c->current = NULL;
    rest(call);
}

static void run(struct httpc_call *call);
static void next_hop(struct httpc_call *call);

static void deliver_one(struct httpc_call *call)
{
    struct httpc *c = call->client;
    if (call->stop == HTTPC_STOP_SPOILED) {
        call->stop = HTTPC_STOP_NONE;
        run(call);
        return;
    }
    c->current = call;
    if (httpc_is_streamed(call) && call->head_done && !call->following) {
        if (!httpc_stream_hand_over(call))
            return;
    }
    c->current = NULL;
    if (call->state != HTTPC_OVER || (httpc_is_streamed(call) && httpc_stream_has_more(call)))
        return;
    if (call->following && call->reply.code == HTTPC_OK)
        next_hop(call);
    else
        httpc_end(call);
}

/* Who asks again at once, and is refused at once, waits for the next pass: else a script that does so on and on would
 * keep its deadline, and everybody else, from their turn. */
static void deliver(struct httpc *c)
{
    struct list now;
    list_take(&now, &c->ready);
    while (!list_empty(&now)) {
        struct httpc_call *call = CONTAINER_OF(now.next, struct httpc_call, ready);
        list_remove(&call->ready);
        deliver_one(call);
    }
    if (!list_empty(&c->ready))
        loop_later(c->host.loop, &c->later);
}

static void on_after(void *cookie)
{
    httpc_deadline_connections(cookie);
    deliver(cookie);
}

/* --- one hop ----------------------------------------------------------------------------------------------------- */

/* Libcurl has it no more. */
static void leave(struct httpc_call *call, enum outbound_outcome outcome)
{
    call->state = HTTPC_OVER;
    list_remove(&call->young);
    timeout_clear(&call->connect);
    outbound_leave(call->client->outbound, &call->turn, outcome);
}

void httpc_done(struct httpc_call *call, CURLcode code)
{
    CHECK(call->magic == HTTPC_MAGIC && call->state == HTTPC_RUNNING);
    if (call->stop == HTTPC_STOP_SPOILED) { /* that connection is closed: over another one, in the same turn */
        call->state = HTTPC_WAITING;
        httpc_tell(call);
        return;
    }
    if (code == CURLE_OK && !call->following && !call->unpack_waits)
        httpc_unpack_end(call);
    httpc_outcome_of(call, code);
    leave(call, httpc_outcome_judge(call, code));
    httpc_tell(call);
}

static void on_done(void *cookie, CURL *easy, CURLcode code)
{
    struct httpc_call *call = NULL;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&call);
    httpc_done(call, code);
}

void httpc_abandon(struct httpc_call *call, enum outbound_outcome outcome)
{
    if (call->state == HTTPC_RUNNING)
        io_curl_remove(call->client->curl, call->easy);
    leave(call, outcome);
}

static void fail(struct httpc_call *call, enum httpc_code code, const char *words)
{
    httpc_outcome_set(call, code, words);
    call->state = HTTPC_OVER;
    tell_later(call);
}

static void run(struct httpc_call *call)
{
    call->state = HTTPC_RUNNING;
    list_remove(&call->young);
    list_add(&call->client->young, &call->young);
    httpc_handle_set(call);
    io_curl_add(call->client->curl, call->easy);
}

static void on_turn(struct outbound_wait *wait)
{
    struct httpc_call *call = CONTAINER_OF(wait, struct httpc_call, turn);
    CHECK(call->magic == HTTPC_MAGIC && call->state == HTTPC_WAITING);
    call->ran = loop_now(call->client->host.loop);
    if (wait->open)
        fail(call, HTTPC_CIRCUIT_OPEN, NULL);
    else
        run(call);
}

/* By the origin, which ends with it: so before anything is looked up. */
static bool port_allowed(const struct httpc_call *call)
{
    const struct address_rules *rules = call->client->host.rules;
    struct slice origin = buf_slice(&call->origin);
    unsigned long long port;
    if (!rules->only)
        return true;
    return slice_to_u64(slice_from(origin, slice_find_last(origin, ':') + 1), UINT16_MAX, &port) &&
           address_port_allowed(rules, (uint16_t)port);
}

/* call.url and .origin are set. */
static void begin_hop(struct httpc_call *call)
{
    unsigned bound = call->request.concurrency;
    call->asked = 0;
    call->head_size = call->dropped = call->received = 0;
    call->head_done = call->following = call->paused = false;
    httpc_unpack_free(call);
    call->stop = HTTPC_STOP_NONE;
    call->refused = NULL;
    call->no_socket = 0;
    call->reply.status = 0;
    call->reply.head = SLICE_NONE;
    buf_clear(&call->head);
    call->state = HTTPC_WAITING;
    if (!port_allowed(call)) {
        fail(call, HTTPC_ADDRESS_REFUSED, "the setting http_ports does not allow its port");
        return;
    }
    bound = bound == 0 ? OUTBOUND_CONCURRENCY : bound > OUTBOUND_CONCURRENCY_MAX ? OUTBOUND_CONCURRENCY_MAX : bound;
    switch (outbound_enter(call->client->outbound, buf_slice(&call->origin), bound, &call->turn, on_turn)) {
    case OUTBOUND_GO:
        run(call);
        break;
    case OUTBOUND_WAIT:
        break;
    case OUTBOUND_OPEN:
        fail(call, HTTPC_CIRCUIT_OPEN, NULL);
        break;
    case OUTBOUND_FULL:
        fail(call, HTTPC_BUSY, "too many different hosts");
    }
}

static void next_hop(struct httpc_call *call)
{
    httpc_redirect_take(call);
    call->ran = loop_now(call->client->host.loop);
    begin_hop(call);
}

/* --- the call ---------------------------------------------------------------------------------------------------- */

static const char *set_url(struct httpc_call *call)
{
    struct url u;
    if (call->given.len > 0 && slice_equal(buf_slice(&call->given), call->request.url))
        return NULL; /* as the last time */
    const char *fault = url_parse(call->request.url, &u);
    buf_clear(&call->given);
    buf_clear(&call->url);
    buf_clear(&call->origin);
    if (fault != NULL)
        return fault;
    url_write(&u, &call->url);
    url_origin(&u, &call->origin);
    buf_add_slice(&call->given, call->request.url);
    return NULL;
}

/* An eighth of the room is left to the replies: what is sent should not come back as a reply that has none. */
bool httpc_hold(struct httpc *c, size_t bytes)
{
    size_t room = c->host.memory - c->host.memory / 8;
    if (c->memory > room || bytes > room - c->memory)
        return false;
    c->memory += bytes;
    return true;
}

void httpc_unhold(struct httpc *c, size_t bytes)
{
    CHECK(c->memory >= bytes);
    c->memory -= bytes;
}

/* NULL; or why it has to fail: nothing was copied then. */
static const char *take_request(struct httpc_call *call, const struct httpc_request *r)
{
    struct httpc *c = call->client;
    call->request = (struct httpc_request){.timeout = r->timeout};
    if (c->call_count > CALLS_MAX)
        return "too many requests of this worker are under way";
    if (!httpc_hold(c, r->body_stays ? 0 : r->body.len))
        return "no memory for the request";
    httpc_request_take(call, r);
    return NULL;
}

struct httpc_call *httpc_start(struct httpc *c, const struct httpc_request *r, const struct httpc_events *events,
                               void *cookie)
{
    struct httpc_call *call = take_idle(c);
    call->events = *events;
    call->cookie = cookie;
    call->reply = (struct httpc_reply){.words = ""};
    call->handed = 0;
    call->foreign = call->told = call->held = false;
    call->turn = (struct outbound_wait){0};
    const char *busy = take_request(call, r);
    call->request.url = r->url;
    const char *fault = set_url(call);
    call->request.url = SLICE_NONE;
    httpc_deadline_begin(call);
    if (fault != NULL)
        fail(call, HTTPC_BAD_URL, fault);
    else if (busy != NULL)
        fail(call, HTTPC_BUSY, busy);
    else
        begin_hop(call);
    return call;
}

void httpc_cancel(struct httpc_call **cp)
{
    struct httpc_call *call = *cp;
    if (call == NULL)
        return;
    *cp = NULL;
    CHECK(call->magic == HTTPC_MAGIC);
    if (call->client->current == call)
        call->client->current = NULL;
    httpc_abandon(call, httpc_deadline_blame(call));
    rest(call);
}

void httpc_resume(struct httpc_call *call)
{
    CHECK(call->magic == HTTPC_MAGIC && httpc_is_streamed(call));
    if (!call->held)
        return;
    call->held = false;
    httpc_deadline_silence(call);
    tell_later(call);
}

const struct httpc_reply *httpc_reply(const struct httpc_call *call)
{
    CHECK(call->magic == HTTPC_MAGIC);
    return &call->reply;
}
