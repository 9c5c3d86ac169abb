/*
 * answer_proxy.c: ask an upstream, and another one if it fails, then hand its reply on. See answer_proxy.h.
 * A reply whose length is said and small waits for its first piece, which is mostly all of it: it goes out in one go,
 * and one that ends before that can still become a 502, or come from elsewhere. Any other one begins with its header.
 */
#include "server/answer_proxy.h"
#include "base/panic.h"
#include "http/proxy.h"
#include "server/access.h"
#include "server/answer_cors.h"
#include "server/cancel.h"
#include "server/streaming.h"
#include <stdlib.h>

#define WHOLE_MAX ((size_t)64 << 10) /* no more than httpc hands over at once */

struct answer_proxy {
    struct exchange *ex;
    const struct proxy_plan *plan; /* the exchange keeps it */
    struct httpc_call *call;       /* the attempt under way, or NULL */
    size_t upstream;               /* where */
    uint64_t tried;                /* bits */
    unsigned attempts;
    mono_t began;            /* the attempt */
    mono_t until;            /* all attempts; MONO_NEVER: each has its own time */
    enum httpc_code failure; /* of an earlier attempt */
    bool streaming;
    long long small; /* the length that a small reply says; -1: it says none, or one that is not */
    long long left;  /* of the reply's body; -1: not known */
};

static const struct proxy_upstream *upstream_of(const struct answer_proxy *p)
{
    return &p->plan->upstreams[p->upstream];
}

static struct slice origin_of(const struct answer_proxy *p)
{
    return (struct slice){upstream_of(p)->origin, upstream_of(p)->origin_len};
}

static struct slice method_of(const struct answer_proxy *p)
{
    return p->plan->method.at != NULL ? p->plan->method : p->ex->view.method;
}

void answer_proxy_take(struct exchange *ex)
{
    struct answer_proxy *p = need_zero(1, sizeof(*p));
    CHECK(ex->proxy == NULL && ex->plan.proxy != NULL);
    p->ex = ex;
    p->plan = ex->plan.proxy;
    p->left = -1;
    p->until = p->plan->timeout.ns > 0 ? MONO_NEVER : mono_add(ex->started, exchange_endpoint(ex)->timeout);
    ex->proxy = p;
}

/* The exchange lets it go; it is not touched afterwards. */
static struct exchange *part(struct answer_proxy *p)
{
    struct exchange *ex = p->ex;
    CHECK(ex->magic == EXCHANGE_MAGIC && ex->proxy == p);
    ex->proxy = NULL;
    httpc_cancel(&p->call);
    free(p);
    return ex;
}

void answer_proxy_stop(struct exchange *ex)
{
    if (ex->proxy != NULL)
        part(ex->proxy);
}

/* --- what is answered where no upstream does --------------------------------------------------------------------- */

static const struct {
    enum httpc_code code;
    int status;
    const char *detail;
} failures[] = {
    {HTTPC_DNS, 502, "the upstream could not be reached"},
    {HTTPC_REFUSED, 502, "the upstream could not be reached"},
    {HTTPC_UNREACHABLE, 502, "the upstream could not be reached"},
    {HTTPC_TLS, 502, "the upstream could not be reached"},
    {HTTPC_ADDRESS_REFUSED, 502, "the upstream could not be reached"},
    {HTTPC_CIRCUIT_OPEN, 502, "no upstream is available now"},
    {HTTPC_TIMEOUT, 504, "the upstream did not answer in time"},
    {HTTPC_BUSY, 503, "too many requests are on their way to upstreams"},
};

static void answer_failure(struct exchange *ex, enum httpc_code code)
{
    int status = 502;
    const char *detail = "the upstream gave no valid answer";
    for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++)
        if (failures[i].code == code) {
            status = failures[i].status;
            detail = failures[i].detail;
        }
    struct http_response *r = exchange_response(ex);
    if (status == 503)
        CHECK(http_response_add(r, SLICE("retry-after"), SLICE("1"), NULL) == 0);
    exchange_problem(ex, status, slice_of(detail), SLICE_NONE);
}

static void note(struct answer_proxy *p, enum httpc_code code, const char *words, bool last)
{
    access_upstream_failed(p->ex, origin_of(p), code, words, last);
}

/* The end of it, without another attempt. */
static void fail(struct answer_proxy *p, enum httpc_code code, const char *words)
{
    enum httpc_code first = p->failure;
    bool streaming = p->streaming;
    note(p, code, words, true);
    struct exchange *ex = part(p);
    if (streaming)
        streaming_break(ex);
    else
        answer_failure(ex, code == HTTPC_CIRCUIT_OPEN && first != HTTPC_OK ? first : code);
    exchange_over(ex);
}

