/*
 * test_ocsp.c: an OCSP response is taken when it is of the issuer, about the certificate, and good; and is current
 * between its two times.
 */
#include "crypto/ocsp.h"
#include <openssl/err.h>
#include <openssl/ocsp.h>
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "../crypto/make_certificate.h"
#include "make_ocsp.h"
// clang-format on

struct fixture {
    struct made ca, leaf, other;
    struct buf pem, key;
    struct certificate *certificate;
};

static int open_fixture(void **state)
{
    static struct fixture f;
    struct error err;
    f.ca = make_certificate((struct make){.cn = "CA", .authority = true});
    f.leaf = make_certificate((struct make){.cn = "a.example", .by = &f.ca});
    f.other = make_certificate((struct make){.cn = "other", .authority = true});
    make_cert_pem(f.leaf.cert, &f.pem);
    make_cert_pem(f.ca.cert, &f.pem);
    make_key_pem(f.leaf.key, NULL, &f.key);
    f.certificate = certificate_read(buf_slice(&f.pem), buf_slice(&f.key), &err);
    *state = &f;
    return f.certificate == NULL;
}

static int close_fixture(void **state)
{
    struct fixture *f = *state;
    certificate_free(&f->certificate);
    buf_free(&f->pem);
    buf_free(&f->key);
    make_free(&f->ca);
    make_free(&f->leaf);
    make_free(&f->other);
    return 0;
}

static void refuse(const struct fixture *f, struct slice der, const char *words)
{
    struct error err = {""};
    struct ocsp_times times;
    assert_int_equal(ocsp_read(der, f->certificate, &times, &err), -1);
    if (strstr(err.text, words) == NULL)
        fail_msg("%s, not: %s", err.text, words);
    assert_int_equal(ERR_peek_error(), 0);
}

static void refuse_made(const struct fixture *f, struct make_ocsp how, const char *words)
{
    struct buf der = {0};
    make_ocsp(how, &der);
    refuse(f, buf_slice(&der), words);
    buf_free(&der);
}

static void what_is_good_is_taken_with_its_times(void **state)
{
    const struct fixture *f = *state;
    struct error err = {""};
    struct ocsp_times times;
    struct buf der = {0};
    int64_t now = wall_now().ns / 1000000000;
    for (int sha256 = 0; sha256 < 2; sha256++) {
        buf_clear(&der);
        make_ocsp(
            (struct make_ocsp){.leaf = f->leaf.cert, .issuer = &f->ca, .from = -600, .to = 3600, .sha256 = sha256},
            &der);
        if (ocsp_read(buf_slice(&der), f->certificate, &times, &err) != 0)
            fail_msg("%s", err.text);
        assert_in_range(times.from, now - 602, now - 598);
        assert_in_range(times.to, now + 3598, now + 3602);
    }
    buf_clear(&der);
    make_ocsp((struct make_ocsp){.leaf = f->leaf.cert, .issuer = &f->ca, .from = -600}, &der);
    assert_int_equal(ocsp_read(buf_slice(&der), f->certificate, &times, &err), 0);
    assert_true(times.to == INT64_MAX);
    buf_free(&der);
}

static void what_is_not_is_refused_in_words(void **state)
{
    const struct fixture *f = *state;
    struct make_ocsp good = {.leaf = f->leaf.cert, .issuer = &f->ca, .from = -600, .to = 3600}, bad = good;
    struct buf der = {0};
    bad.status = V_OCSP_CERTSTATUS_REVOKED;
    refuse_made(f, bad, "the certificate is revoked");
    bad.status = V_OCSP_CERTSTATUS_UNKNOWN;
    refuse_made(f, bad, "the certificate is unknown");
    bad = good;
    bad.leaf = f->ca.cert;
    refuse_made(f, bad, "about another certificate");
    bad = good;
    bad.signer = &f->other;
    refuse_made(f, bad, "not signed by the certificate's issuer");
    make_ocsp(good, &der);
    for (size_t len = 0; len < der.len; len++)
        refuse(f, (struct slice){der.at, len}, "not an OCSP response in DER");
    for (size_t i = 0; i < der.len; i++) { /* a bit anywhere: refused, or of no meaning; never a fault of ours */
        struct ocsp_times times;
        der.at[i] ^= 1;
        ocsp_read(buf_slice(&der), f->certificate, &times, NULL);
        der.at[i] ^= 1;
    }
    buf_add_char(&der, 'x');
    refuse(f, buf_slice(&der), "not an OCSP response in DER");
    buf_free(&der);
    refuse(f, SLICE("\x30\x03\x0a\x01\x03"), "it answers \"trylater\"");
    refuse(f, SLICE_NONE, "not an OCSP response");
}

static void it_is_current_between_its_times(void **state)
{
    const struct ocsp_times times = {.from = 10000, .to = 20000};
    static const struct {
        int64_t now;
        bool current;
    } cases[] = {{10000, true}, {9700, true}, {9699, false}, {19999, true}, {20000, false}, {0, false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(ocsp_current(&times, (wall_t){cases[i].now * 1000000000}), cases[i].current);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_good_is_taken_with_its_times),
                                       cmocka_unit_test(what_is_not_is_refused_in_words),
                                       cmocka_unit_test(it_is_current_between_its_times)};
    return cmocka_run_group_tests(tests, open_fixture, close_fixture);
}
