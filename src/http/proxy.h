/*
 * proxy.h: a request handed on to an upstream, and its reply handed back: which upstream, and what becomes of URL and
 * header on the way (RFC 9110 7.6). Plain data and pure functions: server/answer_proxy moves the bytes.
 * Owns nothing. Runs in: the worker. Fails: a request that must not go on, or a reply that must not come back, is
 * refused with words.
 *
 * Onwards, and back: what belongs to one connection is left out (RFC 9110 7.6.1, and all that Connection names);
 * content and its coding pass untouched.
 *
 * Onwards: what says who the client is, is set here, and what came under these names is not believed: X-Forwarded-For
 * (the client's address), X-Forwarded-Proto, X-Forwarded-Host, X-Request-Id (ours); any other X-Forwarded-*, X-Real-Ip
 * and Forwarded are left out. So is what differs from a name that is set or left out here, by the script too, in '_'
 * for '-' only: many an upstream takes both for one. Traceparent is ours within the client's trace, or left out where
 * there is no valid one. Via grows by "1.1 crescent" (RFC 9110 7.6.3). Host is the upstream's, unless the plan says
 * otherwise.
 *
 * HTTP/1.1 is spoken, in TLS too: a reply that is held back would hold up all others of an HTTP/2 connection (httpc.h).
 *
 * Back: Date and Server are this server's. A Location that names the upstream is turned into one that the client can
 * follow, where the plan says how paths here and there correspond.
 */
#ifndef CRESCENT_HTTP_PROXY_H
#define CRESCENT_HTTP_PROXY_H

#include "codec/url.h"
#include "http/request.h"
#include "http/response.h"
#include "http/trace.h"
#include "io/httpc.h"

#define PROXY_UPSTREAMS_MAX 32
#define PROXY_CHANGES_MAX 64
#define PROXY_NAME_MAX 256                      /* bytes of a name in a change */
#define PROXY_BYTES_MAX HTTP_RESPONSE_BYTES_MAX /* of names and values of all changes, there or back */
#define PROXY_RETRIES_MAX 16
#define PROXY_LOOP 8 /* so often we may stand in Via already */
#define PROXY_CONNECT_TIMEOUT DUR_S(5)
#define PROXY_IDLE_TIMEOUT DUR_S(60)
#define PROXY_ORIGIN 288 /* "https://", a host of 255 bytes, ":65535" */

struct proxy_upstream {
    struct url url; /* no user; path.len == 0: the request's own path goes there; query.at == NULL: its own query */
    char origin[PROXY_ORIGIN];
    size_t origin_len;
};

struct proxy_change {
    struct slice name;  /* lower case, at most PROXY_NAME_MAX bytes */
    struct slice value; /* at == NULL: the field is left out. Several of one name are fields one behind the other. */
};

struct proxy_changes {
    const struct proxy_change *at;
    size_t count;
};

enum proxy_host { PROXY_HOST_UPSTREAM, PROXY_HOST_PASS, PROXY_HOST_SET };

/* What a script wants done. Nobody changes it; its slices lie in memory that its holder keeps. */
struct proxy_plan {
    const struct proxy_upstream *upstreams;
    size_t upstream_count;
    struct proxy_changes request, response;
    enum proxy_host host_how;
    struct slice host;   /* for PROXY_HOST_SET */
    struct slice method; /* at == NULL: the request's */
    struct slice body;   /* with has_body: instead of the request's; at == NULL: none */
    struct slice strip;  /* at == NULL: none; else the prefix of the request's path that does not go there */
    bool has_body;
    bool public_only;
    unsigned attempts;    /* in all */
    unsigned concurrency; /* at one upstream */
    dur_t timeout;        /* of one attempt, until the upstream's header; 0: what is left of the endpoint's */
    dur_t connect_timeout;
    dur_t idle; /* 0: none */
    struct slice ca, cert, key;
};

struct proxy_room { /* what a request is written into; born as {0} */
    struct httpc_header headers[HTTPC_HEADERS_MAX];
    struct buf url, text;
    char id[UUID_TEXT], trace[TRACE_TEXT], ip[IP_TEXT];
};

struct proxy_refusal {
    int status;
    bool script; /* it is the plan that does not fit this request: a script's mistake */
    const char *words;
};

/*
 * The request for this upstream, in `room`; all but timeouts. 0, or -1 with why it does not go on: 400 (what HTTP/1
 * cannot carry), 501 (TRACE, CONNECT, WebSocket), 508 (it came by here too often), or the script's.
 */
int proxy_request(const struct proxy_plan *plan, const struct proxy_upstream *to, const struct http_request *request,
                  const struct trace *trace, struct proxy_room *room, struct httpc_request *out,
                  struct proxy_refusal *refusal);
/* Whether the request may be sent twice (RFC 9110 9.2.2). */
bool proxy_repeatable(const struct httpc_request *r);
/* Which header fields are of one connection only; name in lower case. */
bool proxy_is_of_connection(struct slice name);
/* Whether it may stand in Host: a name or an address in ASCII, with a port or without (RFC 9110 7.2). */
bool proxy_is_host(struct slice host);

/*
 * The reply's status and header into r (cleared). length_out: of its body, or -1: unknown. 0, or -1 with what is wrong
 * with them.
 */
int proxy_response(const struct proxy_plan *plan, const struct proxy_upstream *from, const struct httpc_reply *reply,
                   struct http_response *r, long long *length_out, struct error *err);
/* Whether a reply of this status to this method has no body, whatever its header says (RFC 9110 6.4.1). */
bool proxy_is_bodiless(struct slice method, int status);

/*
 * Which upstream is next: not one of `tried` (bits) unless all are; of those that are not left out for their failures
 * the one with the least under way, then the one that was asked longest ago. Where all are left out, the one whose time
 * is over first, and that is made to be soon (outbound_hurry).
 */
size_t proxy_choose(const struct proxy_plan *plan, struct outbound *o, uint64_t tried);

#endif
