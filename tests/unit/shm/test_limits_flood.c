/*
 * test_limits_flood.c: a million keys take no more memory than the table; a flood of names frees nobody.
 */
#include "limits_table.h"

#ifdef __SANITIZE_THREAD__ /* keeps several times as much beside all memory that was touched */
#define SHADOWS 8
#else
#define SHADOWS 1
#endif

static size_t resident(void)
{
    unsigned long all = 0, now = 0;
    FILE *f = fopen("/proc/self/statm", "r");

    assert_non_null(f);
    assert_int_equal(fscanf(f, "%lu %lu", &all, &now), 2);
    fclose(f);
    return now * (size_t)sysconf(_SC_PAGESIZE);
}

static void a_million_keys_take_no_more_than_the_table(void **state)
{
    size_t before = resident(), after_first = 0;
    unsigned refused = 0;
    char text[32];

    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 1000000; i++) {
            int len = snprintf(text, sizeof(text), "%d.%d", round, i);
            struct slice key = {text, (size_t)len};
            refused += !limits_take(l, limits_key(l->seed, 1, key), ten, at(round)).admitted;
        }
        if (round == 0)
            after_first = resident();
    }
    assert_int_equal(refused, 0); /* nobody is taken for somebody else */
    assert_true(after_first - before <= SHADOWS * sizeof(*l) + ((size_t)1 << 20));
    assert_true(resident() - before <= SHADOWS * sizeof(*l) + ((size_t)1 << 20));
}

/* Who asks too often stays limited while strangers ask under so many names that the table is full all the time. */
static void a_flood_of_names_frees_nobody_who_asks_too_often(void **state)
{
    struct limits_rate rate = {10000 * MS, 100000 * MS}; /* six a minute, ten at once */
    unsigned admitted = 0, evicted = 0;
    char text[32];

    for (int i = 0; i < 4000000; i++) { /* in 20 s: two million names are in use at any time */
        double ms = i / 200.0;
        int len = snprintf(text, sizeof(text), "flood %d", i);
        uint64_t key = limits_key(l->seed, 1, (struct slice){text, (size_t)len});
        evicted += limits_take(l, key, rate, at(ms)).evicted;
        if (i % 2000 == 0) /* a hundred a second */
            admitted += limits_take(l, limits_key(l->seed, 1, SLICE("eager")), rate, at(ms)).admitted;
    }
    assert_true(evicted > 1000000);
    assert_in_range(admitted, 11, 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_million_keys_take_no_more_than_the_table, begin, end),
        cmocka_unit_test_setup_teardown(a_flood_of_names_frees_nobody_who_asks_too_often, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
