/*
 * server_internal.h: the fields of a server, for the files of server/ only.
 */
#ifndef CRESCENT_SERVER_SERVER_INTERNAL_H
#define CRESCENT_SERVER_SERVER_INTERNAL_H

#include "http/proxy.h"
#include "http/response.h"
#include "io/timeout.h"
#include "server/access_record.h"
#include "server/connections.h"
#include "server/server.h"
#include "shm/body_memory.h"
#include <h2o.h>

struct exchange;
struct ips;
struct tls;

struct listener {
    struct server *server;
    h2o_socket_t *sock;
    h2o_accept_ctx_t *accept;
    struct heritage_socket from; /* its descriptor is sock's */
    uint32_t group;              /* the index of its group's first in the heritage */
    bool own;                    /* one that this worker shall accept from, be it shared */
    bool on;                     /* shall accept */
    bool proxy;                  /* its connections begin with a PROXY header */
    uint64_t knocked;            /* shared: the pass in which somebody waited there last, */
    mono_t since;                /* and since when there was somebody in each pass */
    bool left;                   /* shared: who waited there last was left to others */
};

struct server {
    struct server_host host;
    struct counters *counters;
    bool http2; /* the guard is proved */

    h2o_globalconf_t config;
    h2o_context_t context;
    h2o_accept_ctx_t plain, secure;
    struct tls *tls;                 /* NULL: no listener speaks it */
    struct ips *trusted;             /* of trusted_proxies; may be empty */
    struct http_published published; /* of public_url; base.at == NULL: there is none */
    uint64_t gate_refused;           /* connections for want of a PROXY header, not said in the log yet */
    mono_t gate_said;

    struct listener *listeners;
    size_t listener_count;
    bool listening;
    struct timeout pause;    /* set: out of descriptors, nobody accepts */
    struct timeout turn;     /* set: who waits at a shared socket is left to workers with fewer connections */
    mono_t turns_free_until; /* they did not take it lately: not left to them before then */

    struct connections connections;
    uint64_t turned_away; /* newcomers, not said in the log yet */
    mono_t turned_away_said;
    struct body_memory body_memory;
    struct list refusals;    /* connections whose body is refused for want of it: see body_refusal.h */
    struct timeout refusing; /* set: looks at them */
    struct {
        uint64_t by_memory, by_share; /* not said in the log yet */
        mono_t said;
    } refused_bodies;
    struct overload {                 /* see overload.h */
        mono_t pass;                  /* in which others was counted */
        uint64_t others;              /* requests in progress in other workers */
        uint64_t by_requests, by_lag; /* refused, not said in the log yet */
        mono_t said;
    } overload;
    struct list waiting;    /* exchanges whose task is suspended, or has just ended for nobody */
    struct list answering;  /* exchanges whose answer is on its way */
    struct list streaming;  /* exchanges whose answer is still being written */
    struct exchange *spare; /* pool, linked by `next` */
    size_t spare_count;

    struct timeout sweep;
    uint64_t sweep_number;
    mono_t sweep_began;
    dur_t sweep_stall;     /* so long may a window stay closed in it */
    mono_t clock_step;     /* since when the wall clock has moved evenly */
    int64_t clock_offset;  /* wall minus monotonic clock at the last sweep, ns */
    uint64_t library_seen; /* libh2o's own error counts at the last sweep */

    mono_t wall_pass; /* the pass at which `wall` was read */
    wall_t wall;

    /* One answer is made at a time and copied when it is sent, so one set of memory does for all. */
    struct http_response response;
    struct buf room;
    struct proxy_room proxy_room; /* likewise, of a request that goes to an upstream */
    struct buf dev_notes;         /* of the problem that is answered next: see dev_page.h */

    int push_handle, push_verify, push_stream; /* registry references of steps.c, */
    int push_keys, ask_keys;                   /* of steps_rate.c */
    struct siphash_key key_seed;               /* of the area's limits, as it was at the start */
    struct buf key_room;                       /* for the key of a limit */

    struct access_record access;
    mono_t upstream_second; /* in which so many failures of upstreams were said in the log */
    uint32_t upstream_said;
    int pid;
    mono_t lag_minute;     /* begun then */
    dur_t lag, lag_before; /* longest pass in it; in the one before */

    bool draining, replaced, streams_stopped; /* see drain.h */
    struct timeout drain;
    mono_t drain_until;
    mono_t last_call;  /* the listening sockets are closed then */
    dur_t drain_hurry; /* so long before drain_until */
    size_t drain_cut;  /* requests that its end cut off */
    void (*drained)(void *cookie);
    void *drained_cookie;
};

#endif
