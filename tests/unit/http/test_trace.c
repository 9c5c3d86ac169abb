/*
 * test_trace.c: which traceparent counts (W3C Trace Context 3.2).
 */
#include "http/trace.h"
// clang-format off
#include <stdarg.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on

#define GOOD "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static bool carried(const char *text, struct trace *t)
{
    const struct http_header headers[] = {{SLICE("host"), SLICE("a")}, {SLICE("traceparent"), slice_of(text)}};
    const struct http_request r = {.headers = headers, .header_count = 2, .id = {{[8] = 1}}};
    trace_read(&r, t);
    return t->carried;
}

static void a_valid_one_is_carried_on_with_a_span_of_ours(void **state)
{
    struct trace t;
    char text[TRACE_TEXT + 1] = "", id[33] = "";
    const struct uuid request = {{1, 2, 3}};
    assert_true(carried(GOOD, &t));
    trace_text(&t, text);
    assert_string_equal(text, "00-0af7651916cd43dd8448eb211c80319c-0100000000000000-01");
    trace_id_text(&t, &request, id);
    assert_string_equal(id, "0af7651916cd43dd8448eb211c80319c");
    assert_true(carried("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-fe", &t));
    assert_int_equal(t.flags, 0); /* unknown flags are not passed on */
    assert_true(carried("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what the future holds", &t));
    trace_text(&t, text);
    assert_memory_equal(text, "00-", 3);
    assert_true(carried("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", &t));
}

static void whatever_else_counts_as_none(void **state)
{
    static const char *const table[] = {
        "",
        "00",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-011",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
        "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "0g-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0af7651916cd43dd8448eb211c80319c-B7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0x",
        "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331_01",
        " " GOOD,
        GOOD ",",
    };
    const struct uuid request = {{0xab, 0xcd}};
    char id[33] = "";
    struct trace t;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (carried(table[i], &t))
            fail_msg("taken: %s", table[i]);
    trace_id_text(&t, &request, id);
    assert_string_equal(id, "abcd0000000000000000000000000000");
}

static void two_of_them_are_none(void **state)
{
    const struct http_header headers[] = {{SLICE("traceparent"), SLICE(GOOD)}, {SLICE("traceparent"), SLICE(GOOD)}};
    const struct http_request r = {.headers = headers, .header_count = 2};
    struct trace t;
    trace_read(&r, &t);
    assert_false(t.carried);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_valid_one_is_carried_on_with_a_span_of_ours),
        cmocka_unit_test(whatever_else_counts_as_none),
        cmocka_unit_test(two_of_them_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
