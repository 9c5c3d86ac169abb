/*
 * test_quarantine.c: three strikes in a minute begin it; a probe ends or doubles it; whatever a broken process writes
 * into the table, nobody is refused for longer than the most, and nothing is read beyond it; many threads agree.
 */
#include "shm/quarantine.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct quarantine *q;

static int begin(void **state)
{
    q = aligned_alloc(64, sizeof(*q));
    memset(q, 0, sizeof(*q));
    return q == NULL;
}

static int end(void **state)
{
    free(q);
    return 0;
}

static mono_t at(double seconds)
{
    return (mono_t){(int64_t)(seconds * 1e9) + 1000000000000};
}

static dur_t wait_, for_;
static uint64_t probe;

static enum quarantine_verdict ask(uint64_t version, double seconds)
{
    return quarantine_ask(q, version, at(seconds), &wait_, &probe);
}

static enum quarantine_strike strike(uint64_t version, double seconds)
{
    return quarantine_struck(q, version, at(seconds), &for_);
}

static void quarantine(uint64_t version, double seconds)
{
    assert_int_equal(strike(version, seconds), QUARANTINE_COUNTED);
    assert_int_equal(strike(version, seconds), QUARANTINE_COUNTED);
    assert_int_equal(strike(version, seconds), QUARANTINE_BEGUN);
    assert_int_equal(for_.ns, DUR_S(10).ns);
}

static void three_strikes_in_a_minute_begin_it(void **state)
{
    assert_int_equal(ask(7, 0), QUARANTINE_PASS);
    assert_int_equal(strike(7, 0), QUARANTINE_COUNTED);
    assert_int_equal(strike(7, 30), QUARANTINE_COUNTED);
    assert_int_equal(ask(7, 31), QUARANTINE_PASS);
    assert_int_equal(strike(8, 32), QUARANTINE_COUNTED);   /* another's */
    assert_int_equal(strike(7, 60.1), QUARANTINE_COUNTED); /* the first is too old */
    assert_int_equal(ask(7, 60.2), QUARANTINE_PASS);
    assert_int_equal(strike(7, 89.9), QUARANTINE_BEGUN);
    assert_int_equal(ask(7, 89.9), QUARANTINE_REFUSE);
    assert_int_equal(wait_.ns, DUR_S(10).ns);
    assert_int_equal(ask(7, 99.8), QUARANTINE_REFUSE);
    assert_int_equal(wait_.ns, DUR_MS(100).ns);
    assert_int_equal(ask(8, 99), QUARANTINE_PASS);
    assert_int_equal(q->begun, 1);
    assert_int_equal(ask(0, 99), QUARANTINE_PASS); /* no script has version 0 */
    assert_int_equal(strike(0, 99), QUARANTINE_FULL);
}

static void a_probe_that_passes_ends_it(void **state)
{
    quarantine(7, 0);
    assert_int_equal(strike(7, 1), QUARANTINE_COUNTED); /* was under way when it began */
    assert_int_equal(ask(7, 10), QUARANTINE_PROBE);
    uint64_t one = probe;
    assert_int_not_equal(one, 0);
    assert_int_equal(ask(7, 10), QUARANTINE_REFUSE); /* one at a time */
    assert_int_equal(probe, 0);
    assert_true(quarantine_look(q, 7, at(10), NULL));
    assert_true(quarantine_passed(q, 7, one));
    assert_false(quarantine_passed(q, 7, one));
    assert_false(quarantine_look(q, 7, at(10), NULL));
    assert_int_equal(ask(7, 10), QUARANTINE_PASS);
    quarantine(7, 11); /* three are needed again, and it begins with ten seconds */
}

static void a_probe_that_does_not_doubles_it_up_to_ten_minutes(void **state)
{
    static const double periods[] = {20, 40, 80, 160, 320, 600, 600, 600};
    struct quarantine_view view;
    double now = 10;
    quarantine(7, 0);
    for (size_t i = 0; i < sizeof(periods) / sizeof(periods[0]); i++) {
        assert_int_equal(ask(7, now), QUARANTINE_PROBE);
        assert_int_equal(strike(7, now + 0.3), QUARANTINE_DOUBLED);
        assert_int_equal(for_.ns, (int64_t)(periods[i] * 1e9));
        assert_true(quarantine_look(q, 7, at(now + 0.3), &view));
        assert_int_equal(view.period.ns, for_.ns);
        assert_int_equal(view.wait.ns, for_.ns);
        assert_false(view.probing);
        now += 0.3 + periods[i];
        assert_int_equal(ask(7, now - 0.1), QUARANTINE_REFUSE);
    }
    assert_int_equal(q->begun, 1);
    assert_true(quarantine_end(q, 7));
    assert_false(quarantine_end(q, 7));
    quarantine(7, now);
}

static void a_probe_that_is_lost_is_followed_by_another_and_one_given_back_at_once(void **state)
{
    quarantine(7, 0);
    assert_int_equal(ask(7, 12), QUARANTINE_PROBE);
    uint64_t lost = probe;
    assert_int_equal(ask(7, 21.9), QUARANTINE_REFUSE);
    assert_int_equal(ask(7, 22), QUARANTINE_PROBE);
    assert_false(quarantine_passed(q, 7, lost)); /* late */
    quarantine_undecided(q, 7, probe, at(23));
    assert_int_equal(ask(7, 23), QUARANTINE_PROBE);
    assert_true(quarantine_passed(q, 7, probe));
    quarantine_undecided(q, 7, probe, at(24)); /* too late to matter */
    assert_int_equal(ask(7, 24), QUARANTINE_PASS);
}