/* --- the reply --------------------------------------------------------------------------------------------------- */

static void ready(struct exchange *ex)
{
    httpc_resume(ex->proxy->call);
}

/* A client that has shut down its sending side may wait for the rest of what ends by itself. */
static const struct streaming_writer sized = {.ready = ready, .stop = answer_proxy_stop, .finite = true};
static const struct streaming_writer endless = {.ready = ready, .stop = answer_proxy_stop};

/* Status and header into the server's response. False: they are none, and that has been answered. */
static bool make_response(struct answer_proxy *p, const struct httpc_reply *reply, long long *length_out)
{
    struct error err, words;
    if (proxy_response(p->plan, upstream_of(p), reply, exchange_response(p->ex), length_out, &err) == 0) {
        answer_cors_clean(p->ex);
        return true;
    }
    error_set(&words, "%.*s: %s", SLICE_ARG(origin_of(p)), err.text);
    fail(p, HTTPC_BAD_RESPONSE, words.text);
    return false;
}

static void answered(struct answer_proxy *p)
{
    exchange_over(part(p));
}

/* The header goes out. False: there is no body to write, and it is over. */
static bool begin(struct answer_proxy *p, const struct httpc_reply *reply)
{
    long long length;
    if (!make_response(p, reply, &length))
        return false;
    if (!streaming_begin(p->ex, length, length >= 0 ? &sized : &endless)) {
        answered(p);
        return false;
    }
    p->streaming = true;
    p->left = length;
    return true;
}

static long long small_length(const struct httpc_reply *reply)
{
    unsigned long long length;
    if (!slice_to_u64(httpc_header(reply->head, SLICE("content-length")), WHOLE_MAX, &length) ||
        httpc_header(reply->head, SLICE("transfer-encoding")).at != NULL)
        return -1;
    return (long long)length;
}

static void on_headers(struct httpc_call *call, void *cookie)
{
    struct answer_proxy *p = cookie;
    const struct httpc_reply *reply = httpc_reply(call);
    p->ex->upstream_time = mono_since(mono_now(), p->began);
    p->small = small_length(reply);
    if (p->small < 0 && !proxy_is_bodiless(method_of(p), reply->status))
        begin(p, reply);
}

/* The whole body is there, or there is none. */
static void answer_whole(struct answer_proxy *p, const struct httpc_reply *reply, struct slice body)
{
    long long length;
    struct exchange *ex = p->ex;
    if (!make_response(p, reply, &length))
        return;
    if (slice_equal(ex->view.method, SLICE("HEAD")) && reply->status != 204 && reply->status != 304) {
        CHECK(!streaming_begin(ex, length, &sized)); /* the header alone, with this length */
    } else {
        ex->server->response.body = body;
        exchange_answer(ex);
    }
    answered(p);
}

static bool on_data(struct httpc_call *call, struct slice piece, void *cookie)
{
    struct answer_proxy *p = cookie;
    if (!p->streaming) {
        const struct httpc_reply *reply = httpc_reply(call);
        if (reply->code != HTTPC_OK) /* it has failed already: nothing of it goes out */
            return true;
        if ((long long)piece.len == p->small) {
            answer_whole(p, reply, piece);
            return false;
        }
        if (!begin(p, reply))
            return false;
    }
    if (p->left >= 0 && (long long)piece.len > p->left) {
        fail(p, HTTPC_BAD_RESPONSE, "the body is longer than was said");
        return false;
    }
    p->left -= p->left >= 0 ? (long long)piece.len : 0;
    return streaming_write(p->ex, piece);
}

static void on_whole(struct answer_proxy *p, const struct httpc_reply *reply)
{
    if (!p->streaming && (proxy_is_bodiless(method_of(p), reply->status) || p->small == 0)) {
        answer_whole(p, reply, SLICE_NONE);
    } else if (!p->streaming || p->left > 0) {
        fail(p, HTTPC_BAD_RESPONSE, "the body is shorter than was said");
    } else {
        struct exchange *ex = part(p);
        streaming_end(ex);
        exchange_over(ex);
    }
}

/* --- attempts ---------------------------------------------------------------------------------------------------- */

static bool attempt(struct answer_proxy *p);

