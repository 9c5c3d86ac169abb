/*
 * Promises of verify.mtls: what a certificate says is compared whole and in one form; of each kind that is asked for
 * one must be met. Certificates are made by OpenSSL; a fingerprint is compared with OpenSSL's own.
 */
#include "policy/mtls.h"
#include "request.h"
#include <stdio.h>

#include "../crypto/make_certificate.h"

static struct identity *id;

static X509_NAME *subject_of(const char *const (*entries)[2])
{
    X509_NAME *name = X509_NAME_new();
    for (; (*entries)[0] != NULL; entries++)
        assert_int_equal(X509_NAME_add_entry_by_txt(name, (*entries)[0], MBSTRING_UTF8,
                                                    (const unsigned char *)(*entries)[1], -1, -1, 0),
                         1);
    return name;
}

static void make(const char *const (*entries)[2], const char *san)
{
    struct made m = make_certificate((struct make){.cn = "to be replaced", .san = san});
    X509_NAME *name = subject_of(entries);
    assert_int_equal(X509_set_subject_name(m.cert, name), 1);
    assert_true(X509_sign(m.cert, m.key, EVP_sha256()) > 0);
    identity_release(&id);
    id = identity_new(m.cert);
    X509_NAME_free(name);
    make_free(&m);
}

static enum reason check(const char *subject, const char *san, const char *fingerprint)
{
    struct mtls *m = mtls_new();
    struct error err;
    const char *wanted[] = {[MTLS_SUBJECT] = subject, [MTLS_SAN] = san, [MTLS_FINGERPRINT] = fingerprint};
    for (enum mtls_kind kind = 0; kind < MTLS_KINDS; kind++) {
        struct slice rest = slice_of(wanted[kind]), one;
        while (wanted[kind] != NULL && slice_cut(&rest, '|', &one))
            if (mtls_add(m, kind, one, &err) != 0)
                fail_msg("%s", err.text);
    }
    enum reason why = mtls_check(m, id);
    mtls_free(&m);
    assert_null(m);
    return why;
}

static const char *const partner[][2] = {{"C", "DE"}, {"O", "Example, Inc"}, {"CN", "partner"}, {NULL, NULL}};

