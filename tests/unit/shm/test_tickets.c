/*
 * test_tickets.c: promises: a key has its period, the one before it is kept, older ones are gone; a reader never sees
 * half of one, whatever the writer does meanwhile; no value in the memory brings a reader or the writer down.
 */
#include "shm/tickets.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static mono_t at(int64_t hours)
{
    return (mono_t){1 + hours * DUR_S(3600).ns};
}

static bool same(const struct tickets_key *a, const struct tickets_key *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

static void keys_follow_each_other_by_the_clock(void **unused)
{
    struct tickets t = {0};
    struct tickets_view first = {0}, second, third;

    assert_false(tickets_look(&t, &first));
    assert_true(tickets_rotate(&t, at(0)));
    assert_true(tickets_look(&t, &first));
    assert_false(first.has_previous);
    assert_false(tickets_rotate(&t, at(0)));
    assert_false(tickets_rotate(&t, (mono_t){at(12).ns - 1}));
    assert_true(tickets_rotate(&t, at(12)));
    second = first;
    assert_true(tickets_look(&t, &second));
    assert_true(second.has_previous);
    assert_true(same(&second.previous, &first.newest));
    assert_false(same(&second.newest, &first.newest));
    assert_false(tickets_rotate(&t, at(23)));
    assert_true(tickets_rotate(&t, at(100))); /* after a long sleep, too, once */
    assert_false(tickets_rotate(&t, at(100)));
    third = second;
    assert_true(tickets_look(&t, &third));
    assert_true(same(&third.previous, &second.newest));
}

static void old_keys_are_wiped(void **unused)
{
    struct tickets t = {0};
    struct tickets_view seen[4] = {{0}};

    for (int i = 0; i < 4; i++) {
        assert_true(tickets_rotate(&t, at(12 * i)));
        assert_true(tickets_look(&t, &seen[i]));
    }
    for (int i = 0; i < 2; i++)
        for (size_t k = 0; k < sizeof(t.key) / sizeof(t.key[0]); k++)
            assert_int_not_equal(memcmp(&t.key[k], &seen[i].newest, sizeof(seen[i].newest)), 0);
}

static void no_value_brings_anyone_down(void **unused)
{
    struct tickets t = {0};
    struct tickets_view view = {0}, before;

    memset(&t, 0xff, sizeof(t)); /* by a broken worker; the next version is 0 */
    assert_true(tickets_look(&t, &view));
    assert_true(tickets_rotate(&t, at(0)) || !tickets_rotate(&t, at(0)));
    memset(&t, 0, sizeof(t));
    before = view;
    assert_true(tickets_look(&t, &view)); /* what it had it keeps */
    assert_memory_equal(&view, &before, sizeof(view));
    assert_true(tickets_rotate(&t, at(0)));
    atomic_store(&t.made_at, at(1000).ns);
    assert_true(tickets_rotate(&t, at(1))); /* a time to come is no reason never to change */
}

static struct tickets shared;
static _Atomic bool over; /* shared with the threads of one test */

static void *read_all(void *failed)
{
    struct tickets_view last = {0};
    static const struct tickets_key none;

    while (!atomic_load(&over)) {
        struct tickets_view now = last;
        if (!tickets_look(&shared, &now))
            continue;
        bool good = now.version >= last.version && !same(&now.newest, &none);
        if (now.version == last.version)
            good = good && same(&now.newest, &last.newest);
        else if (now.version == last.version + 1 && last.version != 0)
            good = good && same(&now.previous, &last.newest);
        if (now.has_previous)
            good = good && !same(&now.previous, &none);
        if (!good)
            *(bool *)failed = true;
        last = now;
    }
    return NULL;
}

static void a_reader_never_sees_half_a_key(void **unused)
{
    bool failed[2] = {false, false};
    pthread_t readers[2];

    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_all, &failed[i]), 0);
    for (int i = 0; i < 20000; i++)
        assert_true(tickets_rotate(&shared, at(12 * (i + 1))));
    atomic_store(&over, true);
    for (int i = 0; i < 2; i++) {
        pthread_join(readers[i], NULL);
        assert_false(failed[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_follow_each_other_by_the_clock),
        cmocka_unit_test(old_keys_are_wiped),
        cmocka_unit_test(no_value_brings_anyone_down),
        cmocka_unit_test(a_reader_never_sees_half_a_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
