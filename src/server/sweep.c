/*
 * sweep.c: see sweep.h. Ages of what is not dispatched come from libh2o's own time stamps, which are wall clock: after
 * a step of that clock nothing counts as older than the step, so that a step cuts nobody.
 */
#include "server/sweep.h"
#include "base/panic.h"
#include "server/cancel.h"
#include "server/exchange.h"
#include "server/goodbye.h"
#include "server/http2_guard.h"
#include "server/overload.h"
#include "server/peer.h"
#include "server/proxy_gate.h"
#include "server/streaming.h"
#include "server/tls_handshake.h"

#define LAG_MINUTE DUR_S(60)
#define STALL_PRESSED DUR_S(1) /* limits.stall_time while there is no room for others */
#define RATE_GRACE DUR_S(10)   /* from when on a body's rate counts */
#define AT_ONCE 32             /* exchanges looked at in one pass: each asks the kernel, and others wait meanwhile */
#define PAUSE DUR_MS(1)        /* until the next so many */

struct look { /* one sweep */
    struct server *server;
    const struct config_limits *limits;
    mono_t now;
    wall_t wall;
    dur_t stall;   /* so long may a window stay closed */
    unsigned left; /* of the slice */
};

/* How long the sweeper sleeps: a quarter of the shortest limit, within 50 ms and a second. */
static dur_t interval(const struct config_limits *l)
{
    int64_t least = DUR_S(4).ns;
    const int64_t all[] = {l->first_byte_time.ns, l->header_time.ns, l->body_time.ns,
                           l->write_time.ns,      l->stall_time.ns,  l->idle_time.ns};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        least = all[i] < least ? all[i] : least;
    return (dur_t){least / 4 < DUR_MS(50).ns ? DUR_MS(50).ns : least / 4};
}

static void watch_clock(struct server *s, mono_t now, wall_t wall)
{
    int64_t offset = wall.ns - now.ns, moved = offset - s->clock_offset;
    if (moved > DUR_MS(500).ns || moved < -DUR_MS(500).ns)
        s->clock_step = now;
    s->clock_offset = offset;
}

static dur_t age(const struct look *look, struct timeval begun)
{
    dur_t since_step = mono_since(look->now, look->server->clock_step);
    int64_t ns = look->wall.ns - ((int64_t)begun.tv_sec * 1000000000 + (int64_t)begun.tv_usec * 1000);
    return ns < 0 || ns > since_step.ns ? since_step : (dur_t){ns};
}

static bool begun(struct timeval t)
{
    return t.tv_sec != 0;
}

/* A proxy's connection over HTTP/2: its streams are of many clients. */
static bool is_shared(const struct connection *c)
{
    return c->http2 && c->proxied;
}

/* Of a shared connection only the stream: the request is gone then. */
static void end_slow(struct connection *c, h2o_req_t *req, enum counter why)
{
    if (!is_shared(c)) {
        connections_cut(c, why);
        return;
    }
    counters_add(c->owner->counters, why, 1);
    http2_guard_end(req);
}

/* --- requests that arrive --------------------------------------------------------------------------------------- */

/* Less than limits.body_rate since its begin. libh2o keeps what it has: HTTP/1's in the connection's own input. */
static bool too_slow(const struct look *look, const struct connection *c, const h2o_req_t *req, dur_t since)
{
    const struct config_limits *l = look->limits;
    if (since.ns <= RATE_GRACE.ns || l->body_rate == 0 || c->refusal.why != REASON_none)
        return false;
    size_t have = c->http2 ? http2_guard_received(req) : c->sock->input->size;
    return (double)have < (double)l->body_rate * (double)since.ns / 1e9;
}

