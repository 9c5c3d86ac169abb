/*
 * request.h: a read-only view of one HTTP request, as slices. It looks into libh2o's memory until it is detached
 * (copied into memory of its own), which must happen before the library's request may go while the view is still
 * needed. Plain data: tests build one by hand. Runs in: the worker. Fails: a request that cannot be (obs-fold, a NUL or
 * broken percent-encoding in the path, a path without '/') is refused with words, a 400.
 */
#ifndef CRESCENT_HTTP_REQUEST_H
#define CRESCENT_HTTP_REQUEST_H

#include "base/slice.h"
#include "base/time.h"
#include "base/uuid.h"
#include "codec/ip.h"
#include <stdbool.h>

struct st_h2o_req_t;

struct http_header {
    struct slice name; /* lower case */
    struct slice value;
};

struct http_request {
    struct slice method;
    struct slice path;      /* decoded once, dots resolved, begins with '/', no trailing slash but "/" itself */
    struct slice raw_path;  /* as sent, without the query */
    struct slice query;     /* as sent, without '?'; at == NULL: none */
    struct slice authority; /* as sent */
    struct slice host;      /* lower case, without port */
    struct slice scheme;    /* "http", "https" */
    struct slice body;      /* raw */
    struct ip client;       /* whose request it is: the connection's peer, or whom a trusted proxy names */
    struct slice ip;        /* the same as text */
    int version;            /* 0x100, 0x101, 0x200 */
    const struct http_header *headers; /* in the order sent; `host` and `content-length` are among them */
    size_t header_count;
    size_t header_bytes; /* names and values together */
    wall_t received_at;
    struct uuid id;
    void *own; /* memory of a detached view, or NULL */
};

/* Fills the view from libh2o's request; lives in its pool. 0, or -1 and a static text that says what is wrong. */
int http_request_view(struct st_h2o_req_t *req, wall_t now, struct http_request *view_out, const char **why_out);
/* Copies all into memory of its own; afterwards libh2o's request may go. Twice is fine. */
void http_request_detach(struct http_request *view);
/* Frees what detach made; leaves {0}. */
void http_request_free(struct http_request *view);
/* The first header with this lower-case name; at == NULL: none. */
struct slice http_request_header(const struct http_request *view, struct slice name);

#endif
