/*
 * http1_guard.h: what libh2o 2.2.5 takes of HTTP/1 though RFC 9112 forbids it: header sections and chunks in which two
 * readers can see two different ends of a request, or two hosts. Behind a proxy that reads them the other way, one
 * client's bytes become another's request (request smuggling). Definitions of the parser's functions that libh2o calls
 * take the place of the library's, as in http2_guard.h; chunks are codec/chunked's. Owns: the original's address. Runs
 * in: the worker's thread. Fails: http1_guard_proved says whether the linker did its part.
 */
#ifndef CRESCENT_SERVER_HTTP1_GUARD_H
#define CRESCENT_SERVER_HTTP1_GUARD_H

#include "base/error.h"

/*
 * After libh2o was led through a connection (http2_proof_run): 0 when it asked ours to parse a header and to
 * decode a body; -1 with words.
 * A request with such a header section reaches the pipeline with no field at all, and connection.framing says why; so
 * does one with more fields than the library has room for (connection.crowded).
 */
int http1_guard_proved(struct error *err);

#endif
