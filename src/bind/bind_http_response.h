/*
 * bind_http_response.h: a reply as scripts see it: status, headers (any spelling; the first of several), body, url (of
 * the last hop), :json(), :all_headers(name). A streamed one has no body but :read(), :pieces(), :close().
 * A field that is not there is an error in words. Owns nothing. Runs in: the state's thread.
 */
#ifndef CRESCENT_BIND_BIND_HTTP_RESPONSE_H
#define CRESCENT_BIND_BIND_HTTP_RESPONSE_H

#include "io/httpc.h"
#include <lua.h>

/* Puts the types into the registry; once per state, after bind_req_register. [-0,+0,m] */
void bind_http_response_open(lua_State *L);
/* Pushes the reply, collected whole. [-0,+1,m] */
void bind_http_response_push(lua_State *L, const struct httpc_reply *reply);
/* The same, streamed: the userdata at the top of the stack becomes its stream. [-1,+1,m] */
void bind_http_response_push_streamed(lua_State *L, const struct httpc_reply *reply);
/* The stream of the response that is argument 1; raises where it is none. [-0,+0,v] */
void *bind_http_response_stream(lua_State *L, const char *what);

#endif
