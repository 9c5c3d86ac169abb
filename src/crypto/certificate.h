/*
 * certificate.h: a certificate chain with its private key, out of PEM: which names it is for, which kind of key it has,
 * until when it holds. And the certificates of authorities that may issue clients' certificates.
 * Owns: what OpenSSL made of the texts. Runs in: the config child, before anything starts; the worker. Fails: words
 * that name the fault; OpenSSL's error queue is left empty.
 */
#ifndef CRESCENT_CRYPTO_CERTIFICATE_H
#define CRESCENT_CRYPTO_CERTIFICATE_H

#include "base/error.h"
#include "base/slice.h"
#include "base/time.h"

struct certificate;
struct x509_st;
struct evp_pkey_st;
struct stack_st_X509;
struct asn1_string_st;

/*
 * The first certificate is the server's, the others are its chain. NULL: not PEM, no certificate, no key, an encrypted
 * key, a key that is not the certificate's or that no client of TLS 1.2 and later can use. Dates are not looked at.
 */
struct certificate *certificate_read(struct slice cert_pem, struct slice key_pem, struct error *err);
void certificate_free(struct certificate **c);

/* OpenSSL's view of it, borrowed. */
struct x509_st *certificate_leaf(const struct certificate *c);
struct stack_st_X509 *certificate_chain(const struct certificate *c);
struct evp_pkey_st *certificate_key(const struct certificate *c);
/* Who issued it: of the chain, or itself; NULL: not in the file. Borrowed. */
struct x509_st *certificate_issuer(const struct certificate *c);

/* "RSA", "RSA-PSS", "ECDSA", "Ed25519", "Ed448": of one kind a client can be shown one certificate only. */
const char *certificate_kind(const struct certificate *c);
/*
 * The names it is for, in small letters: DNS names ("*.example.com" for one label more) and addresses ("IP:127.0.0.1"),
 * of subjectAltName; where there is none, the subject's common name (RFC 6125 6.4.4).
 */
size_t certificate_name_count(const struct certificate *c);
const char *certificate_name(const struct certificate *c, size_t i);

/* 0 when it and its chain are valid at this time, else -1 with words that name certificate and dates. */
int certificate_dates(const struct certificate *c, wall_t now, struct error *err);
/* When it expires, or before that one of its chain; seconds since 1970. */
int64_t certificate_ends(const struct certificate *c);
/* One of OpenSSL's dates (NULL: none) in seconds since 1970; INT64_MAX: it is none. */
int64_t certificate_seconds(const struct asn1_string_st *date);

/* One certificate of an authority or several. The caller frees it. NULL with words: none, broken, or not an
 * authority's. */
struct stack_st_X509 *certificate_authorities(struct slice pem, struct error *err);
void certificate_authorities_free(struct stack_st_X509 **authorities);

#endif
