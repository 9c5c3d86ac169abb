/*
 * http2_proof.h: shows, before HTTP/2 is offered to anyone, that libh2o calls the guard: a connection within the
 * process is led through libh2o by hand, HTTP/1 first, and each function of the guard must have been called, and have
 * refused. Runs in: the worker, at start, a few milliseconds. Fails: words; then HTTP/2 stays off.
 */
#ifndef CRESCENT_SERVER_HTTP2_PROOF_H
#define CRESCENT_SERVER_HTTP2_PROOF_H

#include "base/error.h"

/* 0, or -1 with what is not guarded. */
int http2_proof_run(struct error *err);

#endif
