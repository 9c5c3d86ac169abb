/*
 * Promises of timeouts: each fires once, never early, in the order of their times, whatever was set, moved and cleared.
 */
#include "base/panic.h"
#include "io/timeout.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define MANY 500

struct one {
    struct timeout t;
    mono_t at;
    bool expected, fired;
};

static struct one ones[MANY]; /* static: the callback has no other way to the whole */
static mono_t last;
static unsigned fired_count;

static void fired(struct timeout *t)
{
    struct one *o = CONTAINER_OF(t, struct one, t);
    assert_false(timeout_is_set(t));
    assert_true(o->expected && !o->fired);
    assert_false(mono_before(mono_now(), o->at));
    assert_false(mono_before(o->at, last));
    last = o->at;
    o->fired = true;
    fired_count++;
}

static void many_fire_in_order_and_never_early(void **state)
{
    struct loop *l = loop_new();
    mono_t now = mono_now();
    unsigned expected = 0;
    srand(7);
    for (int i = 0; i < MANY; i++) {
        ones[i].at = mono_add(now, DUR_MS(1 + rand() % 40));
        timeout_set(l, &ones[i].t, ones[i].at, fired);
    }
    for (int i = 0; i < MANY; i += 3) { /* moved, in both directions */
        ones[i].at = mono_add(now, DUR_MS(1 + rand() % 40));
        timeout_set(l, &ones[i].t, ones[i].at, fired);
    }
    for (int i = 0; i < MANY; i++) {
        ones[i].expected = rand() % 4 != 0;
        expected += ones[i].expected;
        if (!ones[i].expected) {
            timeout_clear(&ones[i].t);
            timeout_clear(&ones[i].t);
        }
    }
    while (mono_before(mono_now(), mono_add(now, DUR_MS(60))))
        loop_pass(l, DUR_MS(10));
    assert_int_equal(fired_count, expected);
    loop_free(&l);
}

static struct timeout *victim;

static void clears_victim(struct timeout *t)
{
    timeout_clear(victim);
}

static void must_not(struct timeout *t)
{
    fail();
}

static void one_that_is_cleared_by_another_does_not_fire(void **state)
{
    struct loop *l = loop_new();
    struct timeout a = {0}, b = {0};
    mono_t now = mono_now();
    victim = &b;
    timeout_set(l, &a, now, clears_victim);
    timeout_set(l, &b, mono_add(now, (dur_t){1}), must_not);
    usleep(1000);
    loop_pass(l, DUR_MS(1));
    assert_false(timeout_is_set(&b));
    loop_free(&l);
}

struct again {
    struct timeout t;
    struct loop *loop;
    unsigned fired;
};

static void sets_itself_again(struct timeout *t)
{
    struct again *a = CONTAINER_OF(t, struct again, t);
    a->fired++;
    timeout_set(a->loop, t, (mono_t){0}, sets_itself_again);
}

static void one_that_is_always_due_lets_the_pass_end(void **state)
{
    struct loop *l = loop_new();
    struct again a = {.loop = l};
    timeout_set(l, &a.t, (mono_t){0}, sets_itself_again);
    loop_pass(l, DUR_S(5));
    assert_int_equal(a.fired, 1);
    loop_pass(l, DUR_S(5));
    assert_int_equal(a.fired, 2);
    timeout_clear(&a.t);
    loop_free(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_fire_in_order_and_never_early),
        cmocka_unit_test(one_that_is_cleared_by_another_does_not_fire),
        cmocka_unit_test(one_that_is_always_due_lets_the_pass_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
