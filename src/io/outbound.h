/*
 * outbound.h: how the hosts do that requests go out to, each scheme, host and port by itself: how many are under way at
 * once, and a circuit breaker: after so many failures in a row a host is left alone for a while, then one request may
 * try. Knows no HTTP. Owns: a bounded number of hosts; the one that was used longest ago makes room. Runs in: the
 * loop's thread. Fails: never; who must wait waits in its own struct, within its own time.
 */
#ifndef CRESCENT_IO_OUTBOUND_H
#define CRESCENT_IO_OUTBOUND_H

#include "base/list.h"
#include "base/slice.h"
#include "io/loop.h"

#define OUTBOUND_CONCURRENCY 128      /* requests to one host at once, of one worker */
#define OUTBOUND_CONCURRENCY_MAX 1024 /* that anyone may ask for */
#define OUTBOUND_HOSTS_MAX 1024       /* remembered */
#define OUTBOUND_FAILURES 10          /* in a row: the circuit opens */
#define OUTBOUND_OPEN_LEAST DUR_S(2)  /* for so long the first time */
#define OUTBOUND_OPEN_MOST DUR_S(60)  /* doubled with every probe that fails, up to this */

struct outbound;
struct outbound_host;

struct outbound_wait { /* born as {0}; lives in who waits */
    struct list link;
    struct outbound_host *host; /* NULL: neither waiting nor under way */
    unsigned concurrency;
    bool under_way, probe;
    bool answered;                          /* the host has: it was judged */
    void (*go)(struct outbound_wait *wait); /* from the loop: your turn has come; or the circuit has opened: see open */
    bool open;                              /* in `go`: there is no turn, the circuit has opened */
};

enum outbound_answer {
    OUTBOUND_GO,   /* under way: outbound_leave must follow */
    OUTBOUND_WAIT, /* `go` will be called, unless outbound_leave is */
    OUTBOUND_OPEN, /* the circuit is open */
    OUTBOUND_FULL  /* as many hosts as can be remembered are all under way */
};

enum outbound_outcome { OUTBOUND_GOOD, OUTBOUND_FAILED, OUTBOUND_UNKNOWN /* cancelled, say */ };

struct outbound *outbound_new(struct loop *l);
/* Nobody waits or is under way. Leaves NULL. */
void outbound_free(struct outbound **o);
/* Asks for a turn at the origin ("https://host:443", lower case); concurrency: at most so many under way there. */
enum outbound_answer outbound_enter(struct outbound *o, struct slice origin, unsigned concurrency,
                                    struct outbound_wait *wait, void (*go)(struct outbound_wait *));
/*
 * The host of who is under way has begun to answer, as good as OUTBOUND_GOOD: it is judged now, not when the answer
 * ends, which may be in hours, or never. Calls nobody.
 */
void outbound_answered(struct outbound *o, struct outbound_wait *wait);
/* Gives the turn back, or waits no longer. Neither is fine. The outcome of who was answered is no longer of interest.
 */
void outbound_leave(struct outbound *o, struct outbound_wait *wait, enum outbound_outcome outcome);

/* For choosing among several: requests under way and waiting, and whether the circuit is open now (no probe is due). */
size_t outbound_load(const struct outbound *o, struct slice origin);
bool outbound_is_open(const struct outbound *o, struct slice origin);
/* When the circuit lets the next request try; a point that has passed where it is closed. */
mono_t outbound_open_until(const struct outbound *o, struct slice origin);
/* Grows with each request that asks for a turn: of two hosts, the one that was asked longer ago has the lower number.
 */
uint64_t outbound_last_asked(const struct outbound *o, struct slice origin);
/*
 * Whoever asks next has no other host to turn to: an open circuit lets one request try as soon as it has been open for
 * OUTBOUND_OPEN_LEAST since its last failure, however often it has failed before.
 */
void outbound_hurry(struct outbound *o, struct slice origin);

size_t outbound_hosts(const struct outbound *o);

#endif