/* libh2o calls this for each connection of HTTP/1 (its one request) and for each stream of HTTP/2. */
static int look_at_request(h2o_req_t *req, void *cookie)
{
    struct look *look = cookie;
    if (req->pathconf != NULL || !begun(req->timestamps.request_begin_at))
        return 0; /* dispatched (the exchange's matter), or idle (the registry's) */
    struct connection *c = connections_of_request(req);
    if (c == NULL)
        return 0;
    bool body = begun(req->timestamps.request_body_begin_at);
    c->receiving = look->server->sweep_number;
    dur_t since = body ? age(look, req->timestamps.request_body_begin_at) : (dur_t){0};
    if (body && since.ns > look->limits->body_time.ns)
        end_slow(c, req, COUNTER_cut_body);
    else if (body && too_slow(look, c, req, since))
        end_slow(c, req, COUNTER_cut_body_rate);
    else if (!body && age(look, req->timestamps.request_begin_at).ns > look->limits->header_time.ns)
        connections_cut(c, COUNTER_cut_header);
    return 0;
}

static void look_at_requests(struct look *look)
{
    struct server *s = look->server;
    s->config.http1.callbacks.foreach_request(&s->context, look_at_request, look);
    s->config.http2.callbacks.foreach_request(&s->context, look_at_request, look);
}

/* --- connections without a request ------------------------------------------------------------------------------ */

/* Nothing has come of it: a connection in clear of which libh2o has a byte counts as receiving. */
static bool silent(const struct connection *c)
{
    if (c->gate != NULL)
        return proxy_gate_silent(c);
    if (c->handshake != NULL)
        return tls_handshake_silent(c);
    return c->requests == 0 && !c->http2 && c->ssl == NULL;
}

/* A fresh one's handshake and preface count as its header. */
static void look_at_idle(struct look *look, struct connection *c)
{
    const struct config_limits *l = look->limits;
    bool fresh = c->requests == 0;
    dur_t bound = fresh ? l->header_time : l->idle_time;
    enum counter why = fresh ? COUNTER_cut_header : COUNTER_cut_idle;
    if (l->first_byte_time.ns <= bound.ns && silent(c)) {
        bound = l->first_byte_time;
        why = COUNTER_cut_first_byte;
    }
    if (mono_since(look->now, c->since).ns > bound.ns)
        connections_cut(c, why);
}

/* And counts them, for the next scrape. */
static void look_at_connections(struct look *look)
{
    struct counters *counters = look->server->counters;
    struct list *all = &look->server->connections.all;
    uint64_t open[3] = {0};
    for (struct list *l = all->next, *next; l != all; l = next) {
        struct connection *c = CONTAINER_OF(l, struct connection, link);
        bool receiving = c->receiving == look->server->sweep_number;
        next = l->next;
        if (c->sock == NULL)
            continue;
        if (c->retiring && !c->cut)
            goodbye_one(c, look->now);
        open[c->http2 ? 2 : c->ssl != NULL ? 1 : 0]++;
        if (c->live == 0 && !receiving)
            look_at_idle(look, c);
    }
    counters_set(counters, COUNTER_open_plain, open[0]);
    counters_set(counters, COUNTER_open_tls, open[1]);
    counters_set(counters, COUNTER_open_http2, open[2]);
}

/* --- answers that are taken in ---------------------------------------------------------------------------------- */

/*
 * How far the delivery has come: on HTTP/1 what the peer has taken in; on HTTP/2, where a stream may be starved on a
 * living connection, what its windows have let through.
 */
static uint64_t delivered(const struct exchange *ex)
{
    const struct connection *c = ex->connection;
    if (ex->req->version >= 0x200 || c->sock == NULL)
        return ex->req->bytes_sent;
    return peer_progress(h2o_socket_get_fd(c->sock), c->sock->bytes_written);
}

/* The same in bytes, where there is a rate to be had of it. */
static uint64_t delivered_bytes(const struct exchange *ex)
{
    const struct connection *c = ex->connection;
    if (ex->req->version >= 0x200 || c->sock == NULL)
        return ex->req->bytes_sent;
    return peer_taken(h2o_socket_get_fd(c->sock), c->sock->bytes_written);
}

/* From here on bytes wait for its client. */
static void begin_rate(struct exchange *ex, mono_t now)
{
    ex->rate_at = now;
    ex->rate_bytes = delivered_bytes(ex);
}

