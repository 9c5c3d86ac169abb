/*
 * connections.c: see connections.h. libh2o tells of a socket's end through its on_close hook, which the server side of
 * the library leaves to its user.
 */
#include "server/connections.h"
#include "base/panic.h"
#include "crypto/identity.h"
#include "server/body_refusal.h"
#include "server/body_wanted.h"
#include "server/cancel.h"
#include "server/linger.h"
#include "server/proxy_gate.h"
#include <stdlib.h>
#include <sys/socket.h>

#define ASK_AHEAD DUR_S(1) /* so far may limits.connection_rate be used in advance */
/* The shortest answer that libh2o writes on its own (the raw 400) is longer; "100 Continue" is shorter. */
#define LIBRARY_ANSWER 64

void connections_init(struct connections *cs, struct loop *l, struct counters *counters,
                      const struct config_limits *limits)
{
    *cs = (struct connections){.loop = l, .counters = counters, .limits = limits};
    list_init(&cs->all);
    list_init(&cs->spare);
    linger_init(cs);
}

void connections_free(struct connections *cs)
{
    CHECK(list_empty(&cs->all));
    linger_free(cs);
    while (!list_empty(&cs->spare)) {
        struct connection *c = CONTAINER_OF(cs->spare.next, struct connection, link);
        list_remove(&c->link);
        free(c);
    }
}

static void count(struct connections *cs, size_t n)
{
    cs->count = n;
    if (cs->open != NULL)
        atomic_store(cs->open, n);
}

static void forget_if_over(struct connection *c)
{
    if (c->sock != NULL || c->live > 0)
        return;
    list_remove(&c->link);
    list_remove(&c->left); /* those in it are by themselves from now on */
    list_add(&c->owner->spare, &c->link);
    count(c->owner, c->owner->count - 1);
}

static void count_as(struct connection *c, uint64_t peer)
{
    if (c->peer != 0)
        peers_remove(&c->owner->peers, c->peer, 1);
    c->peer = peer;
}

bool connections_library_spoke(const struct connection *c)
{
    return !c->http2 && c->sock->bytes_written - c->accounted >= LIBRARY_ANSWER;
}

static void on_close(void *data)
{
    struct connection *c = data;
    struct counters *counters = c->owner->counters;
    counters_add(counters, COUNTER_connections_closed, 1);
    /* The socket's struct is freed on the next pass; what it wrote beyond our answers, libh2o said by itself. */
    if (connections_library_spoke(c))
        counters_add(counters, COUNTER_library_errors, 1);
    proxy_gate_closed(c);
    c->sock = NULL;
    c->ssl = NULL;                  /* it went just before */
    identity_release(&c->identity); /* its requests have holds of their own */
    count_as(c, 0);
    if (c->refusal.why != REASON_none)
        body_refusal_closed(c);
    linger_closed(c);
    forget_if_over(c);
}

struct connection *connections_add(struct connections *cs, h2o_socket_t *sock)
{
    struct connection *c;
    if (list_empty(&cs->spare)) {
        c = need_alloc(sizeof(*c));
    } else {
        c = CONTAINER_OF(cs->spare.next, struct connection, link);
        list_remove(&c->link);
    }
    *c = (struct connection){
        .owner = cs, .sock = sock, .since = loop_now(cs->loop), .body_most = BODY_UNKNOWN, .linger_fd = -1};
    list_init(&c->link);
    list_init(&c->refusal.link);
    list_init(&c->behind);
    list_init(&c->left);
    list_add(&cs->all, &c->link);
    count(cs, cs->count + 1);
    sock->on_close.cb = on_close;
    sock->on_close.data = c;
    counters_add(cs->counters, COUNTER_connections, 1);
    return c;
}

struct connection *connections_of(h2o_socket_t *sock)
{
    return sock != NULL && sock->on_close.cb == on_close ? sock->on_close.data : NULL;
}

struct connection *connections_of_request(h2o_req_t *req)
{
    return connections_of(req->conn->callbacks->get_socket(req->conn));
}

void connections_peer(const struct connection *c, struct ip *ip_out)
{
    struct sockaddr_storage peer = {.ss_family = AF_UNSPEC};
    *ip_out = (struct ip){.kind = IP_NONE};
    if (h2o_socket_getpeername(c->sock, (struct sockaddr *)&peer) != 0)
        ip_of_sockaddr((struct sockaddr *)&peer, ip_out);
}

uint64_t connections_count_as(struct connection *c, const struct ip *address)
{
    uint64_t peer = c->owner->peers.area != NULL ? peers_key(address) : 0;
    count_as(c, peer);
    return peers_add(&c->owner->peers, peer, 1);
}

void connections_begin(struct connection *c, bool http2)
{
    c->http2 |= http2;
    c->requests++;
    c->live++;
    if (http2)
        flood_request(&c->flood, c->owner->limits);
}

void connections_end(struct connection *c)
{
    CHECK(c->live > 0);
    c->live--;
    c->since = loop_now(c->owner->loop);
    if (c->sock != NULL)
        c->accounted = c->sock->bytes_written;
    forget_if_over(c);
}

static void cut(struct connection *c, enum counter why)
{
    if (!c->cut)
        counters_add(c->owner->counters, why, 1);
    c->cut = true;
}

void connections_cut(struct connection *c, enum counter why)
{
    cut(c, why);
    if (c->sock != NULL)
        connections_shut(c);
}

void connections_shut(struct connection *c)
{
    c->shut = true;
    shutdown(h2o_socket_get_fd(c->sock), SHUT_RDWR);
}

void connections_abused(struct connection *c, enum flood_kind why)
{
    static const enum counter reasons[FLOOD_NONE] = {
        [FLOOD_RESETS] = COUNTER_cut_resets,     [FLOOD_PINGS] = COUNTER_cut_pings,
        [FLOOD_SETTINGS] = COUNTER_cut_settings, [FLOOD_EMPTY_FRAMES] = COUNTER_cut_empty_frames,
        [FLOOD_FRAMES] = COUNTER_cut_frames,     [FLOOD_CONTINUATIONS] = COUNTER_cut_continuations,
        [FLOOD_BLOCK] = COUNTER_cut_hpack};
    CHECK(why < FLOOD_NONE);
    cut(c, reasons[why]);
    c->abused = true;
    cancel_left(c);
}

bool connections_may_ask(struct connection *c)
{
    mono_t now = loop_now(c->owner->loop);
    if (mono_before(c->asked, now))
        c->asked = now;
    mono_t next = mono_add(c->asked, (dur_t){DUR_S(1).ns / (int64_t)c->owner->limits->connection_rate});
    if (mono_since(next, now).ns > ASK_AHEAD.ns)
        return false;
    c->asked = next;
    return true;
}

bool connections_last_request(struct connection *c)
{
    if (c->requests < c->owner->limits->connection_requests)
        return false;
    if (c->requests == c->owner->limits->connection_requests)
        counters_add(c->owner->counters, COUNTER_cut_requests, 1);
    return true;
}
