/*
 * response.h: status, headers and body on their way to libh2o: checked, and sent exactly once.
 * libh2o 2.2.5 checks nothing: a bad status aborts, a line break splits the response. So everything passes here.
 * Owns: headers' bytes; the body is borrowed until http_response_send copies it into the request's pool.
 * Runs in: the worker, the keeper (admin). Fails: a response that cannot be sent is refused with words.
 */
#ifndef CRESCENT_HTTP_RESPONSE_H
#define CRESCENT_HTTP_RESPONSE_H

#include "base/buf.h"
#include "base/error.h"
#include <stdbool.h>

struct st_h2o_req_t;

#define HTTP_RESPONSE_HEADERS_MAX 128
/*
 * Bytes of names and values together, as much as io/httpc takes of a reply. Clients and proxies take less (nginx 4 to 8
 * KiB, node 16, curl 100 to 300), and libh2o packs all of it at once while nobody else is served.
 */
#define HTTP_RESPONSE_BYTES_MAX ((size_t)64 << 10)
#define HTTP_RESPONSE_HEADERS_OWN 12 /* places beyond these, which only the server fills */

struct http_response {
    int status;
    struct slice body; /* borrowed */
    struct buf bytes;  /* headers: names and values behind each other */
    struct {
        uint32_t name_len, value_len;
    } header[HTTP_RESPONSE_HEADERS_MAX + HTTP_RESPONSE_HEADERS_OWN];
    size_t header_count;
};

/* An empty 204. */
void http_response_init(struct http_response *r);
void http_response_free(struct http_response *r);
/* As init, but keeps the memory it has: for one that is used again and again. */
void http_response_clear(struct http_response *r);
/* The standard phrase of a status ("Not Found"); never NULL. */
const char *http_response_reason(int status);
/* Status 200-599. */
int http_response_status(struct http_response *r, long status, struct error *err);
/*
 * Adds one header; the name is lower-cased. Refused: a name that is no token (RFC 9110 5.6.2), a control character in
 * the value, a hop-by-hop or length header (connection, transfer-encoding, content-length, keep-alive, upgrade, te,
 * trailer, proxy-connection, date, server); more than HTTP_RESPONSE_HEADERS_MAX of them, or HTTP_RESPONSE_BYTES_MAX.
 */
int http_response_add(struct http_response *r, struct slice name, struct slice value, struct error *err);
/*
 * Adds a header that the server says of its own accord on an answer that is complete: there is room for those even
 * where a script or an upstream has filled all places. name: lower case; neither may be one that add
 * would refuse, for nothing is looked at.
 */
void http_response_add_own(struct http_response *r, struct slice name, struct slice value);
/* Takes every header with this lower-case name away. */
void http_response_remove(struct http_response *r, struct slice name);
/* Whether a header with this lower-case name is there. */
bool http_response_has(const struct http_response *r, struct slice name);
/* Puts status, reason and headers into libh2o's response, for one that is sent in another way (http/stream). */
void http_response_copy(const struct http_response *r, struct st_h2o_req_t *req);
/*
 * Sends it; libh2o's request is gone afterwards for the caller. HEAD, 204 and 304 get no body bytes (HEAD keeps the
 * length). Large bodies go in pieces. Does not free r.
 */
void http_response_send(struct http_response *r, struct st_h2o_req_t *req);

#endif