/* As nginx's proxy_next_upstream does by default: what failed on the way. */
static bool is_passing(enum httpc_code code)
{
    switch (code) {
    case HTTPC_DNS:
    case HTTPC_REFUSED:
    case HTTPC_UNREACHABLE:
    case HTTPC_TLS:
    case HTTPC_TIMEOUT:
    case HTTPC_CLOSED:
    case HTTPC_CIRCUIT_OPEN:
        return true;
    default:
        return false;
    }
}

static bool may_try_again(const struct answer_proxy *p, const struct httpc_reply *reply)
{
    struct httpc_request r = {.method = method_of(p)};
    if (p->streaming || !is_passing(reply->code) || (reply->sent && !proxy_repeatable(&r)))
        return false;
    if (reply->code == HTTPC_CIRCUIT_OPEN) /* nobody was asked: it is not counted, but each is asked once */
        return p->tried + 1 < UINT64_C(1) << p->plan->upstream_count;
    return p->attempts < p->plan->attempts && mono_before(mono_now(), p->until);
}

static void on_end(struct httpc_call *call, void *cookie)
{
    struct answer_proxy *p = cookie;
    const struct httpc_reply *reply = httpc_reply(call);
    p->call = NULL; /* it ends by itself */
    if (reply->code == HTTPC_OK) {
        on_whole(p, reply);
        return;
    }
    if (reply->code == HTTPC_CIRCUIT_OPEN)
        p->attempts--;
    if (!may_try_again(p, reply)) {
        fail(p, reply->code, reply->words);
        return;
    }
    if (reply->code != HTTPC_CIRCUIT_OPEN)
        p->failure = reply->code;
    note(p, reply->code, reply->words, false);
    counters_add(p->ex->server->counters, COUNTER_upstream_retries, 1);
    struct exchange *ex = p->ex;
    if (!attempt(p))
        exchange_over(ex);
}

/* The request must not go on. */
static void refuse(struct answer_proxy *p, const struct proxy_refusal *refusal)
{
    struct exchange *ex = part(p);
    if (refusal->script)
        access_bad_reply(ex, refusal->words);
    exchange_response(ex);
    exchange_problem(ex, refusal->status, refusal->script ? SLICE_NONE : slice_of(refusal->words), SLICE_NONE);
}

/*
 * The attempt's time. Where it is out of one that all of them share, and another attempt may follow, it gets half of
 * what is left, so that an upstream that hangs does not use up the next one's; what cannot be sent twice, only for its
 * connection.
 */
static void set_times(const struct answer_proxy *p, struct httpc_request *r)
{
    dur_t left = mono_since(p->until, p->began), share = left;
    if (p->plan->timeout.ns > 0) {
        r->timeout = p->plan->timeout;
        return;
    }
    if (left.ns <= 0)
        left = share = DUR_MS(1); /* passed, which it then says itself */
    else if (p->attempts < p->plan->attempts)
        share = (dur_t){left.ns / 2};
    r->timeout = r->repeatable ? share : left;
    if (r->connect_timeout.ns > share.ns)
        r->connect_timeout = share;
}

/* False: the exchange is answered. */
static bool attempt(struct answer_proxy *p)
{
    static const struct httpc_events events = {on_headers, on_data, on_end};
    struct exchange *ex = p->ex;
    struct server *s = ex->server;
    struct httpc *http = state_host(s->host.state)->http;
    struct httpc_request r;
    struct proxy_refusal refusal = {0};
    p->upstream = proxy_choose(p->plan, httpc_outbound(http), p->tried);
    if (proxy_request(p->plan, upstream_of(p), &ex->view, &ex->trace, &s->proxy_room, &r, &refusal) != 0) {
        refuse(p, &refusal);
        return false;
    }
    p->tried |= UINT64_C(1) << p->upstream;
    p->attempts++;
    p->began = mono_now();
    p->small = -1;
    set_times(p, &r);
    ex->upstream = origin_of(p);
    counters_add(s->counters, COUNTER_upstream_requests, 1);
    p->call = httpc_start(http, &r, &events, p);
    return true;
}

enum step_result answer_proxy_step(struct exchange *ex)
{
    struct answer_proxy *p = ex->proxy;
    if (p == NULL)
        return STEP_NEXT;
    timeout_clear(&ex->deadline); /* each attempt has its time, out of the same */
    /* The upstream is sent the body from where it lies: it must stay there when the client goes. */
    if (ex->req != NULL && ex->req->version >= 0x200 && !cancel_wanted(ex))
        exchange_detach(ex);
    return attempt(p) ? STEP_WAIT : STEP_DONE;
}
