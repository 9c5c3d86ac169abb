/*
 * tls_handshake.h: takes an accepted connection through its TLS handshake, then hands it to HTTP/2 or HTTP/1 as agreed;
 * counts what came of it. libh2o's own way drops the alert that would tell a client why it is refused, and tells
 * nobody what the reason was. A handshake that takes too long is cut by the sweep like a header.
 * Owns: a handshake in progress. Runs in: the worker's thread. Fails: a failed handshake ends its connection.
 */
#ifndef CRESCENT_SERVER_TLS_HANDSHAKE_H
#define CRESCENT_SERVER_TLS_HANDSHAKE_H

#include <stdbool.h>

struct server;
struct connection;
struct ssl_st;

/* The connection is registered and nothing was read of it yet. */
void tls_handshake_begin(struct server *s, struct connection *c);
/* Whether nothing has come yet of a connection whose handshake has begun and not ended. */
bool tls_handshake_silent(const struct connection *c);
/* For tls_host: tells a handshake in progress what OpenSSL does. */
void tls_handshake_info(const struct ssl_st *ssl, int where, int value);

#endif
