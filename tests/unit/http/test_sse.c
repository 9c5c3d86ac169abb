/*
 * Promises of server-sent events: a client that reads them by WHATWG HTML 9.2.6 gets exactly the data that was sent,
 * whatever its lines end with and wherever it is cut; what it could not get is refused.
 */
#include "http/sse.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static struct slice text(const char *s)
{
    return s != NULL ? slice_of(s) : SLICE_NONE;
}

static void events_are_framed(void **state)
{
    static const struct {
        const char *event, *id, *data;
        int64_t retry;
        const char *framed;
    } cases[] = {
        {NULL, NULL, "hello", -1, "data: hello\n\n"},
        {NULL, NULL, "", -1, "data: \n\n"},
        {NULL, NULL, " x", -1, "data:  x\n\n"},
        {NULL, NULL, "a\nb", -1, "data: a\ndata: b\n\n"},
        {NULL, NULL, "a\r\nb", -1, "data: a\ndata: b\n\n"},
        {NULL, NULL, "a\rb", -1, "data: a\ndata: b\n\n"},
        {NULL, NULL, "a\n", -1, "data: a\ndata: \n\n"},
        {NULL, NULL, "\n\r\r\n", -1, "data: \ndata: \ndata: \ndata: \n\n"},
        {NULL, NULL, "id: 7\nretry: 1", -1, "data: id: 7\ndata: retry: 1\n\n"},
        {"tick", "42", "x", 5000, "event: tick\nid: 42\nretry: 5000\ndata: x\n\n"},
        {NULL, "", NULL, -1, "id: \n\n"},
        {NULL, NULL, NULL, 0, "retry: 0\n\n"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        /* in one go, and in the smallest pieces */
        for (size_t most = 1; most <= 1000; most += 999) {
            struct sse_event e = {text(cases[i].event), text(cases[i].id), text(cases[i].data), cases[i].retry};
            struct error err = {""};
            struct buf out = {0};
            struct sse_lines lines;
            assert_int_equal(sse_check(&e, &err), 0);
            sse_fields(&e, &out);
            sse_lines_begin(&lines, e.data);
            while (!sse_lines_take(&lines, &out, most)) {
            }
            assert_string_equal(buf_text(&out), cases[i].framed);
            buf_free(&out);
        }
    }
}

static void pieces_are_bounded(void **state)
{
    struct buf data = {0}, out = {0};
    for (int i = 0; i < 100000; i++)
        buf_add_text(&data, i % 7 == 0 ? "\n" : "0123456789");
    struct sse_lines lines;
    sse_lines_begin(&lines, buf_slice(&data));
    for (bool over = false; !over;) {
        buf_clear(&out);
        over = sse_lines_take(&lines, &out, 4096);
        assert_true(out.len <= 2 * 4096 + 16);
    }
    buf_free(&data);
    buf_free(&out);
}

static void what_would_be_misread_is_refused(void **state)
{
    static const struct {
        struct sse_event event;
        const char *words;
    } cases[] = {
        {{SLICE_NONE, SLICE_NONE, SLICE_NONE, -1}, "nothing to send"},
        {{SLICE("x"), SLICE_NONE, SLICE_NONE, -1}, "without data"},
        {{SLICE("x\ny"), SLICE_NONE, SLICE("d"), -1}, "event has a line break"},
        {{SLICE("x\r"), SLICE_NONE, SLICE("d"), -1}, "event has a line break"},
        {{SLICE(""), SLICE_NONE, SLICE("d"), -1}, "event is empty"},
        {{SLICE_NONE, SLICE("1\n2"), SLICE("d"), -1}, "id has a line break"},
        {{SLICE_NONE, SLICE("1\r2"), SLICE("d"), -1}, "id has a line break"},
        {{SLICE_NONE, SLICE("1\0"), SLICE("d"), -1}, "id has a NUL"},
        {{SLICE_NONE, SLICE_NONE, SLICE("d\xff"), -1}, "data is not UTF-8 (byte 2)"},
        {{SLICE("\xc3"), SLICE_NONE, SLICE("d"), -1}, "event is not UTF-8 (byte 1)"},
        {{SLICE_NONE, SLICE("\x80"), SLICE("d"), -1}, "id is not UTF-8 (byte 1)"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error err = {""};
        assert_int_equal(sse_check(&cases[i].event, &err), -1);
        if (strstr(err.text, cases[i].words) == NULL)
            fail_msg("case %zu: %s", i, err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_are_framed),
        cmocka_unit_test(pieces_are_bounded),
        cmocka_unit_test(what_would_be_misread_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
