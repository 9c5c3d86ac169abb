/*
 * conditional.h: what of a resource a GET or HEAD wants, given what its client has already: RFC 9110 13 (conditions)
 * and 14 (ranges). Pure: no clock, no I/O. Runs in: any thread. Fails: never: what is malformed is as if it was not
 * sent, as the RFC wants it; but an unknown If-Match is no match.
 */
#ifndef CRESCENT_HTTP_CONDITIONAL_H
#define CRESCENT_HTTP_CONDITIONAL_H

#include "http/request.h"

struct conditional_facts { /* of the resource now */
    struct slice etag;     /* with its quotes, and W/ before them where it is weak */
    int64_t modified;      /* seconds since 1970 */
    unsigned long long size;
};

struct conditional_range {
    unsigned long long first, count; /* bytes */
};

/*
 * The status: 200 (all of it), 206 (the range), 304, 412, or 416. For 200 and 206 range_out is what to send.
 * One range is honoured. Several are answered with all of it (14.2 allows that): nobody can make a server assemble many
 * small pieces of a large file.
 */
int conditional_status(const struct http_request *req, const struct conditional_facts *facts,
                       struct conditional_range *range_out);

#endif
