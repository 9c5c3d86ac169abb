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
#include "crypto/identity.h"
#include <stdbool.h>

struct st_h2o_mem_pool_t;
struct st_h2o_req_t;

struct http_header {
    struct slice name; /* lower case */
    struct slice value;
};

struct http_published {  /* the setting public_url: under which URL senders know this server */
    struct slice base;   /* "https://hooks.example.com/base", without a slash at its end */
    struct slice scheme; /* "http", "https" */
    struct slice host;   /* lower case, without port */
};

struct http_request {
    struct slice method;
    struct slice path;     /* decoded once, dots resolved, begins with '/', no trailing slash but "/" itself */
    struct slice raw_path; /* as sent, without the query */
    struct slice query;    /* as sent, without '?'; at == NULL: none */
    /* What the client asked for: as sent, or as a trusted proxy says that it was. */
    struct slice authority;
    struct slice host;                      /* lower case, without port */
    struct slice scheme;                    /* "http", "https" */
    const struct http_published *published; /* NULL: no public_url */
    struct slice body;                      /* raw */
    struct ip client;                  /* whose request it is: the connection's peer, or whom a trusted proxy names */
    int version;                       /* 0x100, 0x101, 0x200 */
    const struct http_header *headers; /* in the order sent; `host` and `content-length` are among them */
    size_t header_count;
    size_t header_own;               /* of these, the last so many are not the client's: it gave no length for a body */
    size_t header_bytes;             /* names and values together, as libh2o has them */
    const struct identity *identity; /* of the client's certificate, which was verified; NULL: there is none */
    wall_t received_at;
    struct uuid id;
    void *own; /* memory of a detached view, or NULL */
};

/* Fills the view from libh2o's request; lives in its pool. 0, or -1 and a static text that says what is wrong. */
int http_request_view(struct st_h2o_req_t *req, wall_t now, struct http_request *view_out, const char **why_out);
/*
 * The same of version, raw_path (the target as sent) and authority alone: query, host and path of a view by hand, in
 * the pool's memory where need be. -1 with static words.
 */
int http_request_target(struct st_h2o_mem_pool_t *pool, struct http_request *view, const char **why_out);
/* What a trusted proxy says, over what the connection did: client IP_NONE, a slice with at == NULL: nothing. */
void http_request_forwarded(struct st_h2o_req_t *req, struct http_request *view, const struct ip *client,
                            struct slice scheme, struct slice authority);
/* How its sender knows us: by public_url where there is one, else as the request says. */
static inline struct slice http_request_scheme(const struct http_request *view)
{
    return view->published != NULL ? view->published->scheme : view->scheme;
}
static inline struct slice http_request_host(const struct http_request *view)
{
    return view->published != NULL ? view->published->host : view->host;
}
/* Copies all into memory of its own; afterwards libh2o's request may go. Twice is fine. */
void http_request_detach(struct http_request *view);
/* Frees what detach made; leaves {0}. */
void http_request_free(struct http_request *view);
/* The first header with this lower-case name; at == NULL: none. */
struct slice http_request_header(const struct http_request *view, struct slice name);

#endif
