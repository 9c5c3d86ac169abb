/*
 * test_told.c: what the log says of scripts and env values, and the counter of errors: each thing once, "fixed" when it
 * is, and never of what did not change.
 */
#include "fake.h"
#include <sys/mman.h>

static int told_fd; /* the log */

static int setup(void **state)
{
    assert_int_equal(fake_setup(state), 0);
    told_fd = memfd_create("log", MFD_CLOEXEC);
    assert_true(told_fd != -1);
    log_open(told_fd, LOG_INFO, "test", LOG_JSON_LINES);
    return 0;
}

static int teardown(void **state)
{
    int result = fake_teardown(state);
    log_open(STDERR_FILENO, LOG_OFF, "test", LOG_JSON_LINES);
    close(told_fd);
    return result;
}

/* How many lines have both words in them. */
static size_t told(const char *message, const char *also)
{
    char text[16384];
    ssize_t len = pread(told_fd, text, sizeof(text), 0);
    assert_true(len >= 0 && len < (ssize_t)sizeof(text));
    struct slice rest = {text, (size_t)len}, line;
    size_t count = 0;
    while (slice_cut(&rest, '\n', &line)) {
        char *one = slice_dup(line);
        count += strstr(one, message) != NULL && strstr(one, also) != NULL;
        free(one);
    }
    return count;
}

static uint64_t errors(const struct fake *f)
{
    return counters_get(&f->area->keeper, COUNTER_reload_errors);
}

/* Two that want one route: a has it. */
static void begin_clash(struct fake *f)
{
    fake_write(f, "a.lua", "route=/x");
    fake_write(f, "b.lua", "route=/x");
    fake_write(f, "other.lua", "first");
    fake_begin_keeper(f, -1, 0);
    assert_true(fake_flip(f));
    assert_int_equal(told("script broken", "\"b.lua\""), 1);
    assert_int_equal(errors(f), 1);
}

static void serve_first(struct fake *f)
{
    fake_write(f, "a.lua", "first");
    fake_begin_keeper(f, -1, 0);
    assert_true(fake_flip(f));
}

static void a_clash_is_told_once_whatever_else_changes(void **state)
{
    struct fake *f = *state;
    begin_clash(f);
    for (int i = 0; i < 3; i++) {
        fake_write(f, "other.lua", i % 2 == 0 ? "second" : "first");
        assert_true(fake_flip(f));
    }
    fake_write(f, "new.lua", "new");
    assert_true(fake_flip(f));
    fake_write(f, "new.lua", "BAD");
    assert_true(fake_flip(f));
    f->env_value = "two";
    fake_write(f, "../.env", "NAME=two");
    assert_true(fake_flip(f));
    fake_run(f, 100);
    assert_int_equal(told("script broken", "\"b.lua\""), 1);
    assert_int_equal(told("script fixed", ""), 0);
    assert_int_equal(errors(f), 2); /* new.lua's, too */
    fake_expect_text(f, "b", NULL);
}

static void a_clash_that_ends_is_told_as_fixed(void **state)
{
    struct fake *f = *state;
    begin_clash(f);
    fake_write(f, "a.lua", "route=/y");
    assert_true(fake_flip(f));
    fake_expect_text(f, "b", "route=/x");
    assert_int_equal(told("script fixed", "\"b.lua\""), 1);
    assert_int_equal(told("script fixed", ""), 1);
    assert_int_equal(errors(f), 1);
    fake_write(f, "a.lua", "route=/x"); /* and the other way round */
    assert_true(fake_flip(f));
    fake_expect_text(f, "b", "route=/x");
    assert_int_equal(told("script broken", "\"a.lua\""), 1);
    fake_write(f, "b.lua", "route=/z");
    assert_true(fake_flip(f));
    fake_expect_text(f, "a", "route=/x");
    assert_int_equal(told("script fixed", "\"a.lua\""), 1);
    assert_int_equal(told("script fixed", ""), 2);
    assert_int_equal(errors(f), 2);
}

