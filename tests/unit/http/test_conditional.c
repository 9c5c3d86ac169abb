/*
 * Promises of conditions and ranges, by tables out of RFC 9110 13 and 14: their order, strong and weak comparison, what
 * is malformed is as if not sent, one range is honoured and several are not.
 */
#include "http/conditional.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define OLD "Sun, 06 Nov 1994 08:49:36 GMT"
#define SAME "Sun, 06 Nov 1994 08:49:37 GMT"
#define LATER "Sun, 06 Nov 1994 08:49:38 GMT"
#define MODIFIED 784111777

/* "name: value\nname: value" */
static int judge(const char *method, const char *fields, const char *etag, unsigned long long size,
                 struct conditional_range *range)
{
    struct http_header headers[16];
    size_t count = 0;
    struct slice rest = slice_of(fields), line, name;
    while (slice_cut(&rest, '\n', &line)) {
        if (line.len == 0)
            continue;
        assert_true(slice_cut(&line, ':', &name));
        headers[count++] = (struct http_header){name, slice_trim(line)};
    }
    struct http_request req = {
        .method = slice_of(method), .headers = headers, .header_count = count, .received_at = {1700000000000000000}};
    struct conditional_facts facts = {slice_of(etag), MODIFIED, size};
    return conditional_status(&req, &facts, range);
}

static void conditions_in_their_order(void **state)
{
    static const struct {
        const char *fields;
        int get, head, post;
    } cases[] = {
        {"", 200, 200, 200},
        /* If-None-Match: weak comparison, lists, several fields */
        {"if-none-match: \"a\"", 304, 304, 200},
        {"if-none-match: W/\"a\"", 304, 304, 200},
        {"if-none-match: \"b\"", 200, 200, 200},
        {"if-none-match: \"b\", W/\"x,y\" ,, \"a\"", 304, 304, 200},
        {"if-none-match: \"b\"\nif-none-match: \"a\"", 304, 304, 200},
        {"if-none-match: *", 304, 304, 200},
        {"if-none-match: a", 200, 200, 200},
        {"if-none-match: \"a", 200, 200, 200},
        {"if-none-match: \"b\" \"a\"", 200, 200, 200},
        {"if-none-match: \"A\"", 200, 200, 200},
        /* If-Modified-Since: only without If-None-Match */
        {"if-modified-since: " SAME, 304, 304, 200},
        {"if-modified-since: " LATER, 304, 304, 200},
        {"if-modified-since: " OLD, 200, 200, 200},
        {"if-modified-since: yesterday", 200, 200, 200},
        {"if-none-match: \"b\"\nif-modified-since: " SAME, 200, 200, 200},
        {"if-none-match: \"a\"\nif-modified-since: " OLD, 304, 304, 200},
        /* If-Match: strong comparison; before the others */
        {"if-match: \"a\"", 200, 200, 200},
        {"if-match: W/\"a\"", 412, 412, 200},
        {"if-match: \"b\"", 412, 412, 200},
        {"if-match: *", 200, 200, 200},
        {"if-match: nonsense", 412, 412, 200},
        {"if-match: \"b\"\nif-none-match: \"a\"", 412, 412, 200},
        {"if-match: \"a\"\nif-none-match: \"a\"", 304, 304, 200},
        /* If-Unmodified-Since: only without If-Match */
        {"if-unmodified-since: " OLD, 412, 412, 200},
        {"if-unmodified-since: " SAME, 200, 200, 200},
        {"if-unmodified-since: never", 200, 200, 200},
        {"if-match: \"a\"\nif-unmodified-since: " OLD, 200, 200, 200},
        /* a condition comes before a range, which is for GET alone */
        {"if-none-match: \"a\"\nrange: bytes=0-1", 304, 304, 200},
        {"if-match: \"b\"\nrange: bytes=0-1", 412, 412, 200},
        {"range: bytes=0-1", 206, 200, 200},
        {"range: bytes=100-", 416, 200, 200},
        /* If-Range: strong */
        {"range: bytes=0-1\nif-range: \"a\"", 206, 200, 200},
        {"range: bytes=0-1\nif-range: W/\"a\"", 200, 200, 200},
        {"range: bytes=0-1\nif-range: \"b\"", 200, 200, 200},
        {"range: bytes=100-\nif-range: \"b\"", 200, 200, 200},
        {"range: bytes=0-1\nif-range: " SAME, 206, 200, 200},
        {"range: bytes=0-1\nif-range: " LATER, 200, 200, 200},
        {"range: bytes=0-1\nif-range: " OLD, 200, 200, 200},
        {"range: bytes=0-1\nif-range: nonsense", 200, 200, 200},
        {"if-range: \"a\"", 200, 200, 200},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct conditional_range range;
        const char *f = cases[i].fields;
        int get = judge("GET", f, "\"a\"", 100, &range), head = judge("HEAD", f, "\"a\"", 100, &range),
            post = judge("POST", f, "\"a\"", 100, &range);
        if (get != cases[i].get || head != cases[i].head || post != cases[i].post)
            fail_msg("%s: %d %d %d", f, get, head, post);
    }
}

