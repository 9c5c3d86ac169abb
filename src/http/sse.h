/*
 * sse.h: the framing of server-sent events (WHATWG HTML 9.2.6): fields before the data, data line by line, in pieces,
 * so that a large text is never held a second time. Runs in: any thread, pure. Fails: what a client would read as
 * something else is refused with words.
 */
#ifndef CRESCENT_HTTP_SSE_H
#define CRESCENT_HTTP_SSE_H

#include "base/buf.h"
#include "base/error.h"

struct sse_event { /* at == NULL: without */
    struct slice event, id;
    struct slice data;
    int64_t retry_ms; /* < 0: without */
};

/*
 * Whether a client would get what is meant: no line break in event or id, no NUL in id (the client would drop it),
 * UTF-8 throughout, an event name only with data (else it is never dispatched), something at all. 0, or -1 with words.
 */
int sse_check(const struct sse_event *e, struct error *err);
/* Appends the fields before the data. */
void sse_fields(const struct sse_event *e, struct buf *out);

struct sse_lines { /* the data on its way */
    struct slice rest;
    bool inside; /* within a line: its "data: " is written */
    bool none;   /* there is no data, only the end of the event */
};
void sse_lines_begin(struct sse_lines *l, struct slice data);
/* Appends about `most` bytes of it, the event's end included. Whether that was all. */
bool sse_lines_take(struct sse_lines *l, struct buf *out, size_t most);

/* A comment, which clients ignore: keeps a silent connection open. */
#define SSE_HEARTBEAT SLICE(":\n\n")

#endif
