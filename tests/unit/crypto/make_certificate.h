/*
 * make_certificate.h: certificates and keys made on the spot, since fixed ones would expire. Only for tests.
 */
#ifndef CRESCENT_TESTS_CRYPTO_MAKE_CERTIFICATE_H
#define CRESCENT_TESTS_CRYPTO_MAKE_CERTIFICATE_H

#include "base/buf.h"
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

struct made {
    EVP_PKEY *key;
    X509 *cert;
};

struct make {
    const char *cn;
    const char *san;       /* "DNS:a.example,IP:127.0.0.1"; NULL: no such extension */
    const struct made *by; /* NULL: itself */
    bool authority;
    long from, to; /* seconds from now; 0, 0: from a minute ago for an hour */
    EVP_PKEY *key; /* taken; NULL: a new one on P-256 */
};

static inline void make_extension(X509 *cert, int nid, const char *value)
{
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    assert_non_null(e);
    assert_int_equal(X509_add_ext(cert, e, -1), 1);
    X509_EXTENSION_free(e);
}

static inline struct made make_certificate(struct make how)
{
    static long serial;
    struct made m = {.key = how.key != NULL ? how.key : EVP_EC_gen("P-256"), .cert = X509_new()};
    bool edwards = EVP_PKEY_is_a(how.by != NULL ? how.by->key : m.key, "ED25519");
    X509_NAME *name = X509_get_subject_name(m.cert);
    X509_set_version(m.cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(m.cert), ++serial);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)how.cn, -1, -1, 0);
    X509_set_issuer_name(m.cert, how.by != NULL ? X509_get_subject_name(how.by->cert) : name);
    X509_gmtime_adj(X509_getm_notBefore(m.cert), how.to == 0 ? -60 : how.from);
    X509_gmtime_adj(X509_getm_notAfter(m.cert), how.to == 0 ? 3600 : how.to);
    X509_set_pubkey(m.cert, m.key);
    make_extension(m.cert, NID_basic_constraints, how.authority ? "critical,CA:TRUE" : "CA:FALSE");
    if (how.san != NULL)
        make_extension(m.cert, NID_subject_alt_name, how.san);
    assert_true(X509_sign(m.cert, how.by != NULL ? how.by->key : m.key, edwards ? NULL : EVP_sha256()) > 0);
    return m;
}

static inline void make_free(struct made *m)
{
    EVP_PKEY_free(m->key);
    X509_free(m->cert);
    *m = (struct made){0};
}

static inline struct slice make_take(BIO *bio, struct buf *out)
{
    char *text;
    size_t from = out->len;
    long len = BIO_get_mem_data(bio, &text);
    buf_add(out, text, (size_t)len);
    BIO_free(bio);
    return (struct slice){out->at + from, out->len - from};
}

/* As PEM, behind what is in out. */
static inline struct slice make_cert_pem(const X509 *cert, struct buf *out)
{
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_X509(bio, (X509 *)cert), 1);
    return make_take(bio, out);
}

static inline struct slice make_key_pem(EVP_PKEY *key, const char *password, struct buf *out)
{
    BIO *bio = BIO_new(BIO_s_mem());
    assert_true(PEM_write_bio_PKCS8PrivateKey(bio, key, password != NULL ? EVP_aes_128_cbc() : NULL, password,
                                              password != NULL ? (int)strlen(password) : 0, NULL, NULL));
    return make_take(bio, out);
}

#endif
