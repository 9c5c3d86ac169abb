/*
 * connections.h: the registry of connections: since when, how many requests, what it may still do. libh2o lists only
 * connections that have a request; idle HTTP/2 ones and unfinished handshakes are seen only here.
 * Owns: a record per connection, pooled; it outlives the socket while a request of it is not disposed.
 * Runs in: the worker's thread. Never fails (memory by NEED).
 */
#ifndef CRESCENT_SERVER_CONNECTIONS_H
#define CRESCENT_SERVER_CONNECTIONS_H

#include "base/list.h"
#include "codec/ip.h"
#include "io/timeout.h"
#include "policy/policy.h"
#include "server/flood.h"
#include "shm/counters.h"
#include "shm/peers.h"
#include <h2o.h>

struct connections {
    struct loop *loop;
    struct counters *counters;
    const struct config_limits *limits;
    _Atomic uint64_t *open; /* where the count is told to other processes; NULL: nowhere */
    struct peers peers;     /* counts them by address; its area is NULL: nobody does */
    struct list all, spare; /* in the order of their last look for room: see admission.h */
    size_t count;
    struct list lingering; /* closed ones whose clients may still send: see linger.h */
    size_t lingering_count;
    struct timeout lingering_look;
    dur_t lingering_quiet; /* so long after a client's last byte each ends */
};

struct refusal {           /* of a body while it comes: see body_refusal.h */
    struct list link;      /* in server.refusals, while not answered */
    h2o_socket_cb library; /* libh2o's reader, which hears no more of it but its end */
    h2o_buffer_t *begin;   /* of what was read when it began, or NULL */
    unsigned laps;         /* how often its room was filled and emptied */
    enum reason why;       /* REASON_none: it is not refused */
    bool answered;
};

struct connection {
    struct list link;
    struct connections *owner;
    h2o_socket_t *sock;      /* NULL: closed */
    uint64_t requests;       /* dispatched so far */
    unsigned live;           /* dispatched and not disposed */
    mono_t since;            /* accepted, or the end of its last request: idle since then */
    mono_t asked;            /* limits.connection_rate: a point that runs ahead of the clock with each request */
    struct flood flood;      /* HTTP/2: what it may still send that is no request */
    uint64_t peer;           /* as which address it is counted; 0: it is not */
    uint64_t receiving;      /* the number of the sweep that last saw a request arriving on it */
    size_t accounted;        /* HTTP/1: bytes written up to the end of its last request */
    struct proxy_gate *gate; /* its PROXY header is awaited; NULL: there is none to come */
    struct tls_handshake *handshake; /* NULL: there is none, or it is over */
    struct ssl_st *ssl;              /* after the handshake, while sock is; NULL: in clear */
    struct identity *identity;       /* of the client's certificate; NULL: it has shown none */
    mono_t turn;                     /* the pass of the loop in which it last asked for more room to read into */
    size_t turn_most;                /* bytes that it may have by the end of that pass */
    mono_t goodbye;                  /* HTTP/2: when it was told the first of two GOAWAYs; 0: not yet */
    uint32_t last_stream;            /* HTTP/2, parting: of its client's streams, the last that is taken */
    uint32_t passed_over;            /* HTTP/2, parting: bytes of bodies beyond it, not yet given back to the window */
    struct refusal refusal;
    size_t body_most;    /* HTTP/1: bytes that its request's endpoint takes of a chunked body; or BODY_UNKNOWN */
    const char *framing; /* HTTP/1: why its last request is refused, and it ends; NULL: nothing. See http1_guard.h */
    size_t held;         /* HTTP/2: bytes of answers that wait for its client */
    struct list behind;  /* exchanges that are begun when there are fewer */
    struct list left;    /* exchanges whose requests have gone from it, and that go on */
    int linger_fd;       /* its socket once more, or -1: see linger.h */
    bool http2;
    bool proxied;   /* its other end is one of trusted_proxies: over HTTP/2 it has requests of many clients */
    bool unnamed;   /* its PROXY header names nobody: it is passed on as it comes, a client's; it is not `proxied` */
    bool crowded;   /* HTTP/1: its last request has more header fields than can be kept, and it ends */
    bool unread;    /* HTTP/1: the body of its last request is not read, and it ends: see body_wanted.h */
    bool announced; /* HTTP/2: it was told of our own settings */
    bool retiring;  /* HTTP/2: it has had limits.connection_requests; goodbye follows */
    bool parting;   /* HTTP/2: it was told the second; it ends when all of what was begun is with the kernel */
    bool over;      /* HTTP/2, parting: its streams are, and it is about to end */
    bool shut;      /* its client has been told by shutdown(2) that it ends */
    bool cut;       /* ended by us: what was read before that is refused without work */
    bool abused;    /* cut for what its client sent: its requests are cancelled, whatever their endpoints say */
};

void connections_init(struct connections *cs, struct loop *l, struct counters *counters,
                      const struct config_limits *limits);
void connections_free(struct connections *cs);
/* Registers an accepted socket, before libh2o gets it. */
struct connection *connections_add(struct connections *cs, h2o_socket_t *sock);
/* Whether libh2o has answered by itself since its last request: what it refuses, it may not have read to its end. */
bool connections_library_spoke(const struct connection *c);
/* The record of a socket or request, or NULL: not one of ours. */
struct connection *connections_of(h2o_socket_t *sock);
struct connection *connections_of_request(h2o_req_t *req);
/* The address of its other end; behind PROXY protocol, once its header was read, whom that names. sock is there. */
void connections_peer(const struct connection *c, struct ip *ip_out);
/* A request was dispatched; was disposed (c may then be freed). */
void connections_begin(struct connection *c, bool http2);
void connections_end(struct connection *c);
/* Counts it as from this address from now on: how many that has. */
uint64_t connections_count_as(struct connection *c, const struct ip *address);
/* Ends it by shutdown(2), which is safe at any time: libh2o learns of it by its next event. Counted once. */
void connections_cut(struct connection *c, enum counter why);
/* The same of one that is counted already. */
void connections_shut(struct connection *c);
/* The same for abuse, but that the caller sees to the socket's end. What it has left behind is cancelled. */
void connections_abused(struct connection *c, enum flood_kind why);
/* Whether it may ask once more within limits.connection_rate. */
bool connections_may_ask(struct connection *c);
/* Whether this is its last request by limits.connection_requests; counted once. */
bool connections_last_request(struct connection *c);

#endif
