/*
 * tls.h: the TLS of all listeners: certificates chosen by the name that the client asks for (SNI, RFC 6066 3), one of
 * each kind of key for a name; client certificates by name; stapled OCSP responses; session tickets; what is spoken.
 * A *site* is the set of entries of the setting `tls` that answer for one name, and its OpenSSL context.
 * Owns: contexts, certificates. Runs in: the worker; the config child makes one to find out whether it can be made.
 * Fails: at start, with words.
 */
#ifndef CRESCENT_SERVER_TLS_H
#define CRESCENT_SERVER_TLS_H

#include "base/config.h"
#include "shm/tickets.h"

struct ssl_ctx_st;
struct ssl_st;
struct tls;
struct tls_site;
struct identity;

struct tls_host {
    bool http2;                    /* ALPN offers it */
    const struct tickets *tickets; /* NULL: no session is resumed */
    /* OpenSSL's info callback, on every context; or NULL. */
    void (*info)(const struct ssl_st *ssl, int where, int value);
};

/* The configuration must live as long. NULL with words that name the file: it cannot serve, or clashes with another. */
struct tls *tls_new(const struct config *config, const struct tls_host *host, struct error *err);
void tls_free(struct tls **t);
/* Who the client is by its certificate, after the handshake: one hold; NULL: it has shown none. */
struct identity *tls_identity(const struct ssl_st *ssl);
/* The context that connections begin with: of the first entry. */
struct ssl_ctx_st *tls_context(const struct tls *t);

/* The site of a connection; of a host name in small letters, or NULL where no certificate is for it. */
const struct tls_site *tls_site_of(const struct ssl_st *ssl);
const struct tls_site *tls_site_named(const struct tls *t, struct slice host);
/*
 * Whether a request for a name of site `named` (NULL: of none, so over TLS the first entry's) may come over a
 * connection with site `met` (NULL: over one in clear): where the name asks for client certificates, only if the
 * connection has met the same rule.
 */
bool tls_site_may(const struct tls_site *named, const struct tls_site *met);

#endif
