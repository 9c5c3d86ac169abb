/*
 * test_waiting.c: the promises of a trial that is started before it is known what it shall try.
 */
#include "fake.h"

static void begin(struct fake *f)
{
    fake_write(f, "a.lua", "first");
    fake_begin_keeper(f, -1, 0);
    assert_true(fake_flip(f));
}

static void expect_waiting(struct fake *f)
{
    for (mono_t end = mono_add(mono_now(), DUR_S(3)); !fake_waits(f) && mono_before(mono_now(), end);)
        loop_pass(f->loop, DUR_MS(2));
    assert_true(fake_waits(f));
}

/* A process takes about as long to start as a change to come to rest. */
static void a_trial_starts_as_a_script_is_written(void **state)
{
    struct fake *f = *state;
    begin(f);
    unsigned started = f->started, trials = f->trials;
    fake_write(f, "a.lua", "changed");
    expect_waiting(f);
    assert_int_equal(f->trials, trials);
    assert_true(fake_flip(f));
    fake_expect_text(f, "a", "changed");
    assert_int_equal(f->started, started + 1);
}

static void one_that_has_nothing_to_try_ends_and_no_other_starts_at_once(void **state)
{
    struct fake *f = *state;
    begin(f);
    unsigned started = f->started, trials = f->trials;
    for (int i = 0; i < 5; i++) {
        fake_write(f, "a.lua", "first");
        fake_run(f, 60);
        assert_false(fake_waits(f));
    }
    assert_int_equal(f->started, started + 1);
    assert_int_equal(f->trials, trials);
    fake_write(f, "a.lua", "changed");
    assert_true(fake_flip(f));
    fake_expect_text(f, "a", "changed");
    assert_int_equal(f->started, started + 2);
}

static void one_that_dies_as_it_waits_costs_nothing(void **state)
{
    struct fake *f = *state;
    begin(f);
    fake_write(f, "a.lua", "changed");
    expect_waiting(f);
    fake_trial_ends(f);
    reload_trial_ended(f->reload, f->trial, SIGKILL);
    unsigned started = f->started;
    fake_write(f, "a.lua", "changed again"); /* with the next one */
    assert_true(fake_flip(f));
    fake_expect_text(f, "a", "changed again");
    assert_int_equal(f->started, started + 1);
}

#define PROMISE(f) cmocka_unit_test_setup_teardown(f, fake_setup, fake_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        PROMISE(a_trial_starts_as_a_script_is_written),
        PROMISE(one_that_has_nothing_to_try_ends_and_no_other_starts_at_once),
        PROMISE(one_that_dies_as_it_waits_costs_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
