/*
 * test_certificate.c: a chain and a key that can serve, and each way in which they cannot; the names that a certificate
 * is for; its dates in words, and the first end; authorities of clients.
 */
#include "crypto/certificate.h"
#include "test_keys.h"
#include <openssl/err.h>
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "make_certificate.h"
// clang-format on

static void refuse(struct slice cert, struct slice key, const char *words)
{
    struct error err = {""};
    assert_null(certificate_read(cert, key, &err));
    if (strstr(err.text, words) == NULL)
        fail_msg("%s, not: %s", err.text, words);
    assert_int_equal(ERR_peek_error(), 0);
}

static struct certificate *accept(struct slice cert, struct slice key)
{
    struct error err = {""};
    struct certificate *c = certificate_read(cert, key, &err);
    if (c == NULL)
        fail_msg("%s", err.text);
    return c;
}

static void a_pair_must_be_able_to_serve(void **state)
{
    struct made good = make_certificate((struct make){.cn = "hooks.example"}),
                other = make_certificate((struct make){.cn = "other"});
    struct buf one = {0}, two = {0}, bad = {0}, k = {0}, k2 = {0}, k3 = {0};
    make_cert_pem(good.cert, &one);
    make_cert_pem(good.cert, &two);
    make_cert_pem(other.cert, &two);
    make_cert_pem(good.cert, &bad);
    buf_add_text(&bad, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    struct slice mine = make_key_pem(good.key, NULL, &k), encrypted = make_key_pem(good.key, "password", &k2),
                 strange = make_key_pem(other.key, NULL, &k3);
    struct certificate *c = accept(buf_slice(&one), mine);
    assert_string_equal(certificate_kind(c), "ECDSA");
    assert_int_equal(sk_X509_num(certificate_chain(c)), 0);
    assert_ptr_equal(certificate_issuer(c), certificate_leaf(c));
    certificate_free(&c);
    assert_null(c);
    certificate_free(&c);
    c = accept(buf_slice(&two), mine);
    assert_int_equal(sk_X509_num(certificate_chain(c)), 1);
    certificate_free(&c);
    refuse(buf_slice(&bad), mine, "certificate 2 of it is broken");
    refuse(buf_slice(&one), strange, "does not belong");
    refuse(buf_slice(&one), slice_of(rsa_private), "does not belong");
    refuse(buf_slice(&one), encrypted, "encrypted");
    refuse(buf_slice(&one), buf_slice(&one), "no private key");
    refuse(buf_slice(&one), SLICE_NONE, "no private key");
    refuse(mine, mine, "no certificate");
    refuse(SLICE_NONE, mine, "no certificate");
    refuse(SLICE("\x30\x82\x01"), mine, "no certificate");
    struct buf *all[] = {&one, &two, &bad, &k, &k2, &k3};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        buf_free(all[i]);
    make_free(&good);
    make_free(&other);
}

static void a_key_that_no_client_takes_is_refused_by_its_kind(void **state)
{
    const struct {
        EVP_PKEY *key;
        const char *kind, *words;
    } cases[] = {{EVP_RSA_gen(2048), "RSA", NULL},
                 {EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), "Ed25519", NULL},
                 {EVP_EC_gen("P-384"), "ECDSA", NULL},
                 {EVP_RSA_gen(1024), NULL, "an RSA key of 1024 bits"},
                 {EVP_EC_gen("secp256k1"), NULL, "on the curve secp256k1: P-256"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct made m = make_certificate((struct make){.cn = "x", .key = cases[i].key});
        struct buf cert = {0}, key = {0};
        make_cert_pem(m.cert, &cert);
        make_key_pem(m.key, NULL, &key);
        if (cases[i].words == NULL) {
            struct certificate *c = accept(buf_slice(&cert), buf_slice(&key));
            assert_string_equal(certificate_kind(c), cases[i].kind);
            certificate_free(&c);
        } else {
            refuse(buf_slice(&cert), buf_slice(&key), cases[i].words);
        }
        buf_free(&cert);
        buf_free(&key);
        make_free(&m);
    }
}

static void names_are_of_the_san_else_of_the_subject(void **state)
{
    static const struct {
        const char *cn, *san, *names;
    } cases[] = {
        {"A.Example", NULL, "a.example;"},
        {"a.example", "DNS:B.example,DNS:*.c.example", "b.example;*.c.example;"},
        {"a.example", "IP:127.0.0.1,IP:::1,DNS:d.example.", "IP:127.0.0.1;IP:::1;d.example;"},
        {"a.example", "email:x@a.example", ""}, /* a SAN without host names: the subject does not count */
        {"Some Person", NULL, ""},
        {"x", "DNS:f*.example,DNS:*.,DNS:a.*.example,DNS:a b", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct made m = make_certificate((struct make){.cn = cases[i].cn, .san = cases[i].san});
        struct buf cert = {0}, key = {0}, names = {0};
        make_cert_pem(m.cert, &cert);
        make_key_pem(m.key, NULL, &key);
        struct certificate *c = accept(buf_slice(&cert), buf_slice(&key));
        for (size_t k = 0; k < certificate_name_count(c); k++)
            buf_addf(&names, "%s;", certificate_name(c, k));
        assert_string_equal(buf_text(&names), cases[i].names);
        certificate_free(&c);
        buf_free(&cert);
        buf_free(&key);
        buf_free(&names);
        make_free(&m);
    }
}

static void dates_are_told_in_words(void **state)
{
    struct made m = make_certificate((struct make){.cn = "a.example", .from = -3600, .to = 3600}),
                old = make_certificate((struct make){.cn = "CA", .from = -7200, .to = 600});
    struct buf cert = {0}, key = {0};
    struct error err = {""};
    wall_t now = wall_now();
    make_cert_pem(m.cert, &cert);
    make_cert_pem(old.cert, &cert);
    make_key_pem(m.key, NULL, &key);
    struct certificate *c = accept(buf_slice(&cert), buf_slice(&key));
    assert_int_equal(certificate_dates(c, now, &err), 0);
    assert_int_equal(certificate_dates(c, (wall_t){now.ns + DUR_S(1200).ns}, &err), -1);
    assert_non_null(strstr(err.text, "the chain's certificate (/CN=CA) has expired: it is valid from 2"));
    assert_int_equal(certificate_dates(c, (wall_t){now.ns + DUR_S(4000).ns}, &err), -1);
    assert_non_null(strstr(err.text, "the server's certificate (/CN=a.example) has expired"));
    assert_int_equal(certificate_dates(c, (wall_t){now.ns - DUR_S(4000).ns}, &err), -1);
    assert_non_null(strstr(err.text, "the server's certificate (/CN=a.example) is not valid yet"));
    int64_t ends = now.ns / 1000000000 + 600; /* the chain's, which is before the leaf's */
    assert_in_range(certificate_ends(c), ends - 2, ends + 2);
    assert_int_equal(certificate_dates(c, (wall_t){certificate_ends(c) * 1000000000 - 1}, &err), 0);
    assert_int_equal(certificate_dates(c, (wall_t){certificate_ends(c) * 1000000000}, &err), -1);
    certificate_free(&c);
    buf_free(&cert);
    buf_free(&key);
    make_free(&m);
    make_free(&old);
}

static void authorities_are_authorities(void **state)
{
    struct made ca = make_certificate((struct make){.cn = "CA", .authority = true}),
                leaf = make_certificate((struct make){.cn = "client", .by = &ca});
    struct buf good = {0}, mixed = {0}, bad = {0};
    struct error err = {""};
    make_cert_pem(ca.cert, &good);
    make_cert_pem(ca.cert, &good);
    make_cert_pem(ca.cert, &mixed);
    make_cert_pem(leaf.cert, &mixed);
    make_cert_pem(ca.cert, &bad);
    buf_add_text(&bad, "-----BEGIN CERTIFICATE-----\nAAAA\n");
    STACK_OF(X509) *all = certificate_authorities(buf_slice(&good), &err);
    assert_int_equal(sk_X509_num(all), 2);
    certificate_authorities_free(&all);
    assert_null(all);
    assert_null(certificate_authorities(buf_slice(&mixed), &err));
    assert_string_equal(err.text, "the certificate /CN=client is not an authority's: it may not issue others");
    assert_null(certificate_authorities(buf_slice(&bad), &err));
    assert_string_equal(err.text, "certificate 2 of it is broken");
    assert_null(certificate_authorities(SLICE_NONE, &err));
    assert_string_equal(err.text, "there is no certificate in PEM");
    buf_free(&good);
    buf_free(&mixed);
    buf_free(&bad);
    make_free(&ca);
    make_free(&leaf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_pair_must_be_able_to_serve),
                                       cmocka_unit_test(a_key_that_no_client_takes_is_refused_by_its_kind),
                                       cmocka_unit_test(names_are_of_the_san_else_of_the_subject),
                                       cmocka_unit_test(dates_are_told_in_words),
                                       cmocka_unit_test(authorities_are_authorities)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
