/*
 * connections.c: see connections.h. libh2o tells of a socket's end through its on_close hook, which the server side of
 * the library leaves to its user.
 */
#include "server/connections.h"
#include "base/panic.h"
#include "crypto/identity.h"
#include "server/body_refusal.h"
#include "server/linger.h"
#include "server/proxy_gate.h"
#include <stdlib.h>
#include <sys/socket.h>

#define RESET_COST DUR_MS(100)
#define RESET_BURST DUR_S(10)
/* The shortest answer that libh2o writes on its own (the raw 400) is longer; "100 Continue" is shorter. */
#define LIBRARY_ANSWER 64

void connections_init(struct connections *cs, struct loop *l, struct counters *counters)
{
    *cs = (struct connections){.loop = l, .counters = counters};
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

static void forget_if_over(struct connection *c)
{
    if (c->sock != NULL || c->live > 0)
        return;
    list_remove(&c->link);
    list_add(&c->owner->spare, &c->link);
    c->owner->count--;
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
    if (c->refusal.on)
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
    *c = (struct connection){.owner = cs, .sock = sock, .since = loop_now(cs->loop), .linger_fd = -1};
    list_init(&c->link);
    list_init(&c->refusal.link);
    list_add(&cs->all, &c->link);
    cs->count++;
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

void connections_begin(struct connection *c, bool http2)
{
    c->http2 |= http2;
    c->requests++;
    c->live++;
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

void connections_cut(struct connection *c, enum counter why)
{
    if (!c->cut)
        counters_add(c->owner->counters, why, 1);
    c->cut = true;
    if (c->sock != NULL)
        shutdown(h2o_socket_get_fd(c->sock), SHUT_RDWR);
}

void connections_reset(struct connection *c)
{
    mono_t now = loop_now(c->owner->loop);
    if (mono_before(c->resets, now))
        c->resets = now;
    c->resets = mono_add(c->resets, RESET_COST);
    if (!c->cut && mono_since(c->resets, now).ns > RESET_BURST.ns)
        connections_cut(c, COUNTER_cut_resets);
}