static void a_weak_tag_never_matches_strongly(void **state)
{
    struct conditional_range range;
    assert_int_equal(judge("GET", "if-none-match: \"a\"", "W/\"a\"", 100, &range), 304);
    assert_int_equal(judge("GET", "if-none-match: W/\"a\"", "W/\"a\"", 100, &range), 304);
    assert_int_equal(judge("GET", "if-match: W/\"a\"", "W/\"a\"", 100, &range), 412);
    assert_int_equal(judge("GET", "if-match: *", "W/\"a\"", 100, &range), 200);
    assert_int_equal(judge("GET", "range: bytes=0-1\nif-range: W/\"a\"", "W/\"a\"", 100, &range), 200);
    assert_int_equal(judge("GET", "range: bytes=0-1\nif-range: " SAME, "W/\"a\"", 100, &range), 200);
}

static void ranges(void **state)
{
    static const struct {
        const char *range;
        unsigned long long size;
        int status;
        unsigned long long first, count;
    } cases[] = {
        {"bytes=0-0", 100, 206, 0, 1},
        {"bytes=0-99", 100, 206, 0, 100},
        {"bytes=0-100", 100, 206, 0, 100},
        {"bytes=10-19", 100, 206, 10, 10},
        {"bytes=99-", 100, 206, 99, 1},
        {"bytes=0-", 100, 206, 0, 100},
        {"bytes=-1", 100, 206, 99, 1},
        {"bytes=-100", 100, 206, 0, 100},
        {"bytes=-1000", 100, 206, 0, 100},
        {"BYTES=1-1", 100, 206, 1, 1},
        {"bytes= 1-1", 100, 206, 1, 1},
        {"bytes=,1-1 ,", 100, 206, 1, 1},
        {"bytes=5-18446744073709551615", 100, 206, 5, 95},
        {"bytes=5-99999999999999999999999999", 100, 206, 5, 95},
        {"bytes=-99999999999999999999999999", 100, 206, 0, 100},
        {"bytes=8589934592-", 8589934600, 206, 8589934592, 8},
        {"bytes=100-", 100, 416, 0, 0},
        {"bytes=100-200", 100, 416, 0, 0},
        {"bytes=99999999999999999999999999-", 100, 416, 0, 0},
        {"bytes=-0", 100, 416, 0, 0},
        {"bytes=1-0", 100, 200, 0, 100},
        {"bytes=0-1,3-4", 100, 200, 0, 100},
        {"bytes=0-1,200-300", 100, 200, 0, 100},
        {"bytes=", 100, 200, 0, 100},
        {"bytes=-", 100, 200, 0, 100},
        {"bytes=--1", 100, 200, 0, 100},
        {"bytes=+1-2", 100, 200, 0, 100},
        {"bytes=1", 100, 200, 0, 100},
        {"bytes=a-b", 100, 200, 0, 100},
        {"bytes=1-2x", 100, 200, 0, 100},
        {"bytes=1 - 2", 100, 200, 0, 100},
        {"bytes 1-2", 100, 200, 0, 100},
        {"lines=1-2", 100, 200, 0, 100},
        {"", 100, 200, 0, 100},
        {"bytes=0-", 0, 200, 0, 0},
        {"bytes=-5", 0, 200, 0, 0},
        {"bytes=0-0", 1, 206, 0, 1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char fields[128];
        struct conditional_range range = {7, 7};
        snprintf(fields, sizeof(fields), "range: %s", cases[i].range);
        int status = judge("GET", fields, "\"a\"", cases[i].size, &range);
        if (status != cases[i].status ||
            (status != 416 && (range.first != cases[i].first || range.count != cases[i].count)))
            fail_msg("%s of %llu: %d, %llu+%llu", cases[i].range, cases[i].size, status, range.first, range.count);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conditions_in_their_order),
        cmocka_unit_test(a_weak_tag_never_matches_strongly),
        cmocka_unit_test(ranges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
