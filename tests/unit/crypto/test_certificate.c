/*
 * test_certificate.c: a chain and a key that can serve, and each way in which they cannot. Certificates are made here,
 * since fixed ones would expire.
 */
#include "base/buf.h"
#include "crypto/certificate.h"
#include "test_keys.h"
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on

/* A certificate of this key, valid from and to seconds from now, as PEM behind what is in out. */
static void add_certificate(EVP_PKEY *key, long from, long to, struct buf *out)
{
    X509 *cert = X509_new();
    X509_NAME *name = X509_get_subject_name(cert);
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"hooks.example", -1, -1, 0);
    X509_set_issuer_name(cert, name);
    X509_gmtime_adj(X509_getm_notBefore(cert), from);
    X509_gmtime_adj(X509_getm_notAfter(cert), to);
    X509_set_pubkey(cert, key);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    PEM_write_bio_X509(bio, cert);
    long len = BIO_get_mem_data(bio, &text);
    buf_add(out, text, (size_t)len);
    BIO_free(bio);
    X509_free(cert);
}

static struct slice key_pem(EVP_PKEY *key, const char *password, struct buf *out)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    assert_true(PEM_write_bio_PKCS8PrivateKey(bio, key, password != NULL ? EVP_aes_128_cbc() : NULL, password,
                                              password != NULL ? (int)strlen(password) : 0, NULL, NULL));
    long len = BIO_get_mem_data(bio, &text);
    buf_add(out, text, (size_t)len);
    BIO_free(bio);
    return buf_slice(out);
}

static void assert_fault(struct slice cert, struct slice key, const char *words)
{
    struct error err = {""};
    assert_int_equal(certificate_check(cert, key, &err), -1);
    if (strstr(err.text, words) == NULL)
        fail_msg("%s, not: %s", err.text, words);
}

static void a_pair_must_be_able_to_serve(void **state)
{
    EVP_PKEY *key = EVP_EC_gen("P-256"), *other = EVP_EC_gen("P-256");
    struct buf good = {0}, chain = {0}, old = {0}, early = {0}, old_chain = {0}, broken = {0}, k = {0}, k2 = {0},
               k3 = {0};
    struct error err;
    add_certificate(key, -60, 3600, &good);
    add_certificate(key, -60, 3600, &chain);
    add_certificate(other, -60, 3600, &chain);
    add_certificate(key, -3600, -60, &old);
    add_certificate(key, 3600, 7200, &early);
    add_certificate(key, -60, 3600, &old_chain);
    add_certificate(other, -3600, -60, &old_chain);
    add_certificate(key, -60, 3600, &broken);
    buf_add_text(&broken, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    struct slice mine = key_pem(key, NULL, &k), encrypted = key_pem(key, "password", &k2),
                 strange = key_pem(other, NULL, &k3);
    assert_int_equal(certificate_check(buf_slice(&good), mine, &err), 0);
    assert_int_equal(certificate_check(buf_slice(&chain), mine, &err), 0);
    assert_fault(buf_slice(&old), mine, "has expired");
    assert_fault(buf_slice(&early), mine, "not valid yet");
    assert_fault(buf_slice(&old_chain), mine, "chain's certificate (/CN=hooks.example) has expired");
    assert_fault(buf_slice(&broken), mine, "broken");
    assert_fault(buf_slice(&good), strange, "does not belong");
    assert_fault(buf_slice(&good), slice_of(rsa_private), "does not belong");
    assert_fault(buf_slice(&good), encrypted, "encrypted");
    assert_fault(buf_slice(&good), buf_slice(&good), "no private key");
    assert_fault(buf_slice(&good), SLICE_NONE, "no private key");
    assert_fault(mine, mine, "no certificate");
    assert_fault(SLICE_NONE, mine, "no certificate");
    struct buf *all[] = {&good, &chain, &old, &early, &old_chain, &broken, &k, &k2, &k3};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        buf_free(all[i]);
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_pair_must_be_able_to_serve)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
