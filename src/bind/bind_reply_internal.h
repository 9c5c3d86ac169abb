/*
 * bind_reply_internal.h: what bind_reply (reading), bind_reply_make (the global reply) and bind_cookies share.
 * Runs in: the state's thread.
 */
#ifndef CRESCENT_BIND_BIND_REPLY_INTERNAL_H
#define CRESCENT_BIND_BIND_REPLY_INTERNAL_H

#include "bind/bind_reply.h"

enum bind_reply_kind {
    REPLY_KIND_JSON = 1,
    REPLY_KIND_TEXT,
    REPLY_KIND_HTML,
    REPLY_KIND_BYTES,
    REPLY_KIND_REDIRECT,
    REPLY_KIND_PROBLEM,
    REPLY_KIND_STREAM,
    REPLY_KIND_SSE,
    REPLY_KIND_FILE,
    REPLY_KIND_PROXY
};

/* Positions in a reply's table. */
enum bind_reply_field {
    REPLY_KIND = 1,
    REPLY_STATUS,
    REPLY_BODY,
    REPLY_HEADERS,
    REPLY_COOKIES,
    REPLY_TYPE,
    REPLY_TIMEOUT,   /* of a stream: nanoseconds */
    REPLY_HEARTBEAT, /* of events: nanoseconds; 0: none */
    REPLY_NAME,      /* of a file: under which a browser keeps it */
    REPLY_FIELDS = REPLY_NAME
};

/* Puts the metatable and the protected reader into the registry; once per state. [-0,+0,m] */
void bind_reply_register(lua_State *L);
/* Pushes a new reply with kind and status. [-0,+1,m] */
void bind_reply_push(lua_State *L, enum bind_reply_kind kind, int status);
/*
 * reply.<kind>(value, opts), `what`: "reply.json": pushes the reply with the value at 1 as its body, opts at 2 read:
 * a status, or a table with the `known` fields, of which status, headers, cookies and type are read here. [-0,+1,v]
 */
int bind_reply_make(lua_State *L, enum bind_reply_kind kind, int status, const char *what, const char *const *known);
/* reply.stream(function [, opts]) and reply.sse(function [, opts]). */
int bind_reply_stream(lua_State *L);
int bind_reply_sse(lua_State *L);
/* reply.file(path [, opts]); and reads one into a response whose body is the path. 0, or -1 with words. */
int bind_reply_file(lua_State *L);
int bind_reply_file_read(lua_State *L, int index, struct http_response *r, struct error *err);
/* reply.proxy(url [, opts]), and its metatable, once per state; and keeps the plan of one. 0, or -1 with words. */
int bind_reply_proxy(lua_State *L);
void bind_reply_proxy_register(lua_State *L);
int bind_reply_proxy_read(lua_State *L, int index, struct bind_reply_plan *plan, struct error *err);
/* Reads the stream or sse reply at `index`, whose response has its headers. 0, or -1 with words; may raise (memory). */
int bind_reply_plan_read(lua_State *L, int index, struct http_response *r, struct bind_reply_plan *plan,
                         struct error *err);
/*
 * Adds a Set-Cookie header (RFC 6265 4.1.1) for each cookie of the table at `index`: name = "value", or
 * name = { value, path, domain, max_age, secure, http_only, same_site }. nil: none. 0, or -1 with words.
 */
int bind_reply_cookies(lua_State *L, int index, struct http_response *r, struct error *err);

#endif
