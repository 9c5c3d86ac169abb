/*
 * bind_http_body.h: Lua tables to query strings, forms and multipart bodies of outgoing requests. The same table gives
 * the same bytes: names are sorted. Owns nothing. Runs in: the state's thread. Fails: misuse raises; what is written
 * into must outlive that.
 */
#ifndef CRESCENT_BIND_BIND_HTTP_BODY_H
#define CRESCENT_BIND_BIND_HTTP_BODY_H

#include "base/buf.h"
#include <lua.h>

/*
 * Appends "name=value&…" for the table at the top of the stack: values are strings, numbers, true, false, or lists of
 * these (a name for each). [-0,+0,v]
 */
void bind_http_body_pairs(lua_State *L, const char *what, const char *option, struct buf *out);
/*
 * Appends the multipart/form-data body (RFC 7578) of the table at the top of the stack: name → value as above, or
 * { data, filename, type }, or a list of these; or a list of { name, data, filename, type }, in that order.
 * type_out: the Content-Type with its boundary. [-0,+0,v]
 */
void bind_http_body_multipart(lua_State *L, const char *what, struct buf *out, char type_out[96]);

#endif
