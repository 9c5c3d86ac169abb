/*
 * http2_guard.h: definitions of eight of libh2o's own functions that take the place of the library's (the dynamic
 * linker binds the library's calls to the executable's symbols) and close what 2.2.5 leaves open: the remote abort by
 * WINDOW_UPDATE, header blocks that unpack to gigabytes, streams reset faster than they cost, frames without end that
 * carry nothing or go to streams that have ended (see flood.h), more streams than `limits.streams`, connections that
 * come by HTTP/1's Upgrade. And what a client opens behind the last GOAWAY, which is ours, is passed over. Owns:
 * nothing but the addresses of the originals. Runs in: the worker's thread. Fails: http2_guard_bound says whether the
 * linker did its part; http2_proof.h shows it at work.
 */
#ifndef CRESCENT_SERVER_HTTP2_GUARD_H
#define CRESCENT_SERVER_HTTP2_GUARD_H

#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP2_GUARD_FIELDS 128        /* header fields of one request, trailers included */
#define HTTP2_GUARD_WINDOW (1u << 30) /* of what a peer allows for a stream at first, so much is used */

struct connection;
struct st_h2o_buffer_t;
struct st_h2o_req_t;

/* How often each of ours was called, and how often it refused. */
struct http2_guard_calls {
    uint64_t send, reset, rst, settings, headers, frame, accept, upgrade, refused;
};

/*
 * Once, before the first connection: a Host field, which the library passes over, is among a request's fields from now
 * on (RFC 9113 8.3.1: it may stand in the place of :authority).
 */
void http2_guard_open(void);
/* 0 when all the originals are there and the process's symbols are ours; -1 with words. */
int http2_guard_bound(struct error *err);
struct http2_guard_calls http2_guard_calls(void);
/*
 * Ends one stream, as its client's RST_STREAM would, and tells that client (ENHANCE_YOUR_CALM). The request is gone
 * when it returns, and others of the connection may have begun.
 */
void http2_guard_end(struct st_h2o_req_t *req);
/*
 * Takes the body's buffer from a dispatched HTTP/2 request: its bytes stay where they are, it outlives the stream, and
 * is the caller's to dispose. NULL: there is no body.
 */
struct st_h2o_buffer_t *http2_guard_take_body(struct st_h2o_req_t *req);
/* Bytes so far of a body that is being received over HTTP/2. */
size_t http2_guard_received(const struct st_h2o_req_t *req);
/* Whether an answer over HTTP/2, which is not all out, waits for its client to open a window. */
bool http2_guard_stalled(const struct st_h2o_req_t *req);

#endif
