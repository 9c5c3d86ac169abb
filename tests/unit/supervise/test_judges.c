/*
 * test_judges.c: the supervisor's pure parts by tables of cases: when to start again, when a child is stuck, which
 * snapshot a new child gets.
 */
#include "base/fd.h"
#include "supervise/restart.h"
#include "supervise/snapshots.h"
#include "supervise/watchdog.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static mono_t at_ms(int64_t ms)
{
    return (mono_t){ms * 1000000};
}

/* Each row: a life that begins at `born` and ends at `died`, and the wait that follows, in ms. */
struct life {
    int64_t born, died, wait;
};

static void check_lives(const struct life *lives, size_t count)
{
    struct restart r = {0};

    for (size_t i = 0; i < count; i++)
        assert_int_equal(restart_after(&r, at_ms(lives[i].born), at_ms(lives[i].died)).ns / 1000000, lives[i].wait);
}
#define CHECK_LIVES(...)                                      \
    do {                                                      \
        const struct life lives[] = {__VA_ARGS__};            \
        check_lives(lives, sizeof(lives) / sizeof(lives[0])); \
    } while (0)

static void three_deaths_in_ten_seconds_wait_for_nothing_then_delays_double_to_ten_seconds(void **unused)
{
    CHECK_LIVES({0, 10, 0}, {10, 20, 0}, {20, 30, 0}, {30, 40, 100}, {140, 150, 200}, {350, 360, 400}, {760, 770, 800},
                {1570, 1580, 1600}, {3180, 3190, 3200}, {6390, 6400, 6400}, {12800, 12810, 10000},
                {22810, 22820, 10000});
}

static void a_good_run_of_a_second_forgives(void **unused)
{
    CHECK_LIVES({0, 1, 0}, {1, 2, 0}, {2, 3, 0}, {3, 4, 100}, {104, 1104, 0}, {1104, 1105, 0}, {1105, 1106, 0},
                {1106, 1107, 100});
    CHECK_LIVES({0, 1, 0}, {1, 2, 0}, {2, 3, 0}, {3, 4, 100}, {104, 1103, 200}); /* a millisecond short of it */
}

static void deaths_further_apart_than_the_window_never_wait(void **unused)
{
    CHECK_LIVES({0, 900, 0}, {4000, 4900, 0}, {8000, 8900, 0}, {12000, 12900, 0}, {16000, 16900, 0});
}

static void a_stretch_gets_what_it_says_within_bounds_and_a_second(void **unused)
{
    assert_int_equal(watchdog_limit(DUR_MS(250)).ns, DUR_MS(1250).ns);
    assert_int_equal(watchdog_limit((dur_t){0}).ns, DUR_S(1).ns);
    assert_int_equal(watchdog_limit(DUR_S(10)).ns, DUR_S(11).ns);
    assert_int_equal(watchdog_limit((dur_t){DUR_S(10).ns + 1}).ns, DUR_S(11).ns);
    assert_int_equal(watchdog_limit((dur_t){INT64_MAX}).ns, DUR_S(11).ns); /* its slot may hold anything */
    assert_int_equal(watchdog_limit((dur_t){INT64_MIN}).ns, DUR_S(11).ns);
    /* a stretch of 10 s of CPU time, and the grace, take twice as long beside as busy a process */
    assert_int_equal(watchdog_silence(&(struct progress_view){.inside = false, .max_run = DUR_S(10)}).ns,
                     WATCHDOG_PONG_WORKER.ns);
    assert_int_equal(watchdog_silence(&(struct progress_view){.inside = true, .max_run = DUR_S(10)}).ns, DUR_S(32).ns);
}

static void only_the_same_stretch_past_its_cpu_time_is_over(void **unused)
{
    struct watchdog_stretch w = {0};
    const dur_t limit = DUR_MS(750);
    struct progress_view in3 = {.sequence = 3, .inside = true}, out4 = {.sequence = 4},
                         in5 = {.sequence = 5, .inside = true};

    assert_false(watchdog_stretch_over(&w, &in3, DUR_S(100), limit, at_ms(0))); /* what it used before does not count */
    assert_false(watchdog_stretch_over(&w, &in3, DUR_MS(100400), limit, at_ms(0)));
    assert_false(watchdog_stretch_over(&w, &in3, DUR_MS(100750), limit, at_ms(0)));
    assert_true(watchdog_stretch_over(&w, &in3, DUR_MS(100751), limit, at_ms(0)));
    assert_false(watchdog_stretch_over(&w, &in5, DUR_MS(100751), limit, at_ms(0))); /* another one */
    assert_false(watchdog_stretch_over(&w, &out4, DUR_S(200), limit, at_ms(0)));
    assert_false(
        watchdog_stretch_over(&w, &out4, DUR_S(300), limit, at_ms(0))); /* not in Lua at all: as long as it likes */
    assert_false(watchdog_stretch_over(&w, &in5, DUR_S(400), limit, at_ms(0)));
    assert_false(watchdog_stretch_over(&w, &in5, DUR_MS(400400), limit, at_ms(0)));
    assert_true(watchdog_stretch_over(&w, &in5, DUR_MS(400800), limit, at_ms(0)));
}

