/*
 * request.h: requests made by hand, for the tests of policy/. Each test owns its own.
 */
#ifndef CRESCENT_TESTS_POLICY_REQUEST_H
#define CRESCENT_TESTS_POLICY_REQUEST_H

#include "http/request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

struct request {
    struct http_request http;
    struct http_header headers[16];
};

static inline void request_make(struct request *r, const char *body)
{
    *r = (struct request){.http = {.method = SLICE("POST"), .path = SLICE("/hook"), .raw_path = SLICE("/hook")}};
    r->http.body = slice_of(body);
    r->http.headers = r->headers;
}

static inline void request_header(struct request *r, const char *name, struct slice value)
{
    r->headers[r->http.header_count++] = (struct http_header){slice_of(name), value};
}

static inline wall_t at_second(int64_t seconds)
{
    return (wall_t){seconds * 1000000000};
}

#endif
