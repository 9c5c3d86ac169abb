/*
 * Promises of outbound: so many at once at each host, in turn; a circuit opens after failures in a row, lets one probe,
 * opens for longer when that fails and closes when it does not; hosts that are remembered are bounded.
 */
#include "base/panic.h"
#include "io/outbound.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

static struct loop *loop;
static struct outbound *o;
static const struct slice host = {"http://a:80", 11};

struct asker {
    struct outbound_wait wait;
    int turns, opens;
};

static void on_turn(struct outbound_wait *wait)
{
    struct asker *a = CONTAINER_OF(wait, struct asker, wait);
    a->turns += !wait->open;
    a->opens += wait->open;
}

static enum outbound_answer enter(struct asker *a, unsigned concurrency)
{
    *a = (struct asker){0};
    return outbound_enter(o, host, concurrency, &a->wait, on_turn);
}

static void leave(struct asker *a, enum outbound_outcome outcome)
{
    outbound_leave(o, &a->wait, outcome);
}

static void pass(void)
{
    loop_pass(loop, DUR_MS(0));
}

static int set_up(void **state)
{
    loop = loop_new();
    o = outbound_new(loop);
    return 0;
}

static int tear_down(void **state)
{
    outbound_free(&o);
    loop_free(&loop);
    return 0;
}

static void who_is_one_too_many_waits_its_turn(void **state)
{
    struct asker a, b, c, d;
    assert_int_equal(enter(&a, 2), OUTBOUND_GO);
    assert_int_equal(enter(&b, 2), OUTBOUND_GO);
    assert_int_equal(enter(&c, 2), OUTBOUND_WAIT);
    assert_int_equal(enter(&d, 2), OUTBOUND_WAIT);
    assert_int_equal(outbound_load(o, host), 4);
    leave(&a, OUTBOUND_GOOD);
    assert_int_equal(c.turns, 0); /* told from the loop only */
    pass();
    assert_int_equal(c.turns, 1);
    assert_int_equal(d.turns, 0);
    leave(&d, OUTBOUND_UNKNOWN); /* gave up waiting */
    leave(&b, OUTBOUND_GOOD);
    pass();
    assert_int_equal(d.turns, 0);
    leave(&c, OUTBOUND_GOOD);
    assert_int_equal(outbound_load(o, host), 0);
}

static void a_turn_that_is_owed_can_be_given_back(void **state)
{
    struct asker a, b, c;
    enter(&a, 1);
    assert_int_equal(enter(&b, 1), OUTBOUND_WAIT);
    assert_int_equal(enter(&c, 1), OUTBOUND_WAIT);
    leave(&a, OUTBOUND_GOOD);
    leave(&b, OUTBOUND_UNKNOWN); /* its turn was not told yet */
    pass();
    assert_int_equal(b.turns, 0);
    assert_int_equal(c.turns, 1);
    leave(&c, OUTBOUND_GOOD);
}

static void a_modest_one_holds_nobody_up(void **state)
{
    struct asker a, modest, c;
    enter(&a, 8);
    assert_int_equal(enter(&modest, 1), OUTBOUND_WAIT);
    assert_int_equal(enter(&c, 8), OUTBOUND_WAIT); /* behind it, for a moment */
    pass();
    assert_int_equal(c.turns, 1);
    assert_int_equal(modest.turns, 0);
    leave(&a, OUTBOUND_GOOD);
    pass();
    assert_int_equal(modest.turns, 0);
    leave(&c, OUTBOUND_GOOD);
    pass();
    assert_int_equal(modest.turns, 1);
    leave(&modest, OUTBOUND_GOOD);
}

static void fail_times(int count)
{
    for (int i = 0; i < count; i++) {
        struct asker a;
        assert_int_equal(enter(&a, 8), OUTBOUND_GO);
        leave(&a, OUTBOUND_FAILED);
    }
}

static void a_success_between_keeps_the_circuit_closed(void **state)
{
    struct asker a;
    fail_times(OUTBOUND_FAILURES - 1);
    enter(&a, 8);
    leave(&a, OUTBOUND_GOOD);
    fail_times(OUTBOUND_FAILURES - 1);
    assert_false(outbound_is_open(o, host));
    enter(&a, 8);
    leave(&a, OUTBOUND_UNKNOWN);
    assert_false(outbound_is_open(o, host));
}

/* The clock of the loop is real: the first time is waited out. */
static void wait_out(void)
{
    mono_t until = outbound_open_until(o, host);
    while (mono_before(loop_now(loop), until))
        loop_pass(loop, mono_since(until, mono_now()));
    pass();
}

