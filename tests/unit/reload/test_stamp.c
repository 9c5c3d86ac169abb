/*
 * test_stamp.c: promises: a file whose stamp differs is read; one whose stamp stands still is read once more after a
 * tick of its file system's clock, and then no more, and where there is no file, not at all; nothing depends on our
 * wall clock, nor on what time files say.
 */
#include "reload/stamp.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define SECOND 1000000000u

static bool at(struct stamp *s, uint64_t changed, uint64_t size, int64_t now_ms)
{
    const uint64_t stamp[4] = {1, 2, changed, size};
    return stamp_is_news(s, stamp, (mono_t){now_ms * 1000000});
}

static void a_fine_clock_settles_soon(void **state)
{
    struct stamp s = {.known = false};
    const uint64_t changed = 1700000000ull * SECOND + 123456789;
    assert_true(at(&s, changed, 5, 1000));
    assert_true(at(&s, changed, 5, 1000)); /* the same tick: another write may hide behind it */
    assert_true(at(&s, changed, 5, 1030));
    assert_true(at(&s, changed, 5, 1060)); /* read after the tick: this was the last time */
    assert_false(at(&s, changed, 5, 1061));
    assert_false(at(&s, changed, 5, 900000));
    assert_true(at(&s, changed + 1, 5, 900001));
    assert_true(at(&s, changed + 1, 5, 900100));
    assert_false(at(&s, changed + 1, 5, 900101));
    assert_true(at(&s, changed + 1, 6, 900102));
}

static void a_coarse_clock_settles_later(void **state)
{
    const uint64_t times[] = {1700000000ull * SECOND, 1700000002ull * SECOND, 1700000000ull * SECOND + 10000000};
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        struct stamp s = {.known = false};
        assert_true(at(&s, times[i], 5, 0));
        assert_true(at(&s, times[i], 5, 500)); /* the same second, the same size, other content */
        assert_true(at(&s, times[i], 5, 2000));
        assert_true(at(&s, times[i], 5, 2001));
        assert_false(at(&s, times[i], 5, 2002));
    }
}

static void times_ahead_and_behind_settle_as_any(void **state)
{
    const uint64_t times[] = {1, 4000000000ull * SECOND + 1, 9000000000ull * SECOND + 7};
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        struct stamp s = {.known = false};
        assert_true(at(&s, times[i], 5, 0));
        assert_true(at(&s, times[i], 5, 51));
        assert_false(at(&s, times[i], 5, 52));
        assert_true(at(&s, times[i] - 1, 5, 53)); /* set back */
    }
}

static void nothing_there_settles_at_once(void **state)
{
    struct stamp s = {.known = false};
    const uint64_t none[4] = {0}, made_of_a_path[4] = {7}, without_a_time[4] = {1, 2, 0, 5};
    assert_true(stamp_is_news(&s, none, (mono_t){0}));
    assert_false(stamp_is_news(&s, none, (mono_t){1}));
    assert_true(stamp_is_news(&s, made_of_a_path, (mono_t){2}));
    assert_false(stamp_is_news(&s, made_of_a_path, (mono_t){3}));
    assert_true(stamp_is_news(&s, without_a_time, (mono_t){4})); /* as some file systems have it: there is a file */
    assert_true(stamp_is_news(&s, without_a_time, (mono_t){5}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fine_clock_settles_soon),
        cmocka_unit_test(a_coarse_clock_settles_later),
        cmocka_unit_test(times_ahead_and_behind_settle_as_any),
        cmocka_unit_test(nothing_there_settles_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
