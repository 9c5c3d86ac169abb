/*
 * test_tls.c: promises: two workers with the keys of one memory resume each other's sessions, through one change of
 * keys and not through two; a renewed certificate ends no session, another rule for clients ends all; what is stapled
 * is the response of the certificate that is shown, while it is current; names find their site, and addresses clash
 * with none.
 */
#include "server/tls.h"
#include <openssl/err.h>
#include <openssl/ssl.h>
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "../crypto/make_ocsp.h"
// clang-format on

static struct tickets tickets;
static struct made ca, client;

static int open_all(void **state)
{
    ca = make_certificate((struct make){.cn = "CA", .authority = true});
    client = make_certificate((struct make){.cn = "client", .by = &ca});
    return tickets_rotate(&tickets, (mono_t){1}) ? 0 : -1;
}

static int close_all(void **state)
{
    make_free(&ca);
    make_free(&client);
    return 0;
}

/* One entry of a configuration: a new certificate for the names. Returns it, for a response about it. */
static struct made add_entry(struct config *c, const char *san, EVP_PKEY *key, const char *client_rule)
{
    struct made m = make_certificate((struct make){.cn = "x", .san = san, .by = &ca, .key = key});
    struct config_tls *t = config_add_tls(c);
    struct buf pem = {0};
    make_cert_pem(m.cert, &pem);
    make_cert_pem(ca.cert, &pem);
    config_tls_set(&t->cert, SLICE("/cert"), buf_slice(&pem));
    buf_clear(&pem);
    config_tls_set(&t->key, SLICE("/key"), make_key_pem(m.key, NULL, &pem));
    buf_clear(&pem);
    if (client_rule != NULL)
        config_tls_set(&t->client_ca, SLICE("/ca"), make_cert_pem(ca.cert, &pem));
    t->client_optional = client_rule != NULL && strcmp(client_rule, "optional") == 0;
    buf_free(&pem);
    return m;
}

static struct tls *open_tls(const struct config *c)
{
    struct error err = {""};
    struct tls *t = tls_new(c, &(struct tls_host){.http2 = true, .tickets = &tickets}, &err);
    if (t == NULL)
        fail_msg("%s", err.text);
    return t;
}

/* A worker with one entry for a.example, and perhaps a rule for clients. */
static struct tls *one_worker(struct config *c, const char *client_rule)
{
    *c = (struct config){0};
    struct made m = add_entry(c, "DNS:a.example", NULL, client_rule);
    make_free(&m);
    return open_tls(c);
}

struct result {
    bool done, resumed;
    size_t stapled;       /* bytes */
    SSL_SESSION *session; /* to resume; the caller's */
};

static SSL_SESSION *newest; /* file-scope: OpenSSL's callback has no cookie */

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    SSL_SESSION_free(newest);
    newest = session;
    return 1;
}

static SSL *client_of(int version, const char *name, const char *sigalgs, SSL_SESSION *session)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_max_proto_version(ctx, version);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, keep_session);
    SSL_CTX_use_certificate(ctx, client.cert);
    SSL_CTX_use_PrivateKey(ctx, client.key);
    if (sigalgs != NULL)
        assert_int_equal(SSL_CTX_set1_sigalgs_list(ctx, sigalgs), 1);
    SSL *ssl = SSL_new(ctx);
    SSL_CTX_free(ctx);
    SSL_set_tlsext_host_name(ssl, name);
    SSL_set_tlsext_status_type(ssl, TLSEXT_STATUSTYPE_ocsp);
    if (session != NULL) { /* a copy: of TLS 1.3, OpenSSL's client uses one only once */
        SSL_SESSION *copy = SSL_SESSION_dup(session);
        assert_int_equal(SSL_set_session(ssl, copy), 1);
        SSL_SESSION_free(copy);
    }
    return ssl;
}

/* A whole handshake in memory, and one byte from the server, before which tickets come. */
static struct result shake(struct tls *t, int version, const char *name, const char *sigalgs, SSL_SESSION *session)
{
    struct result r = {.done = false};
    SSL *server = SSL_new(tls_context(t)), *mine = client_of(version, name, sigalgs, session);
    BIO *a, *b;
    char byte = 0;
    assert_int_equal(BIO_new_bio_pair(&a, 1 << 16, &b, 1 << 16), 1);
    SSL_set_bio(server, a, a);
    SSL_set_bio(mine, b, b);
    newest = NULL;
    for (int i = 0; i < 20 && !(SSL_is_init_finished(server) && SSL_is_init_finished(mine)); i++) {
        SSL_connect(mine);
        SSL_accept(server);
    }
    r.done = SSL_is_init_finished(server) && SSL_is_init_finished(mine) && SSL_write(server, "x", 1) == 1 &&
             SSL_read(mine, &byte, 1) == 1;
    r.resumed = SSL_session_reused(server) == 1;
    const unsigned char *response;
    long stapled = SSL_get_tlsext_status_ocsp_resp(mine, &response);
    r.stapled = stapled > 0 ? (size_t)stapled : 0;
    /* Of a resumed session of TLS 1.2, OpenSSL's client does not tell the new ticket. */
    r.session = newest != NULL ? newest : SSL_get1_session(mine);
    newest = NULL;
    SSL_shutdown(mine); /* else OpenSSL takes the session for a bad one */
    SSL_shutdown(server);
    SSL_free(server);
    SSL_free(mine);
    ERR_clear_error();
    return r;
}