/* Whether it took less than limits.write_rate in a whole write_time, in which bytes waited for it all the while. */
static bool drips(const struct look *look, struct exchange *ex)
{
    dur_t since = mono_since(look->now, ex->rate_at);
    if (ex->rate_at.ns == 0)
        begin_rate(ex, look->now);
    if (ex->rate_at.ns == look->now.ns || since.ns <= look->limits->write_time.ns)
        return false;
    uint64_t before = ex->rate_bytes;
    begin_rate(ex, look->now);
    return (double)(ex->rate_bytes - before) < (double)look->limits->write_rate * (double)since.ns / 1e9;
}

/* waits: bytes that the kernel has no room for, or no window. COUNTER_COUNT: it is not cut. */
static enum counter too_slow_for(const struct look *look, struct exchange *ex, uint64_t progress, bool waits)
{
    dur_t since = mono_since(look->now, ex->progress_at);
    if (progress != ex->progress) {
        ex->progress = progress;
        ex->progress_at = look->now;
        since = (dur_t){0};
    }
    if (since.ns > look->limits->write_time.ns)
        return COUNTER_cut_write;
    if (!waits) { /* what its writer has to say is with the kernel: the rate is the writer's */
        ex->rate_at = (mono_t){0};
        return COUNTER_COUNT;
    }
    if (since.ns > look->stall.ns && ex->req->version >= 0x200 && http2_guard_stalled(ex->req))
        return COUNTER_cut_stall;
    return drips(look, ex) ? COUNTER_cut_write_rate : COUNTER_COUNT;
}

static void look_at_answer(struct look *look, struct exchange *ex)
{
    CHECK(ex->req != NULL);
    if (ex->connection == NULL)
        return;
    enum counter why = too_slow_for(look, ex, delivered(ex), true);
    if (why == COUNTER_COUNT)
        return;
    ex->cut = true;
    end_slow(ex->connection, ex->req, why);
}

/* --- answers that are still written ----------------------------------------------------------------------------- */

/*
 * A silent stream is its script's matter; bytes that wait for the client are the client's: those not handed to the
 * kernel, and those that its connection has not acknowledged. HTTP/1 is not polled by libh2o between two pieces, so its
 * clients that have gone are found here. One that has only shut down its sending side cannot be told from those that
 * went without a word more: where the stream may have no other end, it counts as gone.
 */
static void look_at_stream(struct look *look, struct exchange *ex)
{
    CHECK(ex->req != NULL);
    const struct connection *c = ex->connection;
    bool http1 = ex->req->version < 0x200, waits = streaming_waits(ex);
    if (c == NULL || c->sock == NULL)
        return;
    int fd = h2o_socket_get_fd(c->sock);
    enum peer peer = http1 ? peer_look(fd) : PEER_THERE;
    if (peer == PEER_GONE || (peer == PEER_SAID_ALL && !ex->writer->finite)) {
        streaming_gone(ex);
        return;
    }
    uint64_t progress = waits ? delivered(ex) : peer_progress(fd, c->sock->bytes_written);
    if (!waits && !peer_owes(fd)) {
        ex->progress = progress;
        ex->progress_at = look->now;
        ex->rate_at = (mono_t){0};
        return;
    }
    enum counter why = too_slow_for(look, ex, progress, waits);
    if (why == COUNTER_COUNT)
        return;
    ex->cut = true;
    if (is_shared(ex->connection))
        end_slow(ex->connection, ex->req, why);
    else
        streaming_cut(ex, why);
}

/* --- clients that have gone ------------------------------------------------------------------------------------- */

/*
 * A waiting HTTP/1 request is not polled by libh2o. Who has said all it had to say may wait for the answer still, so
 * that counts where the endpoint wants to be cancelled.
 */
static void look_at_waiting(struct look *look, struct exchange *ex)
{
    const struct connection *c = ex->connection;
    if (ex->req == NULL || ex->gone || ex->req->version >= 0x200 || c == NULL || c->sock == NULL)
        return;
    enum peer peer = peer_look(h2o_socket_get_fd(c->sock));
    if (peer == PEER_GONE || (peer == PEER_SAID_ALL && cancel_wanted(ex)))
        cancel_gone(ex);
}