static void a_machine_that_stood_still_is_no_script_that_ran(void **unused)
{
    struct watchdog_stretch w = {0};
    struct progress_view in3 = {.sequence = 3, .inside = true};

    assert_false(watchdog_stretch_over(&w, &in3, DUR_S(0), DUR_S(1), at_ms(0)));
    assert_false(watchdog_stretch_over(&w, &in3, DUR_S(60), DUR_S(1), at_ms(60000))); /* halted for a minute */
    assert_false(watchdog_stretch_over(&w, &in3, DUR_MS(60050), DUR_S(1), at_ms(60050)));
    assert_true(watchdog_stretch_over(&w, &in3, DUR_MS(60501), DUR_S(1), at_ms(60501))); /* it runs on all the same */
}

static void a_queue_is_stuck_after_fifty_milliseconds_and_free_when_the_counter_moves(void **unused)
{
    struct watchdog_queue w = {0};

    assert_false(watchdog_queue_stuck(&w, true, 0, at_ms(1000)));
    assert_false(watchdog_queue_stuck(&w, true, 0, at_ms(1049)));
    assert_true(watchdog_queue_stuck(&w, true, 0, at_ms(1050)));
    assert_true(watchdog_queue_stuck(&w, false, 0, at_ms(1100))); /* others have emptied it */
    assert_false(watchdog_queue_stuck(&w, false, 1, at_ms(1150)));
    assert_false(watchdog_queue_stuck(&w, true, 1, at_ms(2000)));
    assert_false(watchdog_queue_stuck(&w, true, 2, at_ms(2050))); /* long, but moving */
    assert_false(watchdog_queue_stuck(&w, false, 2, at_ms(2100)));
    assert_false(watchdog_queue_stuck(&w, true, 2, at_ms(9000))); /* the wait begins anew */
    assert_true(watchdog_queue_stuck(&w, true, 2, at_ms(9050)));
}

static void a_pong_is_asked_each_second_and_owed_until_the_limit(void **unused)
{
    struct watchdog_pulse w = {.at = at_ms(0)};
    const dur_t limit = DUR_S(10);

    assert_int_equal(watchdog_pulse_next(&w, at_ms(999), limit), WATCHDOG_FINE);
    assert_false(watchdog_pulse_answered(&w, 0)); /* nobody asked */
    assert_int_equal(watchdog_pulse_next(&w, at_ms(1000), limit), WATCHDOG_PING);
    assert_int_equal(watchdog_pulse_next(&w, at_ms(3000), limit), WATCHDOG_FINE); /* one question at a time */
    assert_false(watchdog_pulse_answered(&w, w.sequence + 1));
    assert_true(watchdog_pulse_answered(&w, w.sequence));
    assert_false(watchdog_pulse_answered(&w, w.sequence));
    assert_int_equal(watchdog_pulse_next(&w, at_ms(3001), limit), WATCHDOG_PING);
    assert_int_equal(watchdog_pulse_next(&w, at_ms(13000), limit), WATCHDOG_FINE);
    assert_int_equal(watchdog_pulse_next(&w, at_ms(13001), limit), WATCHDOG_LOST);
}

static int new_fd(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void the_word_decides_which_snapshot_is_live(void **unused)
{
    struct snapshots s;
    int one = new_fd(), two = new_fd(), three = new_fd();

    snapshots_init(&s);
    assert_int_equal(snapshots_live(&s, 0).fd, -1);
    snapshots_keep(&s, 0, 1, one);
    assert_int_equal(snapshots_live(&s, 0).fd, -1); /* kept, not live */
    assert_int_equal(snapshots_live(&s, 1).fd, one);
    snapshots_keep(&s, 1, 2, two);
    assert_int_equal(snapshots_live(&s, 1).generation, 1);
    snapshots_keep(&s, 1, 3, three); /* 2 never became live */
    assert_int_equal(fcntl(two, F_GETFD), -1);
    assert_int_equal(snapshots_live(&s, 77).fd, one); /* the word names neither */
    assert_int_equal(snapshots_live(&s, 3).fd, three);
    assert_int_equal(fcntl(one, F_GETFD), -1);
    snapshots_close(&s);
    assert_int_equal(fcntl(three, F_GETFD), -1);
}

static void the_live_snapshot_may_be_handed_over_again(void **unused)
{
    struct snapshots s;
    int one = new_fd(), again = new_fd();

    snapshots_init(&s);
    snapshots_keep(&s, 1, 1, one);
    snapshots_keep(&s, 1, 1, again);
    assert_int_equal(snapshots_live(&s, 1).fd, again);
    assert_int_equal(fcntl(one, F_GETFD), -1);
    snapshots_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_deaths_in_ten_seconds_wait_for_nothing_then_delays_double_to_ten_seconds),
        cmocka_unit_test(a_good_run_of_a_second_forgives),
        cmocka_unit_test(deaths_further_apart_than_the_window_never_wait),
        cmocka_unit_test(a_stretch_gets_what_it_says_within_bounds_and_a_second),
        cmocka_unit_test(only_the_same_stretch_past_its_cpu_time_is_over),
        cmocka_unit_test(a_machine_that_stood_still_is_no_script_that_ran),
        cmocka_unit_test(a_queue_is_stuck_after_fifty_milliseconds_and_free_when_the_counter_moves),
        cmocka_unit_test(a_pong_is_asked_each_second_and_owed_until_the_limit),
        cmocka_unit_test(the_word_decides_which_snapshot_is_live),
        cmocka_unit_test(the_live_snapshot_may_be_handed_over_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