static SSL_SESSION *session_of(struct tls *t, int version)
{
    struct result r = shake(t, version, "a.example", NULL, NULL);
    assert_true(r.done);
    assert_false(r.resumed);
    assert_non_null(r.session);
    return r.session;
}

static bool resumes(struct tls *t, int version, SSL_SESSION *session)
{
    struct result r = shake(t, version, "a.example", NULL, session);
    assert_true(r.done);
    SSL_SESSION_free(r.session);
    return r.resumed;
}

static void sessions_pass_between_workers_and_through_one_change_of_keys(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    mono_t now = {1};
    for (size_t i = 0; i < 2; i++) {
        struct config c1, c2, c3;
        struct tls *one = one_worker(&c1, NULL), *two = open_tls(&c1);
        struct tls *renewed = one_worker(&c2, NULL), *strict = one_worker(&c3, "required");
        SSL_SESSION *s = session_of(one, versions[i]);
        assert_true(resumes(one, versions[i], s));
        assert_true(resumes(two, versions[i], s));
        assert_true(resumes(renewed, versions[i], s));
        assert_false(resumes(strict, versions[i], s));
        now = mono_add(now, TICKETS_PERIOD);
        assert_true(tickets_rotate(&tickets, now));
        struct result r = shake(two, versions[i], "a.example", NULL, s);
        assert_true(r.resumed);
        assert_non_null(r.session); /* a new ticket, under the new key */
        now = mono_add(now, TICKETS_PERIOD);
        assert_true(tickets_rotate(&tickets, now));
        assert_false(resumes(one, versions[i], s));
        assert_true(resumes(one, versions[i], r.session));
        SSL_SESSION_free(r.session);
        SSL_SESSION_free(s);
        struct tls *all[] = {one, two, renewed, strict};
        for (size_t k = 0; k < 4; k++)
            tls_free(&all[k]);
        config_free(&c1);
        config_free(&c2);
        config_free(&c3);
    }
}

static void a_client_certificate_is_verified_again_by_a_resumed_session(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (size_t i = 0; i < 2; i++) {
        struct config c1, c2;
        struct tls *strict = one_worker(&c1, "required"), *loose = one_worker(&c2, "optional");
        SSL_SESSION *s = session_of(strict, versions[i]);
        assert_true(resumes(strict, versions[i], s));
        assert_false(resumes(loose, versions[i], s));
        /* The client's certificate ends before its session does. */
        struct made good = client;
        client = make_certificate((struct make){.cn = "client", .by = &ca, .from = -60, .to = 2});
        SSL_SESSION *brief = session_of(strict, versions[i]);
        assert_true(resumes(strict, versions[i], brief));
        struct timespec wait = {.tv_sec = 3};
        nanosleep(&wait, NULL);
        struct result r = shake(strict, versions[i], "a.example", NULL, brief);
        assert_false(r.resumed);
        make_free(&client);
        client = good;
        SSL_SESSION_free(r.session);
        SSL_SESSION_free(brief);
        SSL_SESSION_free(s);
        tls_free(&strict);
        tls_free(&loose);
        config_free(&c1);
        config_free(&c2);
    }
}

static void the_response_is_of_the_certificate_that_is_shown(void **state)
{
    struct config c = {0};
    struct buf der = {0};
    struct made ec = add_entry(&c, "DNS:a.example", NULL, NULL),
                ed = add_entry(&c, "DNS:a.example", EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), NULL),
                rsa = add_entry(&c, "DNS:a.example", EVP_RSA_gen(2048), NULL);
    make_ocsp((struct make_ocsp){.leaf = ec.cert, .issuer = &ca, .from = -60, .to = 3600, .sha256 = true}, &der);
    size_t ec_len = der.len;
    config_tls_set(&c.tls[0].ocsp, SLICE("/ec.der"), buf_slice(&der));
    buf_clear(&der);
    make_ocsp((struct make_ocsp){.leaf = rsa.cert, .issuer = &ca, .from = -60, .to = 3600}, &der);
    size_t rsa_len = der.len;
    config_tls_set(&c.tls[2].ocsp, SLICE("/rsa.der"), buf_slice(&der));
    assert_int_not_equal(ec_len, rsa_len);
    struct tls *t = open_tls(&c);
    const struct {
        const char *sigalgs;
        size_t stapled;
    } cases[] = {{"ECDSA+SHA256", ec_len}, {"ed25519", 0}, {"RSA-PSS+SHA256", rsa_len}};
    for (size_t i = 0; i < 3; i++) {
        struct result r = shake(t, TLS1_3_VERSION, "a.example", cases[i].sigalgs, NULL);
        assert_true(r.done);
        assert_int_equal(r.stapled, cases[i].stapled);
        SSL_SESSION_free(r.session);
    }
    tls_free(&t);
    buf_clear(&der);
    make_ocsp((struct make_ocsp){.leaf = ec.cert, .issuer = &ca, .from = -7200, .to = -3600}, &der);
    config_tls_set(&c.tls[0].ocsp, SLICE("/ec.der"), buf_slice(&der));
    t = open_tls(&c); /* old: not stapled, no reason not to serve */
    struct result r = shake(t, TLS1_3_VERSION, "a.example", "ECDSA+SHA256", NULL);
    assert_true(r.done);
    assert_int_equal(r.stapled, 0);
    SSL_SESSION_free(r.session);
    tls_free(&t);
    config_free(&c);
    buf_free(&der);
    make_free(&ec);
    make_free(&ed);
    make_free(&rsa);
}