/* A save of it is answered, be the answer as before. */
static void what_still_clashes_is_not_fixed_by_a_save(void **state)
{
    struct fake *f = *state;
    begin_clash(f);
    fake_write(f, "b.lua", "route=/x again");
    assert_true(fake_flip(f));
    assert_int_equal(told("script broken", "\"b.lua\""), 2);
    fake_write(f, "b.lua", "BAD");
    assert_true(fake_flip(f));
    assert_int_equal(told("script broken", "bad text"), 1);
    fake_write(f, "b.lua", "route=/x"); /* loads again, and clashes as before */
    assert_true(fake_flip(f));
    assert_int_equal(told("script broken", "\"b.lua\""), 4);
    assert_int_equal(told("script fixed", ""), 0);
    fake_write(f, "b.lua", "route=/b");
    assert_true(fake_flip(f));
    assert_int_equal(told("script fixed", "\"b.lua\""), 1);
    assert_int_equal(errors(f), 4);
}

/* Its route of before is served meanwhile. */
static void one_that_fell_back_is_fixed_when_its_newest_is_live(void **state)
{
    struct fake *f = *state;
    fake_write(f, "a.lua", "route=/x");
    fake_write(f, "b.lua", "route=/y");
    fake_begin_keeper(f, -1, 0);
    assert_true(fake_flip(f));
    fake_write(f, "b.lua", "route=/x");
    assert_true(fake_flip(f));
    fake_expect_text(f, "b", "route=/y");
    fake_write(f, "c.lua", "unrelated");
    assert_true(fake_flip(f));
    assert_int_equal(told("script broken", "\"b.lua\""), 1);
    assert_int_equal(told("script fixed", ""), 0);
    fake_write(f, "b.lua", "route=/y"); /* what is live */
    assert_true(fake_flip(f));
    assert_int_equal(told("script fixed", "\"b.lua\""), 1);
    assert_int_equal(errors(f), 1);
    assert_null(reload_script_at(f->reload, 1).error);
}

/* The trial finds no fault, workers do, each time that all is tried. */
static void what_breaks_in_prepare_again_is_no_news(void **state)
{
    struct fake *f = *state;
    serve_first(f);
    fake_write(f, "a.lua", "SLOW");
    assert_true(fake_flip(f));
    assert_int_equal(told("script broken", "too slow here"), 1);
    f->env_value = "two";
    fake_write(f, "../.env", "NAME=two");
    assert_true(fake_flip(f));
    fake_run(f, 100);
    assert_int_equal(told("script broken", ""), 1);
    assert_int_equal(told("script fixed", ""), 0);
    assert_int_equal(errors(f), 1);
    assert_true(slice_equal(fake_script(f, "a")->error, SLICE("too slow here")));
    fake_write(f, "a.lua", "second");
    assert_true(fake_flip(f));
    assert_int_equal(told("script fixed", "a.lua"), 1);
    assert_null(fake_script(f, "a")->error.at);
}

/* A new keeper has what is known from the snapshot. */
static void a_new_keeper_tells_no_clash_again_and_sees_its_end(void **state)
{
    struct fake *f = *state;
    begin_clash(f);
    reload_free(&f->reload);
    fake_begin_keeper(f, dup(f->snapshot_fd), f->flipped);
    fake_run(f, 100);
    fake_write(f, "other.lua", "second");
    assert_true(fake_flip(f));
    assert_int_equal(told("script broken", "\"b.lua\""), 1);
    assert_int_equal(told("script fixed", ""), 0);
    assert_int_equal(errors(f), 1);
    fake_remove(f, "a.lua");
    assert_true(fake_flip(f));
    fake_run(f, 100);
    fake_expect_text(f, "b", "route=/x");
    assert_int_equal(told("script fixed", "\"b.lua\""), 1);
}

static void a_fault_of_env_is_told_once_for_each_reason(void **state)
{
    struct fake *f = *state;
    serve_first(f);
    f->env_fault = ".env:1: no assignment";
    fake_write(f, "../.env", "noise");
    fake_run(f, 300);
    assert_int_equal(told("env values cannot be read", ".env:1: no assignment"), 1);
    fake_write(f, "a.lua", "second");
    fake_run(f, 300);
    assert_int_equal(told("env values cannot be read", ""), 1);
    assert_int_equal(told("script broken", "\"a.lua\""), 1);
    f->env_fault = ".env:2: no assignment";
    fake_write(f, "../.env", "\nnoise");
    fake_run(f, 300);
    assert_int_equal(told("env values cannot be read", ".env:2: no assignment"), 1);
    assert_int_equal(told("env values can be read again", ""), 0);
    f->env_fault = NULL;
    f->env_value = "two";
    fake_write(f, "../.env", "NAME=two");
    assert_true(fake_flip(f));
    fake_run(f, 100);
    assert_int_equal(told("env values can be read again", ""), 1);
    assert_int_equal(told("script fixed", "\"a.lua\""), 1);
    fake_expect_text(f, "a", "second");
    f->env_fault = ".env:2: no assignment"; /* and this is another time */
    fake_write(f, "../.env", "\nnoise");
    fake_run(f, 300);
    assert_int_equal(told("env values cannot be read", ".env:2: no assignment"), 2);
}

