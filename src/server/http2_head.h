/*
 * http2_head.h: the memory of an HTTP/2 request's header section. libh2o holds one until its request ends, and a
 * client may let that wait: by a body that does not come, by windows that stay closed. So what the limits refuse is
 * let go at once, and the rest is in the share of its address (limits.body_memory_per_ip).
 * Owns: nothing. Runs in: the worker's thread. Never fails (memory by NEED).
 */
#ifndef CRESCENT_SERVER_HTTP2_HEAD_H
#define CRESCENT_SERVER_HTTP2_HEAD_H

#include "policy/policy.h"
#include <stdbool.h>

struct connection;
struct st_h2o_req_t;

/*
 * libh2o has just read the section of this request; awaits: its body is still to come. Where it is past limits.headers,
 * limits.fields or limits.uri, something small stands in its place that the pipeline refuses for the same reason.
 * Charges what is kept, until the request ends: REASON_none, or the limit that says no, which is then counted.
 */
enum reason http2_head_keep(struct connection *c, struct st_h2o_req_t *req, bool awaits);

/* Whether something stands in for a section whose target was past limits.uri: its path is no more than the begin. */
bool http2_head_is_target(const struct st_h2o_req_t *req);
/* Whether something stands in for its section at all: its fields are gone. */
bool http2_head_is_gone(const struct st_h2o_req_t *req);

#endif
