/*
 * streaming.h: an exchange whose answer is written piece by piece (http/stream), by a script or by the server itself.
 * It is under way until its writer ends or breaks it off, its client goes or is too slow, its time is over, or the
 * worker leaves: each ends it once, and counts it once. Owns: the http stream, through the exchange.
 * Runs in: the worker's thread. Never fails.
 */
#ifndef CRESCENT_SERVER_STREAMING_H
#define CRESCENT_SERVER_STREAMING_H

#include "base/slice.h"
#include "base/time.h"
#include "shm/counters.h"
#include <stdbool.h>

struct exchange;
struct server;

struct streaming_writer { /* both from the loop */
    /* There is room again, after a write that returned false. */
    void (*ready)(struct exchange *ex);
    /* Nobody takes it any more: what works for it ends, and what it holds is freed. The caller ends the exchange. */
    void (*stop)(struct exchange *ex);
    /*
     * Whether it can be ended cleanly now, because its worker drains: for what clients begin anew by themselves. NULL:
     * never. Asked again while it says no.
     */
    bool (*may_end)(const struct exchange *ex);
    bool late;   /* it has the next piece at hand: see http_stream_events */
    bool finite; /* it ends by itself: a client that has said all it had to say is waited for */
};

/*
 * Begins: the server's response (see exchange_response) goes out as the headers. length: of the body, or -1: unknown.
 * False: there is no body to write, because of HEAD, because nobody is left, or because the client could not tell a
 * body that is broken off from a whole one (505); the exchange is answered.
 */
bool streaming_begin(struct exchange *ex, long long length, const struct streaming_writer *writer);
/* As http_stream_write. */
bool streaming_write(struct exchange *ex, struct slice bytes);
/* As http_stream_room. */
size_t streaming_room(const struct exchange *ex);
/* Whether bytes wait for the client. */
bool streaming_waits(const struct exchange *ex);
/* From now on at most so long in all: then it is broken off. */
void streaming_limit(struct exchange *ex, dur_t within);
/* The writer says: that was all; or it is incomplete, and the client shall see that. exchange_over is to follow. */
void streaming_end(struct exchange *ex);
void streaming_break(struct exchange *ex);

/* For the sweep: the client of an HTTP/1 stream was found gone; a connection is cut, counted as `why`. */
void streaming_gone(struct exchange *ex);
void streaming_cut(struct exchange *ex, enum counter why);
/* For draining: ends what ends then; if late, breaks off all that is left. Whether there was any to break off. */
bool streaming_drain(struct server *s, bool late);

#endif
