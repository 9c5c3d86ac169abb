/*
 * test_config.c: promises: a configuration survives its text form; the form is refused when anything is unknown,
 * missing or out of range; values are refused in words; addresses are read as documented.
 */
#include "base/config.h"
#include "base/panic.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void fill(struct config *c)
{
    config_defaults(c);
    c->root = need_strdup("/srv");
    c->hooks = need_strdup("/srv/hooks");
    c->files = need_strdup("/srv/files");
    c->env_file = need_strdup("/srv/.env");
    c->file = need_strdup("/srv/site.lua");
    c->store = need_strdup("sqlite:/srv/crescent.db");
    c->store_given = true;
    c->admin_token = need_strdup("t\xc3\xb6ken\nwith line");
    c->limits.body = 5 << 20;
    c->require_verify = true;
    c->drain = DUR_MS(1500);
    struct config_tls *one = config_add_tls(c);
    config_tls_set(&one->cert, SLICE("/srv/a.pem"), SLICE("cert"));
    config_tls_set(&one->key, SLICE("/srv/a.key"), SLICE("key"));
    config_tls_set(&one->ocsp, SLICE("/srv/a.der"), SLICE("\0der\0"));
    struct config_tls *two = config_add_tls(c);
    config_tls_set(&two->cert, SLICE("/srv/b.pem"), SLICE(""));
    config_tls_set(&two->key, SLICE("/srv/b.key"), SLICE("key"));
    config_tls_set(&two->client_ca, SLICE("/srv/ca.pem"), SLICE("ca"));
    two->client_optional = true;
    assert_int_equal(config_parse_listen("[::1]:8443", true, config_add_listen(c), NULL), 0);
    c->listen[c->listen_count - 1].proxy = true;
    config_add_trusted(c, SLICE("10.0.0.0/8"));
    config_add_trusted(c, SLICE("unix"));
    c->public_url = need_strdup("https://hooks.example.com");
    c->http_ports_only = true;
    config_add_http_port(c, 443);
    config_add_http_port(c, 65535);
}

static void test_text_form(void **state)
{
    struct config c, back;
    struct buf text = {0}, again = {0};
    struct error err;
    fill(&c);
    config_write(&c, &text);
    if (config_read(buf_slice(&text), &back, &err) != 0)
        fail_msg("%s", err.text);
    assert_string_equal(back.admin_token, c.admin_token);
    assert_int_equal(back.limits.body, 5 << 20);
    assert_int_equal(back.drain.ns, 1500000000);
    assert_true(back.require_verify && back.sandbox);
    assert_int_equal(back.listen_count, 2);
    assert_true(back.listen[1].tls && back.listen[1].proxy && !back.listen[0].proxy);
    assert_int_equal(back.trusted_count, 2);
    assert_string_equal(back.trusted[1], "unix");
    assert_string_equal(back.public_url, "https://hooks.example.com");
    assert_string_equal(back.listen[1].host, "::1");
    assert_string_equal(back.admin.text, "127.0.0.1:8081");
    assert_string_equal(back.files, "/srv/files");
    assert_string_equal(back.file, "/srv/site.lua");
    assert_true(back.http_ports_only);
    assert_int_equal(back.http_port_count, 2);
    assert_int_equal(back.http_ports[1], 65535);
    assert_string_equal(back.store, "sqlite:/srv/crescent.db");
    assert_true(back.store_given);
    assert_int_equal(back.tls_count, 2);
    assert_string_equal(back.tls[0].cert.path, "/srv/a.pem");
    assert_string_equal(back.tls[0].key.bytes, "key");
    assert_null(back.tls[0].client_ca.path);
    assert_false(back.tls[0].client_optional);
    assert_true(slice_equal(config_tls_bytes(&back.tls[0].ocsp), SLICE("\0der\0")));
    assert_true(back.tls[1].client_optional);
    assert_string_equal(back.tls[1].client_ca.bytes, "ca");
    config_write(&back, &again);
    assert_true(slice_equal(buf_slice(&text), buf_slice(&again)));
    config_free(&back);
    for (size_t len = 0; len < text.len; len++)
        if (config_read((struct slice){text.at, len}, &back, &err) == 0) {
            /* Cut between two pairs: only what may be missing was lost. */
            assert_true(back.listen_count >= 1 && back.root != NULL);
            config_free(&back);
        }
    buf_add_string(&text, SLICE("workres"));
    buf_add_string(&text, SLICE("1"));
    assert_int_equal(config_read(buf_slice(&text), &back, &err), -1);
    buf_free(&text);
    buf_free(&again);
    config_free(&c);
}

static const struct config_setting *setting(const char *name)
{
    for (size_t i = 0; i < config_setting_count; i++)
        if (strcmp(config_settings[i].name, name) == 0)
            return &config_settings[i];
    fail_msg("no setting %s", name);
    return NULL;
}

