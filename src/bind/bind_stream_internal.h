/*
 * bind_stream_internal.h: what bind_stream (write, waits) and bind_stream_sse (send) share of one stream.
 */
#ifndef CRESCENT_BIND_BIND_STREAM_INTERNAL_H
#define CRESCENT_BIND_BIND_STREAM_INTERNAL_H

#include "bind/bind_stream.h"
#include "http/sse.h"
#include "http/stream.h"
#include "io/timeout.h"
#include "script/await.h"

struct bind_stream {
    struct bind_stream_host host;
    struct state *state;
    struct loop *loop;
    const char *name;  /* "write" or "send", for messages */
    bool open;         /* false: over, all else is void */
    struct task *task; /* whose it is; NULL in its first stretch */
    int self, text;    /* registry: this object; the text being written */

    bool writing;           /* begun and not all taken */
    bool cut;               /* one was ended before all was taken: nothing can follow it */
    struct slice rest;      /* of the text */
    bool framing;           /* events: there are lines to come */
    struct sse_lines lines; /* of the data */
    struct buf frame;       /* the next piece of an event */
    struct buf json;        /* data that was a table */
    struct await await;

    dur_t heartbeat; /* 0: none */
    mono_t written_at;
    struct timeout timer;
};

/* The functions write(text) and send(event); their first upvalue is the stream. */
int bind_stream_write(lua_State *L);
int bind_stream_send(lua_State *L);
/* The stream of the running function; raises where it cannot write now. */
struct bind_stream *bind_stream_check(lua_State *L);
/* Writes what is set up in b, to be returned; anchor: index of the text that it lies in, or 0. */
int bind_stream_go(lua_State *L, struct bind_stream *b, int anchor);

#endif