static void a_circuit_opens_and_one_may_probe(void **state)
{
    struct asker before, a, b;
    enter(&before, 8); /* under way all the time */
    fail_times(OUTBOUND_FAILURES);
    assert_true(outbound_is_open(o, host));
    assert_int_equal(enter(&a, 8), OUTBOUND_OPEN);
    wait_out();
    assert_false(outbound_is_open(o, host));
    assert_int_equal(enter(&a, 8), OUTBOUND_GO);
    assert_int_equal(enter(&b, 8), OUTBOUND_OPEN); /* one only */
    leave(&a, OUTBOUND_UNKNOWN);                   /* cancelled: another may */
    assert_int_equal(enter(&a, 8), OUTBOUND_GO);
    mono_t first = outbound_open_until(o, host);
    leave(&a, OUTBOUND_FAILED);
    assert_true(mono_since(outbound_open_until(o, host), first).ns >= 2 * OUTBOUND_OPEN_LEAST.ns);
    assert_int_equal(enter(&a, 8), OUTBOUND_OPEN);
    leave(&before, OUTBOUND_GOOD); /* it works after all */
    assert_int_equal(enter(&a, 8), OUTBOUND_GO);
    leave(&a, OUTBOUND_GOOD);
}

static void an_answer_that_has_begun_is_a_success_whatever_its_end(void **state)
{
    struct asker a, b;
    fail_times(OUTBOUND_FAILURES - 1);
    enter(&a, 8);
    outbound_answered(o, &a.wait);
    outbound_answered(o, &a.wait);
    fail_times(OUTBOUND_FAILURES - 1);
    leave(&a, OUTBOUND_FAILED);
    assert_false(outbound_is_open(o, host));
    fail_times(1);
    assert_true(outbound_is_open(o, host));
    wait_out();
    assert_int_equal(enter(&a, 8), OUTBOUND_GO);
    assert_int_equal(enter(&b, 8), OUTBOUND_OPEN);
    outbound_answered(o, &a.wait); /* the probe */
    assert_int_equal(enter(&b, 8), OUTBOUND_GO);
    leave(&a, OUTBOUND_FAILED);
    assert_false(outbound_is_open(o, host));
    leave(&b, OUTBOUND_UNKNOWN);
    assert_int_equal(enter(&a, 8), OUTBOUND_GO); /* another turn, another judgement */
    fail_times(OUTBOUND_FAILURES - 1);
    leave(&a, OUTBOUND_FAILED);
    assert_true(outbound_is_open(o, host));
}

static void who_waits_hears_that_it_opened(void **state)
{
    struct asker a, b;
    fail_times(OUTBOUND_FAILURES - 1);
    enter(&a, 1);
    assert_int_equal(enter(&b, 1), OUTBOUND_WAIT);
    leave(&a, OUTBOUND_FAILED);
    pass();
    assert_int_equal(b.turns, 0);
    assert_int_equal(b.opens, 1);
    leave(&b, OUTBOUND_UNKNOWN); /* does no harm */
    assert_int_equal(outbound_load(o, host), 0);
}

static void hosts_are_bounded_and_the_oldest_goes(void **state)
{
    struct asker busy, a;
    char name[32];
    struct slice first = SLICE("http://first:80");
    enter(&busy, 8);
    *(&a) = (struct asker){0};
    outbound_enter(o, first, 8, &a.wait, on_turn);
    leave(&a, OUTBOUND_GOOD);
    assert_true(outbound_last_asked(o, first) > 0);
    for (int i = 0; i < 3 * OUTBOUND_HOSTS_MAX; i++) {
        int len = snprintf(name, sizeof(name), "http://h%d:80", i);
        a = (struct asker){0};
        assert_int_equal(outbound_enter(o, (struct slice){name, (size_t)len}, 8, &a.wait, on_turn), OUTBOUND_GO);
        leave(&a, OUTBOUND_GOOD);
    }
    assert_int_equal(outbound_hosts(o), OUTBOUND_HOSTS_MAX);
    assert_int_equal(outbound_load(o, host), 1);        /* in use: it stays */
    assert_int_equal(outbound_last_asked(o, first), 0); /* forgotten */
    leave(&busy, OUTBOUND_GOOD);
}

static void with_all_hosts_in_use_there_is_no_room(void **state)
{
    static struct asker all[OUTBOUND_HOSTS_MAX];
    struct asker more = {0};
    char name[32];
    for (int i = 0; i < OUTBOUND_HOSTS_MAX; i++) {
        int len = snprintf(name, sizeof(name), "http://h%d:80", i);
        all[i] = (struct asker){0};
        assert_int_equal(outbound_enter(o, (struct slice){name, (size_t)len}, 8, &all[i].wait, on_turn), OUTBOUND_GO);
    }
    assert_int_equal(outbound_enter(o, host, 8, &more.wait, on_turn), OUTBOUND_FULL);
    for (int i = 0; i < OUTBOUND_HOSTS_MAX; i++)
        leave(&all[i], OUTBOUND_GOOD);
    assert_int_equal(outbound_enter(o, host, 8, &more.wait, on_turn), OUTBOUND_GO);
    leave(&more, OUTBOUND_GOOD);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_is_one_too_many_waits_its_turn),
        TEST(a_turn_that_is_owed_can_be_given_back),
        TEST(a_modest_one_holds_nobody_up),
        TEST(a_success_between_keeps_the_circuit_closed),
        TEST(an_answer_that_has_begun_is_a_success_whatever_its_end),
        TEST(a_circuit_opens_and_one_may_probe),
        TEST(who_waits_hears_that_it_opened),
        TEST(hosts_are_bounded_and_the_oldest_goes),
        TEST(with_all_hosts_in_use_there_is_no_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
