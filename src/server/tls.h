/*
 * tls.h: the TLS side of a listener: certificate chain and key out of the configuration, TLS 1.2 and 1.3, ALPN.
 * Owns: nothing; the context is the caller's, for the life of the process. Runs in: the worker. Fails: with words.
 */
#ifndef CRESCENT_SERVER_TLS_H
#define CRESCENT_SERVER_TLS_H

#include "base/error.h"
#include "base/slice.h"
#include <stdbool.h>

struct ssl_ctx_st;

/* http2: whether ALPN offers it. NULL with words. */
struct ssl_ctx_st *tls_new(struct slice cert_pem, struct slice key_pem, bool http2, struct error *err);

#endif
