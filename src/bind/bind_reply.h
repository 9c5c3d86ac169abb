/*
 * bind_reply.h: what handle returned → a response; and the global reply (json, text, html, bytes, redirect, problem,
 * ...). Runs in: the state's thread, protected. Fails: what cannot be an answer is words, for a 500.
 */
#ifndef CRESCENT_BIND_BIND_REPLY_H
#define CRESCENT_BIND_BIND_REPLY_H

#include "base/uuid.h"
#include "http/response.h"
#include <lua.h>

/*
 * Reads `count` results at the bottom of co's stack, by the forms of the design's section 1, into r (inited).
 * The body's bytes stay on co's stack, or in room. 0, or -1 with words ("handle returned nil, err: ..."). Never raises.
 */
int bind_reply_read(lua_State *co, int count, const struct uuid *id, struct http_response *r, struct buf *room,
                    struct error *err);

/* Pushes the global reply. Once per state, before any bind_reply_read. [-0,+1,m] */
void bind_reply_open(lua_State *L);

#endif
