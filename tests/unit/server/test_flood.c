/*
 * Promises of the budgets of HTTP/2 frames: so many are borne and one more is not; they come back in ten seconds; what
 * clients send in the ordinary way of things (acknowledgements, windows that open as answers are read, priorities) is
 * paid for by requests and answers; empty frames, and header blocks in endless pieces, are not.
 */
#include "server/flood.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION };

static const struct config_limits limits = {
    .resets = 10, .pings = 20, .settings = 5, .empty_frames = 10, .frames = 100, .continuations = 4};
static const mono_t now = {INT64_C(1000) * 1000000000};

static enum flood_kind take(struct flood *f, unsigned type, unsigned flags, uint32_t length, uint64_t sent, mono_t at)
{
    static const uint8_t payload[65536] = {7};
    const struct flood_frame frame = {type, flags, length, payload};
    return flood_frame(f, &frame, &limits, sent, at);
}

/* How many are borne, of at most 10,000. */
static int borne(struct flood *f, unsigned type, unsigned flags, uint32_t length, enum flood_kind *why_out, mono_t at)
{
    for (int i = 0; i < 10000; i++)
        if ((*why_out = take(f, type, flags, length, 0, at)) != FLOOD_NONE)
            return i;
    return 10000;
}

static void each_kind_has_its_budget(void **state)
{
    const struct {
        unsigned type, flags;
        uint32_t length;
        int most;
        enum flood_kind kind;
    } rows[] = {
        {PING, 0, 8, 20, FLOOD_PINGS},
        {PING, 1, 8, 100, FLOOD_FRAMES},
        {SETTINGS, 0, 0, 5, FLOOD_SETTINGS},
        {SETTINGS, 0, 600, 5, FLOOD_SETTINGS},
        {SETTINGS, 1, 0, 100, FLOOD_FRAMES},
        {DATA, 0, 0, 10, FLOOD_EMPTY_FRAMES},
        {DATA, 8, 8, 10, FLOOD_EMPTY_FRAMES}, /* seven bytes of padding, and their count */
        {HEADERS, 0, 0, 10, FLOOD_EMPTY_FRAMES},
        {CONTINUATION, 0, 0, 4, FLOOD_CONTINUATIONS},
        {CONTINUATION, 0, 1, 4, FLOOD_CONTINUATIONS},
        {CONTINUATION, 0, 16384, 4, FLOOD_BLOCK},
        {PRIORITY, 0, 5, 100, FLOOD_FRAMES},
        {RST_STREAM, 0, 4, 100, FLOOD_FRAMES},
        {GOAWAY, 0, 8, 100, FLOOD_FRAMES},
        {WINDOW_UPDATE, 0, 4, 100, FLOOD_FRAMES},
        {0x42, 0, 0, 100, FLOOD_FRAMES},
        {DATA, 0, 1, 10000, FLOOD_NONE},
        {DATA, 8, 9, 10000, FLOOD_NONE},
        {DATA, 1, 0, 10000, FLOOD_NONE},
        {HEADERS, 4, 20, 10000, FLOOD_NONE},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct flood f = {0};
        enum flood_kind why;
        assert_int_equal(borne(&f, rows[i].type, rows[i].flags, rows[i].length, &why, now), rows[i].most);
        assert_int_equal(why, rows[i].kind);
    }
}

static void a_budget_comes_back_in_ten_seconds_and_no_more_than_it(void **state)
{
    struct flood f = {0};
    enum flood_kind why;
    borne(&f, PING, 0, 8, &why, now);
    assert_int_equal(borne(&f, PING, 0, 8, &why, mono_add(now, DUR_S(6))), 11); /* one too many was spent above */
    assert_int_equal(borne(&f, PING, 0, 8, &why, mono_add(now, DUR_S(3600))), 20);
    assert_int_equal(borne(&f, SETTINGS, 0, 0, &why, now), 5); /* each by itself */
}

static void resets_are_spent_by_whoever_sees_them(void **state)
{
    struct flood f = {0};
    for (int i = 0; i < 10; i++)
        assert_true(flood_spend(&f, FLOOD_RESETS, &limits, now));
    assert_false(flood_spend(&f, FLOOD_RESETS, &limits, now));
}

/* The window of a connection has 16 MiB; a frame counts as a kilobyte at least. */
static void what_was_under_way_to_a_reset_stream_is_borne(void **state)
{
    struct flood f = {0};
    const struct {
        uint32_t length;
        int most;
    } rows[] = {{16384, 1024}, {1024, 16384}, {1, 16384}, {0, 16384}};
    assert_false(flood_late(&f, 1));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        flood_body_reset(&f);
        flood_body_reset(&f); /* two streams share one window */
        for (int k = 0; k < rows[i].most; k++)
            assert_true(flood_late(&f, rows[i].length));
        assert_false(flood_late(&f, rows[i].length));
    }
}

static void requests_and_answers_pay(void **state)
{
    struct flood f = {0};
    for (int i = 0; i < 10000;
         i++) { /* a browser's request: its priority, a window for its connection and its stream */
        flood_request(&f, &limits);
        assert_int_equal(take(&f, PRIORITY, 0, 5, 0, now), FLOOD_NONE);
        assert_int_equal(take(&f, WINDOW_UPDATE, 0, 4, 0, now), FLOOD_NONE);
        assert_int_equal(take(&f, WINDOW_UPDATE, 0, 4, 0, now), FLOOD_NONE);
    }
    uint64_t sent = 0;
    for (int i = 0; i < 100000; i++) { /* a download whose client opens two windows for each kilobyte */
        sent += 1024;
        assert_int_equal(take(&f, WINDOW_UPDATE, 0, 4, sent, now), FLOOD_NONE);
        assert_int_equal(take(&f, WINDOW_UPDATE, 0, 4, sent, now), FLOOD_NONE);
    }
    int dribble = 0; /* and one that opens it by bytes */
    while (dribble < 100000 && take(&f, WINDOW_UPDATE, 0, 4, sent += 10, now) == FLOOD_NONE)
        dribble++;
    assert_true(dribble < 200);
}

static void a_new_header_block_begins_anew(void **state)
{
    struct flood f = {0};
    for (int i = 0; i < 100; i++) {
        assert_int_equal(take(&f, HEADERS, 0, 16384, 0, now), FLOOD_NONE);
        for (int k = 0; k < 3; k++)
            assert_int_equal(take(&f, CONTINUATION, 0, 16384, 0, now), FLOOD_NONE);
    }
    assert_int_equal(take(&f, CONTINUATION, 4, 1, 0, now), FLOOD_BLOCK);
}

static void a_header_block_may_have_what_headers_and_uri_allow(void **state)
{
    struct config_limits l = {.headers = 32768, .uri = 8192};
    assert_int_equal(flood_block_most(&l), 65536);
    l.headers = 65536;
    l.uri = 32768;
    assert_true(flood_block_most(&l) > l.headers + l.uri + 100 * 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_has_its_budget),
        cmocka_unit_test(a_budget_comes_back_in_ten_seconds_and_no_more_than_it),
        cmocka_unit_test(resets_are_spent_by_whoever_sees_them),
        cmocka_unit_test(what_was_under_way_to_a_reset_stream_is_borne),
        cmocka_unit_test(requests_and_answers_pay),
        cmocka_unit_test(a_new_header_block_begins_anew),
        cmocka_unit_test(a_header_block_may_have_what_headers_and_uri_allow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
