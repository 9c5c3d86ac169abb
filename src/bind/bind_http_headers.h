/*
 * bind_http_headers.h: the header fields that a script gives an outgoing request: { name = "value", other = { "a", "b"
 * } }. Owns nothing: the slices lie in Lua values that are on the stack. Runs in: the state's thread. Fails: misuse
 * raises.
 */
#ifndef CRESCENT_BIND_BIND_HTTP_HEADERS_H
#define CRESCENT_BIND_BIND_HTTP_HEADERS_H

#include "io/httpc.h"
#include "script/table.h"

struct bind_http_headers { /* emptied by count = 0 */
    struct httpc_header at[HTTPC_HEADERS_MAX];
    size_t count;
};

/*
 * Adds those of the option `headers`, if there is one. What the client itself sets is refused, and so is a second value
 * of what a request has one of. All that h borrows is left on the stack. [-0,+x,v]
 */
void bind_http_headers_read(struct table_reader *t, struct bind_http_headers *h);
/* Whether one has this name, in whatever case. */
bool bind_http_headers_has(const struct bind_http_headers *h, struct slice name);
/* One more, by ourselves: for a few of these there is always room. */
void bind_http_headers_add(struct bind_http_headers *h, struct slice name, struct slice value);
/* Whether this is a token (RFC 9110 5.6.2): a method's or a field's name. */
bool bind_http_headers_token(struct slice s);

#endif
