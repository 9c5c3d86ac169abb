/*
 * trace.h: W3C Trace Context: which trace a request belongs to, by its `traceparent`; strict, since a wrong one would
 * tie strangers' requests together: then there is none. A request without one is a trace of its own, named in the log
 * by its request id; nobody else is told. Plain data. Runs in: the worker. Never fails.
 */
#ifndef CRESCENT_HTTP_TRACE_H
#define CRESCENT_HTTP_TRACE_H

#include "http/request.h"

#define TRACE_TEXT 55 /* "00-", trace id, "-", span id, "-", flags */

struct trace {
    unsigned char id[16];  /* zeros: the request carried none */
    unsigned char span[8]; /* ours, of this request */
    unsigned char flags;   /* sampled, as the caller said */
    bool carried;
};

/* Reads the request's traceparent; another than exactly one valid one counts as none. */
void trace_read(const struct http_request *r, struct trace *trace_out);
/* The caller's trace with our span, as `traceresponse` says it, and as `traceparent` does to whom we call. */
void trace_text(const struct trace *t, char text_out[TRACE_TEXT]);
/* The trace id for the log: 32 characters; the request's own id where it carried none. */
void trace_id_text(const struct trace *t, const struct uuid *request, char text_out[32]);

#endif