/* --- the sweep -------------------------------------------------------------------------------------------------- */

/* What libh2o refused on HTTP/2 by itself, since the last sweep. */
static void count_library_errors(struct server *s)
{
    uint64_t sum = 0;
    for (int i = 0; i < H2O_HTTP2_ERROR_MAX; i++)
        sum += s->context.http2.events.protocol_level_errors[i];
    counters_add(s->counters, COUNTER_library_errors, sum - s->library_seen);
    s->library_seen = sum;
}

static dur_t stall_time(struct server *s)
{
    dur_t usual = s->host.config->limits.stall_time;
    return usual.ns > STALL_PRESSED.ns && overload_pressed(s) ? STALL_PRESSED : usual;
}

static void begin_look(struct server *s, struct look *look)
{
    *look = (struct look){.server = s,
                          .limits = &s->host.config->limits,
                          .now = loop_now(s->host.loop),
                          .wall = wall_now(),
                          .stall = s->sweep_stall,
                          .left = AT_ONCE};
}

static uint64_t longest(dur_t a, dur_t b)
{
    return (uint64_t)(a.ns > b.ns ? a.ns : b.ns);
}

/* What a scrape shall find as it is now. */
static void measure(struct server *s, mono_t now)
{
    dur_t lag = loop_take_lag(s->host.loop);
    counters_set(s->counters, COUNTER_lua_memory, state_memory(s->host.state));
    if (mono_since(now, s->lag_minute).ns >= LAG_MINUTE.ns) {
        s->lag_minute = now;
        s->lag_before = s->lag;
        s->lag = (dur_t){0};
    }
    s->lag.ns = lag.ns > s->lag.ns ? lag.ns : s->lag.ns;
    counters_set(s->counters, COUNTER_lag_max, longest(s->lag, s->lag_before));
}

static void sweep(struct timeout *t);

/* Those that this sweep has looked at go to the list's end: so it ends at the first of them. */
static void look_through(struct look *look, struct list *all, void (*look_at)(struct look *, struct exchange *))
{
    uint64_t number = look->server->sweep_number;
    for (; look->left > 0 && !list_empty(all); look->left--) {
        struct exchange *ex = CONTAINER_OF(all->next, struct exchange, link);
        CHECK(ex->magic == EXCHANGE_MAGIC);
        if (ex->swept == number)
            return;
        ex->swept = number;
        list_remove(&ex->link);
        list_add(all, &ex->link);
        look_at(look, ex);
    }
}

/* A slice of the exchanges; the rest in later passes, each time when the work of one is done: no exchange is between
 * two states then. */
static void go_on(struct timeout *t)
{
    struct server *s = CONTAINER_OF(t, struct server, sweep);
    struct look look;
    begin_look(s, &look);
    look_through(&look, &s->answering, look_at_answer);
    look_through(&look, &s->streaming, look_at_stream);
    look_through(&look, &s->waiting, look_at_waiting);
    if (look.left == 0)
        timeout_set(s->host.loop, &s->sweep, mono_add(look.now, PAUSE), go_on);
    else
        timeout_set(s->host.loop, &s->sweep, mono_add(s->sweep_began, interval(look.limits)), sweep);
}

static void sweep(struct timeout *t)
{
    struct server *s = CONTAINER_OF(t, struct server, sweep);
    struct look look;
    s->sweep_number++;
    s->sweep_stall = stall_time(s); /* for all that are under way now, though those that are cut make room */
    begin_look(s, &look);
    watch_clock(s, look.now, look.wall);
    s->sweep_began = look.now;
    look_at_requests(&look);
    look_at_connections(&look);
    count_library_errors(s);
    access_record_tick(s, look.now);
    overload_tick(s, look.now);
    measure(s, look.now);
    go_on(t);
}

void sweep_start(struct server *s)
{
    mono_t now = loop_now(s->host.loop);
    s->clock_step = (mono_t){0}; /* even since the machine's start */
    s->clock_offset = wall_now().ns - now.ns;
    timeout_set(s->host.loop, &s->sweep, mono_add(now, interval(&s->host.config->limits)), sweep);
}