static void refuse(const char *name, const char *text, const char *words)
{
    struct config c;
    struct error err;
    config_defaults(&c);
    assert_int_equal(config_set(&c, setting(name), slice_of(text), &err), -1);
    assert_string_equal(err.text, words);
    config_free(&c);
}

static void test_values(void **state)
{
    struct config c;
    struct error err;
    config_defaults(&c);
    assert_int_equal(config_set(&c, setting("workers"), SLICE("4"), &err), 0);
    assert_int_equal(c.workers, 4);
    assert_int_equal(config_set(&c, setting("limits.header_time"), SLICE("1.5s"), &err), 0);
    assert_int_equal(c.limits.header_time.ns, 1500000000);
    assert_int_equal(config_set(&c, setting("log.level"), SLICE("debug"), &err), 0);
    assert_int_equal(c.log_level, LOG_DEBUG);
    config_free(&c);
    refuse("workers", "x", "expected a number 1-128, got \"x\"");
    refuse("workers", "0", "expected a number 1-128, got \"0\"");
    refuse("workers", "129", "expected a number 1-128, got \"129\"");
    refuse("limits.headers", "1MiB", "expected a size 1KiB-64KiB, got \"1MiB\"");
    refuse("sandbox", "maybe", "expected true or false, got \"maybe\"");
    refuse("log.level", "loud", "expected debug, info, warn, error or off, got \"loud\"");
}

static void test_addresses(void **state)
{
    static const struct {
        const char *text, *host;
        unsigned port;
        bool tls_default, tls;
    } good[] = {{"127.0.0.1:8080", "127.0.0.1", 8080, false, false},
                {"0.0.0.0:0", "0.0.0.0", 0, true, true},
                {"[::1]:443", "::1", 443, false, false},
                {"http://localhost:80", "localhost", 80, true, false},
                {"https://[::]:8443", "::", 8443, false, true},
                {"a-b.example:65535", "a-b.example", 65535, false, false}};
    static const char *const bad[] = {"",           "8080",   ":8080", "localhost", "a:65536", "a:-1",
                                      "a:",         "::1:80", "[::1]", "[]:80",     "[x]:80",  "a b:80",
                                      "ftp://a:80", "a:80/",  "unix:", "http://",   "[::1]80", "[::1"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct config_listen l;
        assert_int_equal(config_parse_listen(good[i].text, good[i].tls_default, &l, NULL), 0);
        assert_string_equal(l.host, good[i].host);
        assert_string_equal(l.text, good[i].text);
        assert_int_equal(l.port, good[i].port);
        assert_int_equal(l.tls, good[i].tls);
        config_listen_free(&l);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct config_listen l;
        struct error err;
        if (config_parse_listen(bad[i], false, &l, &err) != -1)
            fail_msg("%s was taken", bad[i]);
    }
}

static void test_unix_addresses(void **state)
{
    static const char *const bad[] = {"unix:", "http://unix:", "unix:@abstract", "unix:a\nb", "ftp://unix:/x"};
    struct config c, back;
    struct buf text = {0};
    struct error err;
    char path[128] = "/";
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct config_listen l;
        if (config_parse_listen(bad[i], false, &l, &err) != -1)
            fail_msg("%s was taken", bad[i]);
    }
    fill(&c);
    struct config_listen *l = config_add_listen(&c);
    assert_int_equal(config_parse_listen("https://unix:run/a.sock", false, l, NULL), 0);
    assert_string_equal(l->path, "run/a.sock");
    assert_true(l->tls && l->host == NULL);
    assert_int_equal(config_listen_place(l, need_strdup("/srv/run/a.sock"), NULL), 0);
    config_write(&c, &text);
    assert_int_equal(config_read(buf_slice(&text), &back, NULL), 0);
    assert_string_equal(back.listen[2].path, "/srv/run/a.sock");
    assert_true(config_listen_same(&back.listen[2], &c.listen[2]) && back.listen[2].tls);
    assert_false(config_listen_same(&back.listen[2], &back.listen[1]));
    assert_false(config_listen_same(&back.admin, &back.listen[2]));
    memset(path + 1, 'x', 106);
    assert_int_equal(config_listen_place(l = &c.listen[2], need_strdup(path), &err), 0);
    path[107] = 'x';
    assert_int_equal(config_listen_place(l, need_strdup(path), &err), -1);
    assert_non_null(strstr(err.text, "longer than a socket's may be (107 bytes)"));
    buf_free(&text);
    config_free(&back);
    config_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_text_form), cmocka_unit_test(test_values),
                                       cmocka_unit_test(test_addresses), cmocka_unit_test(test_unix_addresses)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
