/*
 * problem.h: RFC 9457 problem details: every error the server answers. The detail never holds a secret, a stack or a
 * path. Runs in: worker, keeper. Never fails.
 */
#ifndef CRESCENT_HTTP_PROBLEM_H
#define CRESCENT_HTTP_PROBLEM_H

#include "base/uuid.h"
#include "http/response.h"

/* The standard phrase ("Not Found"), or "Error". */
const char *problem_title(int status);
/*
 * Makes r (inited) that problem: status, application/problem+json, body
 * {"type":"about:blank","title","status","detail", "request_id"}. detail may be SLICE_NONE. members: further JSON
 * members, as `"name":value` text, or SLICE_NONE. The body's bytes go to `room`, which must live until the response is
 * sent.
 */
void problem_make(struct http_response *r, int status, struct slice detail, const struct uuid *id, struct slice members,
                  struct buf *room);

#endif
