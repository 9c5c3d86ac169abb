/*
 * bind_http_internal.h: what whole and streamed requests share: the failure values.
 */
#ifndef CRESCENT_BIND_BIND_HTTP_INTERNAL_H
#define CRESCENT_BIND_BIND_HTTP_INTERNAL_H

#include "io/httpc.h"
#include <lua.h>

/* Pushes nil and the error value of a request that failed; attempts: how many were made. [-0,+2,m] */
int bind_http_push_failure(lua_State *L, const char *method, const struct httpc_reply *reply, unsigned attempts);
/* The response at the top of the stack has a status that was not expected: becomes nil and an error. [-1,+2,m] */
int bind_http_push_unexpected(lua_State *L, const char *method, const struct httpc_reply *reply, unsigned attempts);

#endif
