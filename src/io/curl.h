/*
 * curl.h: libcurl's multi interface on a loop: its sockets in one private epoll set, its timer as one timeout. What is
 * finished is collected after libcurl has returned, and told from the loop: no callback of libcurl's ever reaches who
 * asked. The name io_curl: libcurl has curl_free and more of the kind for itself.
 * Owns: the multi handle (connections, names looked up, TLS sessions, the parsed CA file). Runs in: the loop's thread;
 * libcurl looks names up in threads of its own. Fails: at creation only (NEED).
 */
#ifndef CRESCENT_IO_CURL_H
#define CRESCENT_IO_CURL_H

#include "io/loop.h"
#include <curl/curl.h>
#include <stdint.h>

struct io_curl;

struct io_curl_host {
    /* The transfer is over and out of the multi handle: start no other one here. */
    void (*done)(void *cookie, CURL *easy, CURLcode code);
    /* libcurl has returned: time to hand over what has come, and to start others. */
    void (*after)(void *cookie);
    void *cookie;
};

struct io_curl *io_curl_new(struct loop *l, const struct io_curl_host *host);
/* Every transfer must be out. Closes the connections at rest. Leaves NULL. */
void io_curl_free(struct io_curl **c);
/* Tells that the socket, which an OPENSOCKETFUNCTION has just made, is one of these. */
void io_curl_opened(struct io_curl *c, int fd);
/*
 * A request is about to be sent over a connection that may speak HTTP/2: true where it should be the last one.
 * libcurl 7.88 resets nearly every stream that has ended, and hosts bound those: nghttp2's 1,000, then 33 a second.
 */
#define IO_CURL_STREAMS_MAX 500
bool io_curl_asked(struct io_curl *c, CURL *easy, uint16_t local_port);
/*
 * How many names are being looked up, each in a thread of libcurl's: those too whose transfer has ended meanwhile.
 * Their number has no other bound than the one that an OPTION of each handle, RESOLVER_START_FUNCTION, makes of this.
 */
#define IO_CURL_LOOKUPS_MAX 64
size_t io_curl_lookups(const struct io_curl *c);
/* Begins the transfer: on this pass of the loop, or the next. Not from within a callback of libcurl's. */
void io_curl_add(struct io_curl *c, CURL *easy);
/* Takes a transfer out before its end; `done` is not called for it. Not from within a callback of libcurl's. */
void io_curl_remove(struct io_curl *c, CURL *easy);
/* A transfer that was paused goes on. What fails then (its coding is corrupt, say) does not end it. As io_curl_add. */
CURLcode io_curl_resume(struct io_curl *c, CURL *easy);

#endif
