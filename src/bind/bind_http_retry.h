/*
 * bind_http_retry.h: whether a failed outgoing request is tried again, and after how long: { retry = … } of http.*.
 * Plain data, but for reading the option. Runs in: the state's thread. Fails: misuse raises.
 *
 * Tried again is what failed on the way (dns, refused, unreachable, closed, timeout, circuit_open), and replies of some
 * statuses (429, 502, 503, 504). A method that is not idempotent is sent again only where nothing of it was sent, or
 * its sender says that it may be. The pause doubles each time, is shortened at random by up to a half, and is at least
 * what Retry-After asks for, of this call alone: another one does not wait for it. All of it happens within the
 * request's `timeout`: a pause that would not end in time is not begun.
 */
#ifndef CRESCENT_BIND_BIND_HTTP_RETRY_H
#define CRESCENT_BIND_BIND_HTTP_RETRY_H

#include "io/httpc.h"
#include <lua.h>

#define BIND_HTTP_STATUSES_MAX 32
#define BIND_HTTP_ATTEMPTS 3

struct bind_http_retry {
    unsigned attempts; /* in all; 1: no retry */
    dur_t min, max;    /* the first pause, doubled each time, up to this */
    dur_t timeout;     /* of one attempt; 0: what is left of all */
    bool idempotent;   /* may be sent twice, whatever its method */
    int statuses[BIND_HTTP_STATUSES_MAX];
    size_t status_count;
    bool statuses_said; /* by the script: some that shall be tried again */
};

/* Reads the value at the top: true, a number of attempts, or { attempts, min, max, timeout, statuses, idempotent }. */
void bind_http_retry_read(lua_State *L, const char *what, struct bind_http_retry *retry_out);
/* After this many attempts: is there another? expected: `expect` names the reply's status. */
bool bind_http_retry_wanted(const struct bind_http_retry *r, unsigned attempts, const struct httpc_reply *reply,
                            bool repeatable, bool expected);
/* The pause before it; random: any 32 bits. */
dur_t bind_http_retry_pause(const struct bind_http_retry *r, unsigned attempts, const struct httpc_reply *reply,
                            wall_t now, uint32_t random);

#endif