static void places_are_given_on_when_they_are_idle_only(void **state)
{
    unsigned full = 0, counted = 0;
    quarantine(1, 0);
    for (uint64_t version = 2; version < 3000; version++)
        strike(version, 0) == QUARANTINE_FULL ? full++ : counted++;
    assert_true(full > 0 && counted >= QUARANTINE_ENTRIES / 2);
    assert_int_equal(ask(1, 5), QUARANTINE_REFUSE);
    for (uint64_t version = 3000; version < 3100; version++)
        assert_int_equal(strike(version, 61), QUARANTINE_COUNTED);
    assert_int_equal(ask(1, 3600), QUARANTINE_PROBE);        /* kept all along */
    for (uint64_t version = 4000; version < 9000; version++) /* of one that nobody asks for any more */
        strike(version, 7000 + 61 * (double)(version / 256));
    assert_int_equal(ask(1, 9000), QUARANTINE_PASS);
}

static void what_cannot_be_is_taken_for_nothing(void **state)
{
    struct quarantine_view view;
    unsigned seed = 4711;
    quarantine(7, 0);
    for (unsigned i = 0; i < 200000; i++) {
        uint64_t *words = (uint64_t *)q->entry;
        words[(unsigned)rand_r(&seed) % (sizeof(q->entry) / 8)] = (uint64_t)rand_r(&seed) << (rand_r(&seed) % 48);
        uint64_t version = i % 9;
        if (ask(version, i) == QUARANTINE_REFUSE)
            assert_true(wait_.ns <= DUR_S(600).ns && wait_.ns >= 0);
        if (strike(version, i) == QUARANTINE_DOUBLED)
            assert_true(for_.ns <= DUR_S(600).ns && for_.ns >= DUR_S(10).ns);
        if (quarantine_look(q, version, at(i), &view))
            assert_true(view.period.ns <= DUR_S(600).ns && view.wait.ns <= DUR_S(600).ns);
    }
    for (unsigned i = 0; i < QUARANTINE_ENTRIES; i++) /* for ever, says one who must not */
        q->entry[i].word = UINT64_MAX;
    q->entry[0].version = 99;
    for (uint64_t version = 1; version < 200; version++)
        assert_int_not_equal(ask(version, 1), QUARANTINE_REFUSE);
}

/* --- many at once ------------------------------------------------------------------------------------------------- */

#define THREADS 4
#define ROUNDS 2000

static pthread_barrier_t together;
static _Atomic unsigned begun, probes, passed, doubled;

/* Each round: strikes of all begin it once, one of all gets the probe, and it ends or doubles it once. */
static void *struggle(void *cookie)
{
    for (uint64_t round = 1; round <= ROUNDS; round++) {
        double now = (double)round * 100;
        dur_t wait, time;
        uint64_t mine;
        pthread_barrier_wait(&together);
        for (int i = 0; i < QUARANTINE_STRIKES; i++)
            begun += quarantine_struck(q, round, at(now), &time) == QUARANTINE_BEGUN;
        pthread_barrier_wait(&together);
        if (quarantine_ask(q, round, at(now + 20), &wait, &mine) == QUARANTINE_PROBE) {
            probes++;
            if (round % 2)
                passed += quarantine_passed(q, round, mine);
            else
                doubled += quarantine_struck(q, round, at(now + 20), &time) == QUARANTINE_DOUBLED;
        }
        pthread_barrier_wait(&together);
        if (quarantine_look(q, round, at(now + 20), NULL) != (round % 2 == 0))
            abort();
    }
    return NULL;
}

static void threads_begin_probe_and_end_it_once_each(void **state)
{
    pthread_t threads[THREADS];
    begun = probes = passed = doubled = 0;
    pthread_barrier_init(&together, NULL, THREADS);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, struggle, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    pthread_barrier_destroy(&together);
    assert_int_equal(begun, ROUNDS);
    assert_int_equal(q->begun, ROUNDS);
    assert_int_equal(probes, ROUNDS);
    assert_int_equal(passed, ROUNDS / 2);
    assert_int_equal(doubled, ROUNDS / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(three_strikes_in_a_minute_begin_it, begin, end),
        cmocka_unit_test_setup_teardown(a_probe_that_passes_ends_it, begin, end),
        cmocka_unit_test_setup_teardown(a_probe_that_does_not_doubles_it_up_to_ten_minutes, begin, end),
        cmocka_unit_test_setup_teardown(a_probe_that_is_lost_is_followed_by_another_and_one_given_back_at_once, begin,
                                        end),
        cmocka_unit_test_setup_teardown(places_are_given_on_when_they_are_idle_only, begin, end),
        cmocka_unit_test_setup_teardown(what_cannot_be_is_taken_for_nothing, begin, end),
        cmocka_unit_test_setup_teardown(threads_begin_probe_and_end_it_once_each, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