static void subjects(void **state)
{
    static const char *const umlaut[][2] = {{"O", "Caf\xc3\xa9"}, {"CN", "M\xc3\xbcller"}, {NULL, NULL}};
    static const char *const two[][2] = {{"CN", "admin"}, {"CN", "guest"}, {NULL, NULL}};
    static const char *const tricky[][2] = {{"CN", "guest,CN=admin"}, {NULL, NULL}};
    static const char *const none[][2] = {{"O", "Example"}, {NULL, NULL}};
    make(partner, NULL);
    assert_string_equal(id->subject, "CN=partner,O=Example\\, Inc,C=DE");
    assert_int_equal(check("CN=partner,O=Example\\, Inc,C=DE", NULL, NULL), REASON_none);
    assert_int_equal(check("CN=partner", NULL, NULL), REASON_none);
    assert_int_equal(check("CN=other|CN=partner", NULL, NULL), REASON_none);
    static const char *const others[] = {"CN=partne",
                                         "CN=partner2",
                                         "CN=Partner",
                                         "O=Example\\, Inc",
                                         "C=DE",
                                         "CN=partner,O=Example\\, Inc",
                                         "C=DE,O=Example\\, Inc,CN=partner"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_int_equal(check(others[i], NULL, NULL), REASON_bad_certificate);
    make(umlaut, NULL);
    assert_int_equal(check("CN=M\xc3\xbcller,O=Caf\xc3\xa9", NULL, NULL), REASON_none);
    assert_int_equal(check("CN=M\\C3\\BCller,O=Caf\\C3\\A9", NULL, NULL), REASON_none);
    assert_int_equal(check("CN=M\xc3\xbcller", NULL, NULL), REASON_none);
    assert_int_equal(check("CN=M\\C3\\BCller", NULL, NULL), REASON_none);
    make(two, NULL);
    assert_int_equal(check("CN=admin|CN=guest", NULL, NULL), REASON_bad_certificate);
    assert_int_equal(check("CN=guest,CN=admin", NULL, NULL), REASON_none);
    make(tricky, NULL);
    assert_int_equal(check("CN=admin|CN=guest|CN=guest,CN=admin", NULL, NULL), REASON_bad_certificate);
    assert_int_equal(check("CN=guest\\,CN=admin", NULL, NULL), REASON_none);
    make(none, NULL);
    assert_int_equal(check("CN=Example", NULL, NULL), REASON_bad_certificate);
    assert_int_equal(check("O=Example", NULL, NULL), REASON_none);
}

static void names(void **state)
{
    make(partner, "DNS:Partner.Example.COM,DNS:*.wild.example,IP:192.0.2.1,IP:2001:db8::1,URI:spiffe://example/Svc,"
                  "email:Bot@Example.com");
    static const char *const good[] = {
        "DNS:partner.example.com", "DNS:PARTNER.example.com.", "DNS:*.wild.example",       "IP:192.0.2.1",
        "IP:2001:DB8:0::1",        "IP:::ffff:192.0.2.1",      "URI:spiffe://example/Svc", "email:Bot@EXAMPLE.com",
        "DNS:x|IP:192.0.2.1"};
    static const char *const bad[] = {"DNS:example.com",
                                      "DNS:a.wild.example",
                                      "DNS:192.0.2.1",
                                      "IP:192.0.2.2",
                                      "IP:2001:db8::2",
                                      "URI:spiffe://example/svc",
                                      "URI:spiffe://example/Svc/",
                                      "email:bot@example.com",
                                      "DNS:partner"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        if (check(NULL, good[i], NULL) != REASON_none)
            fail_msg("%s", good[i]);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (check(NULL, bad[i], NULL) != REASON_bad_certificate)
            fail_msg("%s", bad[i]);
    make(partner, NULL); /* a common name is no DNS name */
    assert_int_equal(check(NULL, "DNS:partner", NULL), REASON_bad_certificate);
}

/* "good.example\0.evil.example" is not good.example. */
static void a_name_with_a_nul_is_none(void **state)
{
    static const char cut[] = "good.example\0.evil.example";
    struct made m = make_certificate((struct make){.cn = "x"});
    GENERAL_NAMES *all = GENERAL_NAMES_new();
    GENERAL_NAME *one = GENERAL_NAME_new();
    ASN1_IA5STRING *text = ASN1_IA5STRING_new();
    assert_int_equal(ASN1_STRING_set(text, cut, sizeof(cut) - 1), 1);
    GENERAL_NAME_set0_value(one, GEN_DNS, text);
    sk_GENERAL_NAME_push(all, one);
    assert_int_equal(X509_add1_ext_i2d(m.cert, NID_subject_alt_name, all, 0, 0), 1);
    assert_true(X509_sign(m.cert, m.key, EVP_sha256()) > 0);
    identity_release(&id);
    id = identity_new(m.cert);
    assert_int_equal(id->name_count, 0);
    GENERAL_NAMES_free(all);
    make_free(&m);
}

static void fingerprints(void **state)
{
    unsigned char digest[32];
    unsigned len;
    char colons[128] = "sha256:", plain[128] = "SHA256:", other[128] = "sha256:";
    struct made m = make_certificate((struct make){.cn = "x"});
    identity_release(&id);
    id = identity_new(m.cert);
    assert_int_equal(X509_digest(m.cert, EVP_sha256(), digest, &len), 1);
    for (unsigned i = 0; i < len; i++) {
        snprintf(colons + strlen(colons), 4, "%s%02X", i > 0 ? ":" : "", digest[i]);
        snprintf(plain + strlen(plain), 3, "%02x", digest[i]);
        snprintf(other + strlen(other), 3, "%02x", digest[i] ^ (i == 31));
    }
    assert_int_equal(check(NULL, NULL, colons), REASON_none);
    assert_int_equal(check(NULL, NULL, plain), REASON_none);
    assert_int_equal(check(NULL, NULL, other), REASON_bad_certificate);
    make_free(&m);
}

static void all_kinds_that_are_given_must_be_met(void **state)
{
    make(partner, "DNS:a.example");
    assert_int_equal(check("CN=partner", "DNS:a.example", NULL), REASON_none);
    assert_int_equal(check("CN=partner", "DNS:b.example", NULL), REASON_bad_certificate);
    assert_int_equal(check("CN=other", "DNS:a.example", NULL), REASON_bad_certificate);
    assert_int_equal(check(NULL, NULL, NULL), REASON_none);
    struct identity *held = identity_hold(id);
    identity_release(&id);
    assert_null(id);
    assert_int_equal(check("CN=partner", NULL, NULL), REASON_missing_certificate);
    assert_int_equal(check(NULL, NULL, NULL), REASON_missing_certificate);
    identity_release(&held);
    identity_release(&held);
}

static void what_can_never_match_is_refused_in_words(void **state)
{
    static const struct {
        enum mtls_kind kind;
        const char *text, *words;
    } cases[] = {
        {MTLS_SUBJECT, "partner", "expected a subject like"},
        {MTLS_SUBJECT, "", "expected a subject like"},
        {MTLS_SUBJECT, "/C=DE/CN=partner", "expected a subject like"},
        {MTLS_SUBJECT, "C = DE, CN = partner", "expected a subject like"},
        {MTLS_SUBJECT, "CN=partner, O=Example", "no space follows a comma"},
        {MTLS_SUBJECT, "cn=partner", "CN is written in capitals"},
        {MTLS_SAN, "a.example", "a name begins with one of"},
        {MTLS_SAN, "dns:a.example", "a name begins with one of"},
        {MTLS_SAN, "DNS:", "there is no name behind"},
        {MTLS_SAN, "IP:a.example", "there is no address behind IP:"},
        {MTLS_SAN, "IP:10.0.0.0/8", "there is no address behind IP:"},
        {MTLS_FINGERPRINT, "sha1:0000000000000000000000000000000000000000", "expected \"sha256:\""},
        {MTLS_FINGERPRINT, "sha256:00", "expected \"sha256:\""},
        {MTLS_FINGERPRINT, "sha256:0000000000000000000000000000000000000000000000000000000000000000 ", "expected"},
        {MTLS_FINGERPRINT, "sha256:000000000000000000000000000000000000000000000000000000000000000", "expected"},
        {MTLS_FINGERPRINT, "sha256:00000000000000000000000000000000000000000000000000000000000000000", "expected"},
    };
    struct mtls *m = mtls_new();
    struct error err;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(mtls_add(m, cases[i].kind, slice_of(cases[i].text), &err), -1);
        if (strstr(err.text, cases[i].words) == NULL)
            fail_msg("%s: %s", cases[i].text, err.text);
    }
    assert_int_equal(mtls_add(m, MTLS_SAN, SLICE("DNS:a\0b"), &err), -1);
    assert_int_equal(mtls_add(m, MTLS_SUBJECT, SLICE("CN=a\0"), &err), -1);
    mtls_free(&m);
    mtls_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(subjects),
        cmocka_unit_test(names),
        cmocka_unit_test(a_name_with_a_nul_is_none),
        cmocka_unit_test(fingerprints),
        cmocka_unit_test(all_kinds_that_are_given_must_be_met),
        cmocka_unit_test(what_can_never_match_is_refused_in_words),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    identity_release(&id);
    return failed;
}
