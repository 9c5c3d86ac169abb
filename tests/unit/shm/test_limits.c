/*
 * test_limits.c: what GCRA admits, by tables; a full bucket gives up the cell nearest to idle; what a broken process
 * wrote heals.
 */
#include "limits_table.h"

/* The n-th key of bucket `bucket`. */
static uint64_t key_in(uint64_t bucket, uint64_t n)
{
    return bucket + n * LIMITS_BUCKETS;
}

static bool take(uint64_t key, double ms)
{
    return limits_take(l, key, ten, at(ms)).admitted;
}

static void a_decision_is_what_the_table_says(void **state)
{
    static const struct {
        int64_t ahead; /* of the cell's arrival time before now, ms */
        bool admitted;
        int64_t debt; /* afterwards */
    } cases[] = {
        {-1000000, true, 100}, {-1, true, 100},    {0, true, 100},    {1, true, 101},    {100, true, 200},
        {400, true, 500},      {401, false, 401},  {500, false, 500}, {501, false, 500}, /* another's later clock */
        {11000, false, 500},   {12000, true, 100}, /* longer ahead than any process of ours can be */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t next;
        int64_t debt;
        mono_t now = at(0);
        bool admitted = limits_decide((uint64_t)(now.ns + cases[i].ahead * MS), ten, now, &next, &debt);

        assert_int_equal(admitted, cases[i].admitted);
        assert_int_equal(debt, cases[i].debt * MS);
        assert_int_equal(next, (uint64_t)(now.ns + debt));
    }
}

static void a_burst_is_let_in_and_then_the_rate(void **state)
{
    for (int i = 0; i < 5; i++)
        assert_true(take(7, 0));
    assert_false(take(7, 0));
    assert_false(take(7, 99.999));
    assert_true(take(7, 100));
    assert_false(take(7, 100));
    assert_true(take(7, 200));
    assert_true(take(7, 5000)); /* idle long since: five again, no more */
    for (int i = 0; i < 4; i++)
        assert_true(take(7, 5000));
    assert_false(take(7, 5000));
    assert_true(take(8, 5000)); /* another's */
}

static void looking_counts_nothing(void **state)
{
    for (int i = 0; i < 100; i++)
        assert_true(limits_look(l, 7, ten, at(0)).admitted);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(limits_look(l, 7, ten, at(0)).debt, i * 100 * MS);
        assert_int_equal(limits_take(l, 7, ten, at(0)).debt, (i + 1) * 100 * MS);
    }
    assert_false(limits_look(l, 7, ten, at(0)).admitted);
    assert_int_equal(limits_look(l, 7, ten, at(0)).debt, 500 * MS);
    assert_int_equal(limits_look(l, 7, ten, at(250)).debt, 250 * MS);
}

static void in_a_full_bucket_the_cell_nearest_to_idle_gives_way(void **state)
{
    for (uint64_t n = 0; n < LIMITS_BUCKET; n++) /* key n has n + 1 counted, but key 3 */
        for (uint64_t k = 0; k <= (n == 3 ? 0 : n % 4 + 1); k++)
            assert_false(limits_take(l, key_in(5, n), ten, at(0)).evicted);
    struct limits_answer answer = limits_take(l, key_in(5, 8), ten, at(1));
    assert_true(answer.admitted && answer.evicted);
    assert_int_equal(limits_look(l, key_in(5, 3), ten, at(1)).debt, 0); /* forgotten */
    assert_int_equal(limits_look(l, key_in(5, 7), ten, at(1)).debt, 499 * MS);
    assert_int_equal(limits_look(l, key_in(5, 8), ten, at(1)).debt, 100 * MS);
    /* Idle ones go without being counted: nothing is lost with them. */
    for (uint64_t n = 100; n < 100 + LIMITS_BUCKET; n++)
        assert_false(limits_take(l, key_in(5, n), ten, at(1000)).evicted);
    assert_true(limits_take(l, key_in(5, 200), ten, at(1000)).evicted);
}

static void what_a_broken_process_wrote_heals(void **state)
{
    struct limits_cell *bucket = l->cell[5];

    memset(bucket, 0xff, sizeof(l->cell[5]));
    assert_true(take(key_in(5, 1), 0));
    assert_true(take(key_in(5, 1), 0));
    for (unsigned i = 0; i < LIMITS_BUCKET; i++) /* later than any limit can owe */
        bucket[i] = (struct limits_cell){key_in(5, 50 + i), (uint64_t)at(0).ns + (uint64_t)DUR_S(40 * 86400).ns};
    for (uint64_t n = 0; n < LIMITS_BUCKET; n++)
        assert_false(limits_take(l, key_in(5, n), ten, at(0)).evicted);
    for (uint64_t n = 0; n < LIMITS_BUCKET; n++)
        assert_int_equal(limits_look(l, key_in(5, n), ten, at(0)).debt, 100 * MS);
    /* A key's own cell, with a time that its limit cannot owe: refused for no moment. */
    bucket[2] = (struct limits_cell){key_in(5, 9), (uint64_t)at(60000).ns};
    assert_true(take(key_in(5, 9), 0));
    assert_int_equal(limits_look(l, key_in(5, 9), ten, at(0)).debt, 100 * MS);
    srand(1);
    for (int round = 0; round < 2000; round++) { /* anything at all: bounded, and nothing beside the bucket changes */
        uint64_t before[2] = {l->cell[4][LIMITS_BUCKET - 1].arrival, l->cell[6][0].arrival};
        for (size_t i = 0; i < sizeof(l->cell[5]); i++)
            ((unsigned char *)bucket)[i] = (unsigned char)rand();
        take(key_in(5, 1), round);
        assert_true(l->cell[4][LIMITS_BUCKET - 1].arrival == before[0] && l->cell[6][0].arrival == before[1]);
    }
}

static void keys_of_two_limits_or_servers_are_apart(void **state)
{
    struct siphash_key other = {{l->seed.half[0] + 1, l->seed.half[1]}};
    uint64_t key = limits_key(l->seed, 1, SLICE("10.0.0.1"));

    assert_true(key == limits_key(l->seed, 1, SLICE("10.0.0.1")));
    assert_true(key != limits_key(l->seed, 2, SLICE("10.0.0.1")));
    assert_true(key != limits_key(l->seed, 1, SLICE("10.0.0.2")));
    assert_true(key != limits_key(other, 1, SLICE("10.0.0.1")));
    assert_true(limits_key(l->seed, 1, SLICE_NONE) != 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_decision_is_what_the_table_says, begin, end),
        cmocka_unit_test_setup_teardown(a_burst_is_let_in_and_then_the_rate, begin, end),
        cmocka_unit_test_setup_teardown(looking_counts_nothing, begin, end),
        cmocka_unit_test_setup_teardown(in_a_full_bucket_the_cell_nearest_to_idle_gives_way, begin, end),
        cmocka_unit_test_setup_teardown(what_a_broken_process_wrote_heals, begin, end),
        cmocka_unit_test_setup_teardown(keys_of_two_limits_or_servers_are_apart, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
