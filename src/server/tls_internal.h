/*
 * tls_internal.h: the fields of TLS, for server/tls and its parts only.
 */
#ifndef CRESCENT_SERVER_TLS_INTERNAL_H
#define CRESCENT_SERVER_TLS_INTERNAL_H

#include "base/map.h"
#include "crypto/ocsp.h"
#include "server/tls.h"
#include <openssl/ssl.h>

#define TLS_KINDS 5        /* of keys: as many certificates at most for one name */
#define TLS_CLIENT_DEPTH 4 /* intermediate authorities between a client's certificate and one of client_ca */
#define TLS_SECURITY 2     /* OpenSSL's level: 112 bits, no SHA-1 */
#define TLS_DIGEST 32      /* SHA-256 */

struct tls_entry {
    const struct config_tls *config;
    struct certificate *certificate;
    STACK_OF(X509) * authorities; /* NULL: no client certificate is asked for */
    struct ocsp_times ocsp;
    /* Of what is demanded of clients: all zero where it is nothing. Equal rules admit the same clients. */
    unsigned char rule[TLS_DIGEST];
    bool used; /* some site has it */
};

struct tls_site {
    struct tls *tls;
    SSL_CTX *context;
    struct tls_entry *entries[TLS_KINDS];
    size_t count;
};

struct tls {
    struct tls_host host;
    struct tls_entry *entries;
    size_t entry_count;
    struct map *names;       /* to struct tls_site */
    struct tls_site **sites; /* the first is the default */
    size_t site_count;
    struct tickets_view keys;
    EVP_CIPHER *ticket_cipher;
};

/* tls_sites.c: entries to sites. -1 with words. */
int tls_sites_make(struct tls *t, struct error *err);
/* tls_ticket.c: session tickets for a site's context; before that, what they need once. */
void tls_ticket_open(struct tls *t);
void tls_ticket_use(const struct tls_site *site);

#endif
