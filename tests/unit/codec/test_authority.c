/*
 * Promises of authorities: what names one host, and a port, is one; all else is none.
 */
#include "codec/authority.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool valid(const char *text, size_t len)
{
    char *exact = malloc(len + 1); /* of just its length, where a sanitizer looks */
    assert_non_null(exact);
    memcpy(exact, text, len);
    bool is = authority_valid((struct slice){exact, len});
    free(exact);
    return is;
}

static void hosts_with_and_without_a_port(void **state)
{
    static const char *const good[] = {
        "a",     "localhost:8080", "Hooks.Example.COM",      "a_b-c.d~e", "a.:0", "127.0.0.1", "127.0.0.1:65535",
        "[::1]", "[::1]:80",       "[2001:db8::192.0.2.1]:1"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        if (!valid(good[i], strlen(good[i])))
            fail_msg("%s is none", good[i]);
}

static void all_else_is_none(void **state)
{
    static const char *const bad[] = {
        "",       ":",       ":80",      "a:",      "a:x",         "a:65536", "a:99999999999999999999",
        "a:1:2",  "a b",     "a/b",      "u@a",     "a,b",         "a\tb",    "a%20b",
        "a?b",    "a#b",     "\xc3\xbc", "[",       "[]",          "[]:80",   "[::1",
        "::1",    "[::1]80", "[::1]:",   "[::1]:x", "[127.0.0.1]", "[a]",     "[::1]]",
        "a[::1]", "[[::1]]"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (valid(bad[i], strlen(bad[i])))
            fail_msg("%s is one", bad[i]);
    assert_false(valid("a\0b", 3));
    char long_one[300];
    memset(long_one, 'a', sizeof(long_one));
    assert_true(valid(long_one, 261));
    assert_false(valid(long_one, 262));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(hosts_with_and_without_a_port),
                                       cmocka_unit_test(all_else_is_none)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
