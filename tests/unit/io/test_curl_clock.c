/*
 * Promises of libcurl's clock: it is the one that libraries are given; true outside of a call, and for each other clock
 * and thread; within a call never ahead nor going back, and behind by sixteen readings at most.
 */
#include "io/curl_clock.h"
#include <dlfcn.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define READINGS 16
#define MANY 10000

static int64_t as_ns(struct timespec t)
{
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Past every library. */
static int64_t true_time(clockid_t clock)
{
    struct timespec t;
    assert_int_equal(syscall(SYS_clock_gettime, clock, &t), 0);
    return as_ns(t);
}

static int64_t reading(clockid_t clock)
{
    struct timespec t;
    assert_int_equal(clock_gettime(clock, &t), 0);
    return as_ns(t);
}

static bool is_true(clockid_t clock)
{
    int64_t before = true_time(clock), read = reading(clock);
    return before <= read && read <= true_time(clock);
}

static void nap(void)
{
    assert_int_equal(nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL), 0);
}

static void libraries_are_given_it(void **unused)
{
    assert_ptr_equal(dlsym(RTLD_DEFAULT, "clock_gettime"), (void *)clock_gettime);
    assert_ptr_not_equal(dlsym(RTLD_NEXT, "clock_gettime"), (void *)clock_gettime);
}

static void true_outside_of_a_call(void **unused)
{
    assert_true(is_true(CLOCK_MONOTONIC));
    io_curl_clock_begin();
    reading(CLOCK_MONOTONIC);
    io_curl_clock_end();
    for (int i = 0; i < READINGS; i++)
        assert_true(is_true(CLOCK_MONOTONIC));
}

static void a_call_begins_with_the_true_one(void **unused)
{
    for (int i = 0; i < 5; i++) {
        io_curl_clock_begin();
        assert_true(is_true(CLOCK_MONOTONIC));
        reading(CLOCK_MONOTONIC);
        io_curl_clock_end();
    }
}

static void within_a_call_repeated_and_caught_up(void **unused)
{
    io_curl_clock_begin();
    int64_t first = reading(CLOCK_MONOTONIC);
    nap();
    int64_t after = true_time(CLOCK_MONOTONIC);
    for (int i = 1; i < READINGS; i++)
        assert_int_equal(reading(CLOCK_MONOTONIC), first);
    assert_true(reading(CLOCK_MONOTONIC) >= after);
    io_curl_clock_end();
}

static void never_ahead_nor_back(void **unused)
{
    int64_t last = 0;
    for (int i = 0; i < MANY; i++) {
        if (i % 100 == 0)
            io_curl_clock_begin();
        int64_t now = reading(CLOCK_MONOTONIC);
        assert_true(now >= last && now <= true_time(CLOCK_MONOTONIC));
        last = now;
    }
    io_curl_clock_end();
}

static void other_clocks_are_true(void **unused)
{
    io_curl_clock_begin();
    for (int i = 0; i < 2 * READINGS; i++) {
        assert_true(is_true(CLOCK_REALTIME));
        assert_true(is_true(CLOCK_THREAD_CPUTIME_ID));
    }
    io_curl_clock_end();
}

static void *look(void *unused)
{
    static bool yes = true, no = false;
    for (int i = 0; i < 2 * READINGS; i++)
        if (!is_true(CLOCK_MONOTONIC))
            return &no;
    return &yes;
}

static void other_threads_see_the_true_one(void **unused)
{
    pthread_t thread;
    void *yes;
    io_curl_clock_begin();
    reading(CLOCK_MONOTONIC);
    assert_int_equal(pthread_create(&thread, NULL, look, NULL), 0);
    assert_int_equal(pthread_join(thread, &yes), 0);
    io_curl_clock_end();
    assert_true(*(bool *)yes);
}

static void fails_as_the_true_one(void **unused)
{
    struct timespec t;
    const clockid_t none = 99;
    assert_int_equal(clock_gettime(none, &t), -1);
    io_curl_clock_begin();
    assert_int_equal(clock_gettime(none, &t), -1);
    io_curl_clock_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(libraries_are_given_it),
        cmocka_unit_test(true_outside_of_a_call),
        cmocka_unit_test(a_call_begins_with_the_true_one),
        cmocka_unit_test(within_a_call_repeated_and_caught_up),
        cmocka_unit_test(never_ahead_nor_back),
        cmocka_unit_test(other_clocks_are_true),
        cmocka_unit_test(other_threads_see_the_true_one),
        cmocka_unit_test(fails_as_the_true_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
