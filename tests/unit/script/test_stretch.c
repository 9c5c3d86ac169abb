/*
 * Promises of stretches to the loop: each is a thing of its own that others wait for; a generation that is prepared is
 * one thing, however many scripts it has.
 */
#include "base/panic.h"
#include "harness.h"
#include "script/stretch.h"

struct bench {
    struct loop_later later;
    struct loop *loop;
    struct state *state;
    bool preparing;
    dur_t lag;
};

static void run_three(struct loop_later *later)
{
    struct bench *b = CONTAINER_OF(later, struct bench, later);
    loop_now(b->loop);
    for (int i = 0; i < 3; i++) {
        stretch_begin(b->state, "x", 1, DUR_S(1), b->preparing);
        for (mono_t until = mono_add(mono_now(), DUR_MS(60)); mono_before(mono_now(), until);)
            ;
        assert_false(stretch_end(b->state));
    }
    b->lag = loop_lag(b->loop);
}

static dur_t lag_of_three(bool preparing)
{
    struct loop *l = loop_new();
    const struct script_host world = {.loop = l, .memory = 16 << 20, .sandbox = true};
    struct error err;
    struct bench b = {.loop = l, .state = state_new(&world, open_globals, &err), .preparing = preparing};
    assert_non_null(b.state);
    loop_later_init(&b.later, run_three);
    loop_later(l, &b.later);
    loop_pass(l, DUR_MS(0));
    state_free(&b.state);
    loop_free(&l);
    return b.lag;
}

static void stretches_wait_for_each_other(void **state)
{
    assert_true(lag_of_three(false).ns >= DUR_MS(100).ns);
}

static void scripts_that_are_prepared_are_one_thing(void **state)
{
    assert_true(lag_of_three(true).ns < DUR_MS(30).ns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stretches_wait_for_each_other),
        cmocka_unit_test(scripts_that_are_prepared_are_one_thing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
