/*
 * proxy_gate.c: see proxy_gate.h. Bytes are looked at where the kernel has them, and only those of the header are taken
 * from there: libh2o then reads the connection as if there had been none.
 */
#include "server/proxy_gate.h"
#include "base/log.h"
#include "base/panic.h"
#include "codec/proxy_header.h"
#include "server/client.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

struct proxy_gate { /* of a connection, until its header is whole */
    struct server *server;
    bool tls;
    void (*go_on)(struct server *s, struct connection *c, bool tls);
    struct buf bytes; /* of the header, taken from the kernel */
};

void proxy_gate_closed(struct connection *c)
{
    if (c->gate != NULL)
        buf_free(&c->gate->bytes);
    free(c->gate);
    c->gate = NULL;
}

bool proxy_gate_silent(const struct connection *c)
{
    return c->gate->bytes.len == 0;
}

/* Whoever sends such connections does so all the time. */
static void say(struct server *s, const struct ip *peer, const char *why)
{
    mono_t now = loop_now(s->host.loop);
    char room[IP_TEXT];
    s->gate_refused++;
    if (s->gate_said.ns != 0 && mono_since(now, s->gate_said).ns < DUR_S(1).ns)
        return;
    log_at(LOG_WARN, "connection refused: PROXY protocol", LOG_SLICE("peer", ip_text(peer, room)),
           LOG_STR("error", why), LOG_INT("count", s->gate_refused));
    s->gate_said = now;
    s->gate_refused = 0;
}

static void refuse(struct connection *c, enum counter counter, const char *why)
{
    struct server *s = c->gate->server;
    struct ip peer;
    connections_peer(c, &peer);
    counters_add(s->counters, counter, 1);
    if (why != NULL)
        say(s, &peer, why);
    c->cut = true; /* what it still sends is of no interest */
    h2o_socket_close(c->sock);
}

/* The header is whole, and taken from the kernel. */
static void pass(struct connection *c, const struct proxy_header *header)
{
    struct proxy_gate *g = c->gate;
    struct server *s = g->server;
    bool tls = g->tls;
    void (*go_on)(struct server *, struct connection *, bool) = g->go_on;
    if (header->client.kind != IP_NONE) {
        struct sockaddr_storage address;
        socklen_t len = ip_to_sockaddr(&header->client, header->port, &address);
        h2o_socket_setpeername(c->sock, (struct sockaddr *)&address, len);
    }
    c->unnamed = header->client.kind == IP_NONE && !header->local;
    h2o_socket_read_stop(c->sock);
    h2o_socket_dont_read(c->sock, 0);
    proxy_gate_closed(c);
    go_on(s, c, tls);
}

static bool take(struct connection *c, size_t len)
{
    char nowhere[PROXY_HEADER_MOST];
    CHECK(len <= sizeof(nowhere));
    return len == 0 || recv(h2o_socket_get_fd(c->sock), nowhere, len, MSG_DONTWAIT) == (ssize_t)len;
}

static void on_readable(h2o_socket_t *sock, const char *err)
{
    struct connection *c = connections_of(sock);
    char seen[PROXY_HEADER_MOST];
    struct proxy_header header;
    const char *why = "";
    CHECK(c != NULL && c->gate != NULL);
    struct buf *bytes = &c->gate->bytes;
    size_t had = bytes->len;
    ssize_t got = recv(h2o_socket_get_fd(sock), seen, sizeof(seen) - had, MSG_PEEK | MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        refuse(c, COUNTER_proxy_closed, NULL);
        return;
    }
    buf_add(bytes, seen, (size_t)got);
    switch (proxy_header_read(buf_slice(bytes), &header, &why)) {
    case PROXY_HEADER_MORE:
        if (!take(c, (size_t)got))
            refuse(c, COUNTER_proxy_closed, NULL);
        return;
    case PROXY_HEADER_MISSING:
        refuse(c, COUNTER_proxy_missing, "the connection does not begin with its header");
        return;
    case PROXY_HEADER_BAD:
        refuse(c, COUNTER_proxy_malformed, why);
        return;
    case PROXY_HEADER_DONE:
        if (take(c, header.len - had))
            pass(c, &header);
        else
            refuse(c, COUNTER_proxy_closed, NULL);
        return;
    }
    PANIC("PROXY protocol: no such result");
}

void proxy_gate_begin(struct server *s, struct connection *c, bool tls,
                      void (*go_on)(struct server *s, struct connection *c, bool tls))
{
    struct ip peer;
    c->gate = need_zero(1, sizeof(*c->gate));
    *c->gate = (struct proxy_gate){.server = s, .tls = tls, .go_on = go_on};
    connections_peer(c, &peer);
    if (client_any_trusted(s) && !client_trusted(s, &peer)) {
        refuse(c, COUNTER_proxy_untrusted, "the peer is not among trusted_proxies");
        return;
    }
    h2o_socket_dont_read(c->sock, 1);
    h2o_socket_read_start(c->sock, on_readable);
}
