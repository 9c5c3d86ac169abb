/*
 * bind_reply.h: what handle returned → a response; and the global reply (json, text, html, bytes, redirect, problem,
 * ...). Runs in: the state's thread, protected. Fails: what cannot be an answer is words, for a 500.
 */
#ifndef CRESCENT_BIND_BIND_REPLY_H
#define CRESCENT_BIND_BIND_REPLY_H

#include "base/time.h"
#include "base/uuid.h"
#include "http/response.h"
#include <lua.h>

struct proxy_plan;

/*
 * What is to follow the response's headers: a stream (reply.stream, reply.sse), or a file (reply.file). Or an upstream
 * answers (reply.proxy): then the response says nothing.
 */
struct bind_reply_plan {
    int function; /* registry reference to it, or to what the proxy's plan lies in; its holder's to release; 0: none */
    const struct proxy_plan *proxy; /* as long as that is held */
    bool file;                      /* the response's body is the path of what is to be sent */
    bool sse;
    bool interrupted; /* there is no answer: to read it took longer than the script's max_run */
    dur_t timeout;    /* of the whole stream; 0: none */
    dur_t heartbeat;  /* 0: none */
};
/* Releases its function. [-0,+0,-] */
void bind_reply_plan_drop(lua_State *L, struct bind_reply_plan *plan);

/*
 * Reads `count` results at the bottom of co's stack, by the forms of the design's section 1, into r (inited).
 * The body's bytes stay on co's stack, or in room. A table is read in a stretch of its own, by the limit of the last
 * one (the plan says whether that was passed). 0, or -1 with words ("handle returned nil, err: ..."). Never raises.
 */
int bind_reply_read(lua_State *co, int count, const struct uuid *id, struct http_response *r,
                    struct bind_reply_plan *plan, struct buf *room, struct error *err);

/* Pushes the global reply. Once per state, before any bind_reply_read. [-0,+1,m] */
void bind_reply_open(lua_State *L);

#endif
