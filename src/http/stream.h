/*
 * stream.h: an answer whose body comes piece by piece, with back-pressure: whoever writes it is told to wait when the
 * client is slower. What is broken off, the client sees as incomplete: never as a clean end.
 * HTTP/1.1 without a length gets chunks, HTTP/1.0 the connection's end (then a reset when it is broken off, also by the
 * death of this process), HTTP/2 its frames.
 * Owns: itself and what is written and not yet sent; it ends with libh2o's request. Runs in: the worker, on its loop.
 * Fails: a client that leaves is told by `gone`. libh2o is called from the loop only, never from inside a call here.
 */
#ifndef CRESCENT_HTTP_STREAM_H
#define CRESCENT_HTTP_STREAM_H

#include "http/response.h"
#include "io/loop.h"

#define HTTP_STREAM_PIECE 65536 /* bytes handed to libh2o at a time (TLS encrypts a piece as a whole), and the room */

struct http_stream;

struct http_stream_events { /* both from the loop, never from inside a call of this file */
    /* There is room again, after a write that returned false. */
    void (*ready)(void *cookie);
    /* `ready` comes when nothing is left to send, instead of ahead: for whoever has the next piece at hand. */
    bool late;
    /* libh2o's request is disposed of before end or abort was called: the stream is gone, do not touch it. */
    void (*gone)(void *cookie);
};

/*
 * Begins: status and headers of r (its body is not looked at) go to the client at once. length: of the whole body, or
 * -1: not known. The request must not be HEAD, the status not 204 or 304. events is borrowed, cookie is theirs.
 */
struct http_stream *http_stream_begin(struct loop *l, const struct http_response *r, struct st_h2o_req_t *req,
                                      long long length, const struct http_stream_events *events, void *cookie);
/*
 * Whether its client would see a body without a length broken off. Not with HTTP/1.0 over a unix socket: the body's end
 * is the connection's there, and such a socket has no reset (of TLS, not all clients want to see its own end).
 */
bool http_stream_shows_breaks(const struct st_h2o_req_t *req);
/* The headers alone, for HEAD. length: as above. libh2o's request is gone afterwards for the caller. */
void http_stream_head(const struct http_response *r, struct st_h2o_req_t *req, long long length);
/*
 * Copies the bytes; they go out with others written before the loop comes round. True: there is room for more. False:
 * wait for `ready` before the next write (one more is taken all the same). Not more than `length` in all.
 */
bool http_stream_write(struct http_stream *s, struct slice bytes);
/* How many bytes to write at a time: HTTP_STREAM_PIECE, and fewer to an HTTP/2 client that has taken little so far. */
size_t http_stream_room(const struct http_stream *s);
/* All is written (`length` bytes, if that was said). Do not touch it afterwards; no event comes any more. */
void http_stream_end(struct http_stream *s);
/*
 * Breaks it off: what is not with libh2o yet is dropped, HTTP/1 connections end without the last chunk, HTTP/2 streams
 * with RST_STREAM. Do not touch it afterwards; no event comes any more.
 */
void http_stream_abort(struct http_stream *s);
/* Whether bytes wait for the client: written, and not yet taken by the kernel (HTTP/1) or by its window (HTTP/2). */
bool http_stream_waits(const struct http_stream *s);

#endif
