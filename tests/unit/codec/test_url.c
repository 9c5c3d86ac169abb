/*
 * Promises of URLs: the authority is read strictly, so that nobody else can read another host there; path and query go
 * out in ASCII; one origin has one spelling.
 */
#include "codec/url.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static const char *written(const char *text)
{
    static struct buf out;
    struct url u;
    buf_clear(&out);
    const char *fault = url_parse(slice_of(text), &u);
    if (fault != NULL)
        return fault;
    url_origin(&u, &out);
    buf_add_char(&out, ' ');
    url_write(&u, &out);
    return buf_text(&out);
}

static void is_written_in_one_way(void **state)
{
    static const struct {
        const char *text, *written;
    } cases[] = {
        {"http://a", "http://a:80 http://a/"},
        {"HTTPS://Ex.Org", "https://ex.org:443 https://Ex.Org/"},
        {"https://a:443/x", "https://a:443 https://a/x"},
        {"https://a:8443/x?y#z", "https://a:8443 https://a:8443/x?y"},
        {"http://a?x=1", "http://a:80 http://a/?x=1"},
        {"http://a#f", "http://a:80 http://a/"},
        {"http://a:/x", "http://a:80 http://a/x"},
        {"http://u:p@a/x", "http://a:80 http://a/x"},
        {"http://[::1]:80/x", "http://[::1]:80 http://[::1]/x"},
        {"http://[2001:DB8::1]/", "http://[2001:db8::1]:80 http://[2001:DB8::1]/"},
        {"http://a/\xc3\xa9?q=\xc3\xa9", "http://a:80 http://a/%C3%A9?q=%C3%A9"},
        {"http://a/a|b\\c\"<>^`{}", "http://a:80 http://a/a%7Cb%5Cc%22%3C%3E%5E%60%7B%7D"},
        {"http://a/%41%zz", "http://a:80 http://a/%41%zz"},
        {"http://a/x?y?z", "http://a:80 http://a/x?y?z"},
        {"http://a_b.c-d/", "http://a_b.c-d:80 http://a_b.c-d/"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_string_equal(written(cases[i].text), cases[i].written);
}

static void what_is_none_is_refused(void **state)
{
    static const char *const bad[] = {"",
                                      "a",
                                      "/x",
                                      "//a/x",
                                      "ftp://a",
                                      "file:///etc/passwd",
                                      "http:/a",
                                      "http:a",
                                      "javascript:1",
                                      " http://a",
                                      "http://",
                                      "http:///x",
                                      "http://:80/",
                                      "http://u:p@/",
                                      "http://u@p@a/",
                                      "http://u\xff@a/",
                                      "http://a:0/",
                                      "http://a:65536/",
                                      "http://a:x/",
                                      "http://a:-1/",
                                      "http://a:80:80/",
                                      "http://a b/",
                                      "http://a/b c",
                                      "http://a/\nb",
                                      "http://a/\x7f",
                                      "http://a\\@b/",
                                      "http://a\\b/",
                                      "http://%61/",
                                      "http://[::1/",
                                      "http://[::1]x/",
                                      "http://[]/",
                                      "http://[::1%25lo]/",
                                      "http://[x]/",
                                      "http://a,b/",
                                      "http://a;b/",
                                      "http://.a/",
                                      "http://a'/",
                                      "http://a\"/",
                                      "http://a{/",
                                      "http://[::1]:80:1/"};
    struct url u;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (url_parse(slice_of(bad[i]), &u) == NULL)
            print_message("%s passes as host %.*s\n", bad[i], SLICE_ARG(u.host));
        assert_non_null(url_parse(slice_of(bad[i]), &u));
    }
    assert_non_null(url_parse((struct slice){"http://a/\0b", 11}, &u));
    assert_non_null(url_parse((struct slice){"http://a\0b/", 11}, &u));
    assert_non_null(url_parse(SLICE("http://[::\0:1]/"), &u));
    assert_non_null(url_parse(SLICE("http://u\0:p@a/"), &u));
}

static void a_long_one_is_refused(void **state)
{
    static char text[URL_MAX + 16];
    struct url u;
    memset(text, 'a', sizeof(text));
    memcpy(text, "http://a/", 9);
    assert_null(url_parse((struct slice){text, URL_MAX}, &u));
    assert_non_null(url_parse((struct slice){text, URL_MAX + 1}, &u));
}

static void its_user_is_kept_apart(void **state)
{
    struct url u;
    assert_null(url_parse(SLICE("http://name:pass%40word@a/"), &u));
    assert_int_equal(u.user.len, 16);
    assert_memory_equal(u.user.at, "name:pass%40word", 16);
    assert_null(url_parse(SLICE("http://a/x@y"), &u)); /* behind the authority it is a letter */
    assert_null(u.user.at);
    assert_null(url_parse(SLICE("http://a?x@y"), &u));
    assert_null(u.user.at);
}

static void encodes_all_but_unreserved(void **state)
{
    struct buf out = {0};
    url_encode(SLICE("aZ9-._~ +&=%/\xff"), &out);
    assert_string_equal(buf_text(&out), "aZ9-._~%20%2B%26%3D%25%2F%FF");
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_written_in_one_way),      cmocka_unit_test(what_is_none_is_refused),
        cmocka_unit_test(a_long_one_is_refused),      cmocka_unit_test(its_user_is_kept_apart),
        cmocka_unit_test(encodes_all_but_unreserved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