static void save_while_env_is_broken(struct fake *f)
{
    serve_first(f);
    f->env_fault = ".env:1: no assignment";
    fake_write(f, "../.env", "noise");
    fake_run(f, 100);
    fake_write(f, "a.lua", "second");
    assert_true(fake_flip(f));
    fake_expect_text(f, "a", "first");
}

/* The values are those that there were: but a script was saved meanwhile. */
static void what_was_saved_while_env_was_broken_is_live_when_it_is_mended(void **state)
{
    struct fake *f = *state;
    save_while_env_is_broken(f);
    f->env_fault = NULL;
    fake_write(f, "../.env", "NAME=one");
    fake_run(f, 1000);
    fake_expect_text(f, "a", "second");
    assert_int_equal(told("script fixed", "\"a.lua\""), 1);
}

/* To ask for values concerns no route. */
static void a_fault_of_env_changes_nothing_about_a_clash(void **state)
{
    struct fake *f = *state;
    begin_clash(f);
    f->env_fault = ".env:1: no assignment";
    fake_write(f, "../.env", "noise");
    fake_run(f, 300);
    f->env_fault = NULL;
    fake_write(f, "../.env", "NAME=one");
    fake_run(f, 300);
    assert_int_equal(told("script broken", "\"b.lua\""), 1);
    assert_int_equal(told("script fixed", ""), 0);
}

/* And where the keeper has died meanwhile: the next one sees no change of the values, nor of the script. */
static void what_was_saved_while_env_was_broken_is_live_under_the_next_keeper(void **state)
{
    struct fake *f = *state;
    save_while_env_is_broken(f);
    reload_free(&f->reload);
    f->env_fault = NULL;
    fake_write(f, "../.env", "NAME=one");
    fake_begin_keeper(f, dup(f->snapshot_fd), f->flipped);
    fake_run(f, 1000);
    fake_expect_text(f, "a", "second");
    assert_int_equal(told("script fixed", "\"a.lua\""), 1);
}

static void a_fault_of_env_at_the_start_ends_with_it(void **state)
{
    struct fake *f = *state;
    f->env_fault = ".env:1: no assignment";
    fake_write(f, "a.lua", "first");
    fake_write(f, "../.env", "noise");
    fake_begin_keeper(f, -1, 0);
    assert_true(fake_flip(f));
    fake_expect_text(f, "a", NULL);
    f->env_fault = NULL;
    fake_write(f, "../.env", "NAME=one");
    fake_run(f, 300);
    fake_expect_text(f, "a", "first");
    assert_int_equal(told("env values cannot be read", ""), 1);
    assert_int_equal(told("env values can be read again", ""), 1);
    assert_int_equal(told("script fixed", "\"a.lua\""), 1);
}

#define PROMISE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROMISE(a_clash_is_told_once_whatever_else_changes),
        PROMISE(a_clash_that_ends_is_told_as_fixed),
        PROMISE(what_still_clashes_is_not_fixed_by_a_save),
        PROMISE(one_that_fell_back_is_fixed_when_its_newest_is_live),
        PROMISE(what_breaks_in_prepare_again_is_no_news),
        PROMISE(a_new_keeper_tells_no_clash_again_and_sees_its_end),
        PROMISE(a_fault_of_env_is_told_once_for_each_reason),
        PROMISE(what_was_saved_while_env_was_broken_is_live_when_it_is_mended),
        PROMISE(what_was_saved_while_env_was_broken_is_live_under_the_next_keeper),
        PROMISE(a_fault_of_env_changes_nothing_about_a_clash),
        PROMISE(a_fault_of_env_at_the_start_ends_with_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
