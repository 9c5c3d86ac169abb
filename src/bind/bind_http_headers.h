/*
 * bind_http_headers.h: the header fields that a script gives an outgoing request: { name = "value", other = { "a", "b"
 * } }. Owns nothing: the slices lie in Lua values that are on the stack. Runs in: the state's thread. Fails: misuse
 * raises.
 */
#ifndef CRESCENT_BIND_BIND_HTTP_HEADERS_H
#define CRESCENT_BIND_BIND_HTTP_HEADERS_H

#include "io/httpc.h"
#include "script/table.h"

/*
 * Bytes of names and values together. A script may name one long string many times, and each call copies it into memory
 * that no ceiling of the script's counts. No server takes a header of this size.
 */
#define BIND_HTTP_HEADERS_BYTES ((size_t)256 << 10)

struct bind_http_headers {
    struct httpc_header at[HTTPC_HEADERS_MAX];
    size_t count, bytes;
};

/* Empties it. */
void bind_http_headers_clear(struct bind_http_headers *h);
/*
 * Adds those of the option `headers`, if there is one. What the client itself sets is refused, and so is a second value
 * of what a request has one of. All that h borrows is left on the stack. [-0,+x,v]
 */
void bind_http_headers_read(struct table_reader *t, struct bind_http_headers *h);
/* Whether one has this name, in whatever case. */
bool bind_http_headers_has(const struct bind_http_headers *h, struct slice name);
/* One more, by ourselves: for a few small ones there is always room. */
void bind_http_headers_add(struct bind_http_headers *h, struct slice name, struct slice value);

#endif
