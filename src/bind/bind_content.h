/*
 * bind_content.h: the bytes and the type of a request's body, for its readers.
 * Runs in: the state's thread. Fails: a body that cannot be unpacked raises a problem (400, 413, 415, 503).
 */
#ifndef CRESCENT_BIND_BIND_CONTENT_H
#define CRESCENT_BIND_BIND_CONTENT_H

#include "bind/bind_req.h"

/* The body without its Content-Encoding, unpacked on the first call. Good until the next wait. [-0,+0,v] */
struct slice bind_content_bytes(lua_State *L, struct bind_req *r);
/* Its Content-Type as sent; two of them raise a 400: readers would take different ones. at == NULL: none. [-0,+0,v] */
struct slice bind_content_type(lua_State *L, const struct http_request *http);
/* Whether a Content-Type is application/json, text/json or ends in +json (RFC 6839 3.1); is a urlencoded form. */
bool bind_content_is_json(struct slice type);
bool bind_content_is_form(struct slice type);

/* As content_read, of the request's body; what passes a limit when it is unpacked is counted. Runs no Lua. */
int bind_content_read(struct state *s, struct bind_req *r);

#endif