static void names_find_their_site(void **state)
{
    struct config c = {0};
    struct made all[] = {
        add_entry(&c, "IP:127.0.0.1", NULL, NULL), add_entry(&c, "DNS:a.example,DNS:*.b.example", NULL, NULL),
        add_entry(&c, "DNS:c.b.example", NULL, "required"), add_entry(&c, "DNS:d.example", NULL, "optional"),
        add_entry(&c, "DNS:e.example", NULL, "required")};
    struct tls *t = open_tls(&c);
    const struct tls_site *a = tls_site_named(t, SLICE("a.example")), *wild = tls_site_named(t, SLICE("x.b.example")),
                          *strict = tls_site_named(t, SLICE("c.b.example")),
                          *loose = tls_site_named(t, SLICE("d.example")), *same = tls_site_named(t, SLICE("e.example"));
    char huge[2000];
    memset(huge, 'a', sizeof(huge));
    huge[1] = '.';
    assert_ptr_equal(a, wild);
    assert_ptr_not_equal(wild, strict);
    static const char *const none[] = {"",          ".",          "b.example", ".b.example", "x.y.b.example",
                                       "127.0.0.1", "a.example.", "*"};
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        assert_null(tls_site_named(t, slice_of(none[i])));
    assert_null(tls_site_named(t, SLICE_NONE));
    assert_null(tls_site_named(t, (struct slice){huge, sizeof(huge)}));
    assert_true(tls_site_may(NULL, NULL) && tls_site_may(a, NULL) && tls_site_may(a, strict) &&
                tls_site_may(NULL, strict));
    assert_true(tls_site_may(strict, strict) && tls_site_may(strict, same) && tls_site_may(loose, loose));
    assert_false(tls_site_may(strict, NULL) || tls_site_may(strict, a) || tls_site_may(strict, loose));
    assert_false(tls_site_may(loose, NULL) || tls_site_may(loose, a) || tls_site_may(loose, strict));
    tls_free(&t);
    tls_free(&t);
    config_free(&c);
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        make_free(&all[i]);
}

/* Whether the entries a and b of a configuration can stand beside each other. */
static bool together(const char *a, EVP_PKEY *a_key, const char *b, const char *b_rule)
{
    struct config c = {0};
    struct error err = {""};
    struct made one = add_entry(&c, a, a_key, NULL), other = add_entry(&c, b, NULL, b_rule);
    struct tls *t = tls_new(&c, &(struct tls_host){.http2 = true, .tickets = &tickets}, &err);
    bool good = t != NULL;
    tls_free(&t);
    config_free(&c);
    make_free(&one);
    make_free(&other);
    return good;
}

static void an_address_may_be_shared_and_a_name_not(void **state)
{
    static const char *const a = "DNS:a.example,IP:127.0.0.1,IP:::1", *const b = "IP:127.0.0.1,DNS:b.example,IP:::1";
    assert_true(together(a, NULL, b, NULL));
    assert_true(together(b, NULL, a, NULL));
    assert_true(together(a, NULL, b, "required"));
    assert_true(together("IP:127.0.0.1", NULL, b, "optional"));
    assert_true(together("IP:127.0.0.1", EVP_RSA_gen(2048), "IP:127.0.0.1", NULL)); /* beside it */
    assert_false(together("IP:127.0.0.1", NULL, "IP:127.0.0.1", NULL));             /* nobody could choose it */
    assert_false(together(a, NULL, "DNS:a.example", NULL));
    assert_false(together(a, EVP_RSA_gen(2048), "DNS:a.example", "required"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sessions_pass_between_workers_and_through_one_change_of_keys),
        cmocka_unit_test(a_client_certificate_is_verified_again_by_a_resumed_session),
        cmocka_unit_test(the_response_is_of_the_certificate_that_is_shown),
        cmocka_unit_test(names_find_their_site),
        cmocka_unit_test(an_address_may_be_shared_and_a_name_not),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
