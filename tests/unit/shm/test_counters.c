/*
 * test_counters.c: histograms of several writers, each on its own slot, and a reader that sums them up meanwhile: what
 * it sees only grows, and in the end nothing is missing.
 */
#include "shm/counters.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define WRITERS 3u
#define TURNS 20000u /* each observes every bucket once */

static struct counters slots[WRITERS];
static _Atomic unsigned at_work;

/* The longest that belongs into this bucket; of the last one, a ns more than the last bound. */
static uint64_t longest(unsigned bucket)
{
    return bucket < COUNTERS_BUCKETS ? counters_bounds[bucket] : counters_bounds[COUNTERS_BUCKETS - 1] + 1;
}

static void each_duration_is_in_the_bucket_of_the_next_bound(void **state)
{
    struct counters c = {0};
    struct histogram *h = &c.histogram[HISTOGRAM_loop_lag];
    counters_observe(&c, HISTOGRAM_loop_lag, 0);
    assert_int_equal(h->count[0], 1);
    for (unsigned i = 0; i < COUNTERS_BUCKETS; i++) {
        counters_observe(&c, HISTOGRAM_loop_lag, counters_bounds[i]);
        assert_int_equal(h->count[i], 2);
        counters_observe(&c, HISTOGRAM_loop_lag, counters_bounds[i] + 1);
        assert_int_equal(h->count[i + 1], 1);
    }
    counters_observe(&c, HISTOGRAM_loop_lag, UINT64_MAX / 2);
    assert_int_equal(h->count[COUNTERS_BUCKETS], 2);
    counters_forget(&c); /* durations outlive their process */
    assert_int_equal(h->count[COUNTERS_BUCKETS], 2);
}

static void what_has_not_ended_when_its_process_has_is_counted_as_ended_with_it(void **state)
{
    struct counters c = {0};
    counters_add(&c, COUNTER_requests_http1, 5);
    counters_add(&c, COUNTER_requests_http2, 3);
    counters_add(&c, COUNTER_requests_2xx, 2);
    counters_add(&c, COUNTER_requests_5xx, 1);
    counters_add(&c, COUNTER_requests_gone, 1);
    counters_add(&c, COUNTER_connections, 7);
    counters_add(&c, COUNTER_connections_closed, 4);
    counters_add(&c, COUNTER_streams_broken, 1);
    counters_set(&c, COUNTER_streams, 2);
    counters_set(&c, COUNTER_under_way, 4);
    for (int i = 0; i < 2; i++) { /* once, however often */
        counters_forget(&c);
        assert_int_equal(counters_get(&c, COUNTER_requests_cut), 4);
        assert_int_equal(counters_get(&c, COUNTER_connections_closed), 7);
        assert_int_equal(counters_get(&c, COUNTER_streams_broken), 3);
        assert_int_equal(counters_get(&c, COUNTER_streams), 0);
        assert_int_equal(counters_get(&c, COUNTER_under_way), 0);
    }
    counters_set(&c, COUNTER_requests_2xx, UINT64_MAX / 2); /* nonsense of a worker that broke */
    counters_forget(&c);
    assert_int_equal(counters_get(&c, COUNTER_requests_cut), 4);
}

static void *write_all(void *cookie)
{
    struct counters *c = cookie;
    for (unsigned turn = 0; turn < TURNS; turn++)
        for (unsigned i = 0; i <= COUNTERS_BUCKETS; i++)
            counters_observe(c, HISTOGRAM_latency_2xx, longest(i));
    at_work--;
    return NULL;
}

struct sums {
    uint64_t count[COUNTERS_BUCKETS + 1], sum;
};

static struct sums read_sums(void)
{
    struct sums s = {0};
    for (unsigned w = 0; w < WRITERS; w++) {
        const struct histogram *h = &slots[w].histogram[HISTOGRAM_latency_2xx];
        for (unsigned i = 0; i <= COUNTERS_BUCKETS; i++)
            s.count[i] += atomic_load_explicit(&h->count[i], memory_order_relaxed);
        s.sum += atomic_load_explicit(&h->sum, memory_order_relaxed);
    }
    return s;
}

static void expect_no_less(const struct sums *now, const struct sums *before)
{
    for (unsigned i = 0; i <= COUNTERS_BUCKETS; i++)
        assert_true(now->count[i] >= before->count[i] && now->count[i] <= (uint64_t)WRITERS * TURNS);
    assert_true(now->sum >= before->sum);
}

static void a_reader_sees_them_grow_and_in_the_end_all_of_them(void **state)
{
    pthread_t threads[WRITERS];
    struct sums before = {0}, now;
    uint64_t one_turn = 0;
    at_work = WRITERS;
    for (unsigned i = 0; i < WRITERS; i++)
        pthread_create(&threads[i], NULL, write_all, &slots[i]);
    do {
        now = read_sums();
        expect_no_less(&now, &before);
        before = now;
    } while (at_work > 0);
    for (unsigned i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    now = read_sums();
    expect_no_less(&now, &before);
    for (unsigned i = 0; i <= COUNTERS_BUCKETS; i++) {
        assert_int_equal(now.count[i], WRITERS * TURNS);
        one_turn += longest(i);
    }
    assert_int_equal(now.sum, one_turn * WRITERS * TURNS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_duration_is_in_the_bucket_of_the_next_bound),
        cmocka_unit_test(what_has_not_ended_when_its_process_has_is_counted_as_ended_with_it),
        cmocka_unit_test(a_reader_sees_them_grow_and_in_the_end_all_of_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
