/*
 * bind_http_plan.h: from the arguments of http.get(url, options) and its like to one request, and what is to become of
 * its reply. Every option is known by name, kind and range; misuse raises with the script's file and line.
 * Owns: per state, one plan, whose memory outlives a raise. Runs in: the state's thread.
 */
#ifndef CRESCENT_BIND_BIND_HTTP_PLAN_H
#define CRESCENT_BIND_BIND_HTTP_PLAN_H

#include "base/buf.h"
#include "bind/bind_http_headers.h"
#include "bind/bind_http_retry.h"
#include "bind/bind_http_sign.h"
#include "io/httpc.h"
#include "script/host.h"
#include <lua.h>

#define BIND_HTTP_EXPECT_MAX 16
#define BIND_HTTP_TIMEOUT DUR_S(10) /* unless said; and then at most */
#define BIND_HTTP_SHARE 80          /* hundredths of what is left of the endpoint's time */
#define BIND_HTTP_CONNECT_TIMEOUT DUR_S(5)
#define BIND_HTTP_MAX_BODY ((size_t)8 << 20)
#define BIND_HTTP_REDIRECTS 5 /* of GET and HEAD; others are not followed unless that is asked for */

struct bind_http_range {
    int least, most;
};

struct bind_http_plan {
    const char *what;                 /* "http.get", for messages */
    struct httpc_request request;     /* slices: in the plan, or in Lua values that are on the stack */
    struct bind_http_headers headers; /* what request.headers is, with room for the signature's */
    struct buf url, text, body;       /* text: header fields */
    struct bind_http_range expect[BIND_HTTP_EXPECT_MAX];
    size_t expect_count; /* 0: every status is fine */
    struct bind_http_retry retry;
    struct bind_http_sign sign;
    bool stream, max_body_said;
    char multipart_type[96], trace[HOST_TRACE];
};

/* Pushes nothing; makes the state's plan. Once per state. [-0,+0,m] */
void bind_http_plan_open(lua_State *L);
/*
 * Reads the arguments at 1 and 2: url and options, or (method NULL: http.request) one table with both. Good until the
 * next one is read; Lua values that it borrows from are on the stack. [-0,+x,v]
 */
struct bind_http_plan *bind_http_plan_read(lua_State *L, const char *what, const char *method);
/* Raises unless what this option (ca, cert, key) says may be PEM text, or a path. [-0,+0,v] */
void bind_http_plan_check_pem(struct table_reader *t, const char *name, struct slice given);
/* Whether the status is one that `expect` names, or it names none. */
bool bind_http_plan_expects(const struct bind_http_range *expect, size_t count, int status);

#endif
