/*
 * identity.h: who the certificate of a client names, once it was verified: as texts to compare, made once a connection.
 * Counted: a request may outlive its connection. Owns its texts. Runs in: one thread per process. Never fails: what a
 * certificate has in a form that is not known is no name of it.
 */
#ifndef CRESCENT_CRYPTO_IDENTITY_H
#define CRESCENT_CRYPTO_IDENTITY_H

#include "base/slice.h"

struct x509_st;

struct identity {
    unsigned holds;
    /* RFC 2253, "CN=partner,O=Example"; the second with every byte beyond ASCII escaped, as OpenSSL's tools print it.
     */
    char *subject, *subject_ascii;
    char *common, *common_ascii; /* "CN=partner", where the subject has just one; else NULL */
    /* "DNS:a.example" in small letters, "IP:192.0.2.1", "URI:spiffe://x", "email:a@b.example" (its domain in small
     * ones) */
    char **names;
    unsigned name_count;
    char fingerprint[72]; /* "sha256:" and 64 hex digits, in small letters */
};

/* Of a certificate that was verified. One hold. */
struct identity *identity_new(struct x509_st *certificate);
struct identity *identity_hold(struct identity *id);
/* Leaves NULL; NULL is fine. */
void identity_release(struct identity **id);
/*
 * A name as it stands in `names`, in place of any other way to write it: malloc'ed. NULL and what is wrong with it,
 * where it is none: no kind before it, or one that is not known.
 */
char *identity_name(struct slice text, const char **why_out);

#endif
