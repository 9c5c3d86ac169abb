/*
 * Promises of HTTP dates: the one form that is sent, the three that must be read, and nothing else.
 */
#include "codec/date.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define NOW 1700000000 /* November 2023 */

static void text_and_back(void **state)
{
    static const struct {
        int64_t seconds;
        const char *text;
    } cases[] = {
        /* the seconds are date(1)'s: date -ud '...' +%s */
        {784111777, "Sun, 06 Nov 1994 08:49:37 GMT"}, {0, "Thu, 01 Jan 1970 00:00:00 GMT"},
        {951782400, "Tue, 29 Feb 2000 00:00:00 GMT"}, {4102444799, "Thu, 31 Dec 2099 23:59:59 GMT"},
        {-86400, "Wed, 31 Dec 1969 00:00:00 GMT"},    {253402300799, "Fri, 31 Dec 9999 23:59:59 GMT"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[DATE_TEXT + 1];
        int64_t back = 1;
        date_text(cases[i].seconds, text);
        assert_string_equal(text, cases[i].text);
        assert_true(date_parse(slice_of(text), NOW, &back));
        assert_int_equal(back, cases[i].seconds);
    }
}

static void the_old_forms_are_read(void **state)
{
    static const struct {
        const char *text;
        int64_t seconds;
    } cases[] = {
        {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},    {"Sun Nov  6 08:49:37 1994", 784111777},
        {"Sun Nov 16 08:49:37 1994", 784975777},          {"Friday, 01-Jan-27 00:00:00 GMT", 1798761600},
        {"Saturday, 01-Jan-72 00:00:00 GMT", 3218832000}, /* 2072: not more than 50 years ahead of 2023 */
        {"Tuesday, 01-Jan-74 00:00:00 GMT", 126230400},   /* 1974: 2074 would be */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t seconds = 0;
        assert_true(date_parse(slice_of(cases[i].text), NOW, &seconds));
        assert_int_equal(seconds, cases[i].seconds);
    }
}

static void anything_else_is_none(void **state)
{
    static const char *const bad[] = {"",
                                      "now",
                                      "Sun",
                                      "Sun,",
                                      "Sun, 06 Nov 1994 08:49:37",
                                      "Sun, 06 Nov 1994 08:49:37 UTC",
                                      "Sun, 06 Nov 1994 08:49:37 GMT ",
                                      "Sun, 6 Nov 1994 08:49:37 GMT",
                                      "sun, 06 nov 1994 08:49:37 gmt",
                                      "Sun, 30 Feb 2000 00:00:00 GMT",
                                      "Sun, 29 Feb 2023 00:00:00 GMT",
                                      "Sun, 00 Nov 1994 08:49:37 GMT",
                                      "Sun, 06 Nov 1994 24:00:00 GMT",
                                      "Sun, 06 Nov 1994 08:60:00 GMT",
                                      "Sun, 06 Nov 19940 08:49:37 GMT",
                                      "Sun, -6 Nov 1994 08:49:37 GMT",
                                      "Sunday, 06 Nov 1994 08:49:37 GMT",
                                      "Sun, 06 Feb 0000 08:49:37 GMT",
                                      "Fri, 31 Dec 9999 23:59:60 GMT",
                                      "784111777"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int64_t seconds;
        assert_false(date_parse(slice_of(bad[i]), NOW, &seconds));
    }
    struct slice whole = SLICE("Sunday, 06-Nov-94 08:49:37 GMT");
    for (size_t len = 0; len < whole.len; len++) { /* cut anywhere, in memory of its own: asan sees a read past it */
        int64_t seconds;
        char *copy = malloc(len + 1);
        memcpy(copy + 1, whole.at, len);
        assert_false(date_parse((struct slice){copy + 1, len}, NOW, &seconds));
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_and_back),
        cmocka_unit_test(the_old_forms_are_read),
        cmocka_unit_test(anything_else_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
