/*
 * bind_http_stream.h: { stream = true }: the call returns when the reply's header is there; its body is read piece by
 * piece, and the upstream is held back while nobody reads. So `for piece in response:pieces() do write(piece) end`
 * within reply.stream hands a reply of any size to a client of any speed.
 * A transfer belongs to the task that reads it: it ends with that, but for a task that returned before the end, whose
 * response another may go on with (the function of reply.stream, say); after ten seconds of which nobody has, it ends.
 * Owns: the transfer. Runs in: the state's thread. Fails: as http.get; :pieces() raises, so that half is never whole.
 */
#ifndef CRESCENT_BIND_BIND_HTTP_STREAM_H
#define CRESCENT_BIND_BIND_HTTP_STREAM_H

#include "bind/bind_http_plan.h"

/* Registers the type; once per state. [-0,+0,m] */
void bind_http_stream_open(lua_State *L);
/* Adds read, pieces and close to the table at the top of the stack. [-0,+0,m] */
void bind_http_stream_methods(lua_State *L);
/* Begins the request and the wait for its header; to be returned. [v] */
int bind_http_stream_start(lua_State *L, struct bind_http_plan *p);

#endif
