/*
 * test_reload.c: the promises of reload/: a change goes live, what is broken keeps its last good version, deletion is
 * gone, modules touch their scripts, one route has one script, a new keeper finds what is there.
 */
#include "fake.h"

static void a_folder_goes_live(void **state)
{
    struct fake *f = *state;
    fake_write(f, "a.lua", "first");
    fake_write(f, "b.lua", "second");
    fake_begin_keeper(f, -1, 0);
    assert_false(reload_is_live(f->reload));
    assert_true(fake_flip(f));
    assert_true(reload_is_live(f->reload));
    assert_int_equal(atomic_load(area_generation(f->area)), f->flipped);
    assert_int_equal(f->snapshot.script_count, 2);
    fake_expect_text(f, "a", "first");
    fake_expect_text(f, "b", "second");
}

static void an_empty_folder_goes_live(void **state)
{
    struct fake *f = *state;
    fake_begin_keeper(f, -1, 0);
    assert_true(fake_flip(f));
    assert_int_equal(f->snapshot.script_count, 0);
}

static void a_save_is_live_and_alone_is_tried(void **state)
{
    struct fake *f = *state;
    fake_write(f, "a.lua", "first");
    fake_write(f, "b.lua", "second");
    fake_begin_keeper(f, -1, 0);
    assert_true(fake_flip(f));
    uint64_t version_a = fake_script(f, "a")->version, version_b = fake_script(f, "b")->version;
    f->tried = 0;
    fake_write(f, "a.lua", "changed");
    assert_true(fake_flip(f));
    assert_int_equal(f->tried, 1);
    fake_expect_text(f, "a", "changed");
    assert_true(fake_script(f, "a")->version > version_a);
    assert_int_equal(fake_script(f, "b")->version, version_b);
}

static void the_same_text_again_is_no_generation(void **state)
{
    struct fake *f = *state;
    fake_write(f, "a.lua", "first");
    fake_begin_keeper(f, -1, 0);
    assert_true(fake_flip(f));
    uint64_t generation = f->flipped;
    fake_write(f, "a.lua", "first");
    fake_run(f, 150);
    assert_int_equal(f->flipped, generation);
}

/* Who saves in place truncates first; a look between must not take the file for one without a text. */
static void a_file_emptied_a_moment_ago_is_not_believed(void **state)
{
    struct fake *f = *state;
    char lib[256];
    snprintf(lib, sizeof(lib), "%s/_lib", f->hooks);
    assert_int_equal(mkdir(lib, 0755), 0);
    fake_write(f, "a.lua", "first");
    fake_write(f, "_lib/m.lua", "module");
    fake_begin_keeper(f, -1, 0);
    assert_true(fake_flip(f));
    fake_run(f, 2500); /* the stamps have settled */
    f->tried = 0;
    fake_write(f, "a.lua", "");
    fake_write(f, "_lib/m.lua", "");
    fake_run(f, 200);
    assert_int_equal(f->tried, 0);
    fake_expect_text(f, "a", "first");
    fake_run(f, 4500); /* but it is what it is, if it stays so */
    assert_true(f->tried > 0);
}

static void a_broken_save_keeps_the_last_good(void **state)
{
    struct fake *f = *state;
    fake_write(f, "a.lua", "first");
    fake_begin_keeper(f, -1, 0);
    assert_true(fake_flip(f));
    fake_write(f, "a.lua", "BAD");
    assert_true(fake_flip(f));
    fake_expect_text(f, "a", "first");
    assert_true(slice_equal(fake_script(f, "a")->newer, SLICE("BAD")));
    assert_true(slice_equal(fake_script(f, "a")->error, SLICE("bad text")));
    assert_string_equal(reload_script_at(f->reload, 0).error, "bad text");
    assert_int_equal(counters_get(&f->area->keeper, COUNTER_reload_errors), 1);
    uint64_t version = fake_script(f, "a")->version;
    fake_write(f, "a.lua", "first"); /* taken back: the same version serves on */
    assert_true(fake_flip(f));
    assert_null(fake_script(f, "a")->error.at);
    assert_int_equal(fake_script(f, "a")->version, version);
}

static void a_script_that_never_loaded_has_no_text(void **state)
{
    struct fake *f = *state;
    fake_write(f, "a.lua", "BAD");
    fake_begin_keeper(f, -1, 0);
    assert_true(fake_flip(f));
    fake_expect_text(f, "a", NULL);
    assert_false(reload_script_at(f->reload, 0).live);
}

static void deletion_is_gone(void **state)
{
    struct fake *f = *state;
    fake_write(f, "a.lua", "first");
    fake_write(f, "b.lua", "second");
    fake_begin_keeper(f, -1, 0);
    assert_true(fake_flip(f));
    fake_remove(f, "a.lua");
    assert_true(fake_flip(f));
    assert_null(fake_script(f, "a"));
    assert_int_equal(reload_script_count(f->reload), 1);
}

static void one_that_ends_the_trial_hurts_no_other(void **state)
{
    struct fake *f = *state;
    fake_write(f, "a.lua", "first");
    fake_write(f, "b.lua", "KILL");
    fake_write(f, "c.lua", "third");
    fake_begin_keeper(f, -1, 0);
    assert_true(fake_flip(f));
    assert_int_equal(f->trials, 2);
    fake_expect_text(f, "a", "first");
    fake_expect_text(f, "b", NULL);
    fake_expect_text(f, "c", "third");
    assert_non_null(strstr(reload_script_at(f->reload, 1).error, "killed"));
}

static void a_module_touches_its_scripts_only(void **state)
{
    struct fake *f = *state;
    char lib[128];
    snprintf(lib, sizeof(lib), "%s/_lib", f->hooks);
    assert_int_equal(mkdir(lib, 0755), 0);
    fake_write(f, "_lib/low.lua", "low");
    fake_write(f, "_lib/high.lua", "use=_lib.low");
    fake_write(f, "a.lua", "use=_lib.high");
    fake_write(f, "b.lua", "second");
    fake_begin_keeper(f, -1, 0);
    assert_true(fake_flip(f));
    assert_int_equal(fake_script(f, "a")->module_count, 2);
    uint64_t before = fake_script(f, "a")->version;
    f->tried = 0;
    fake_write(f, "_lib/low.lua", "low, changed"); /* required by what `a` requires */
    assert_true(fake_flip(f));
    assert_int_equal(f->tried, 1);
    assert_true(fake_script(f, "a")->version > before);
    fake_write(f, "_lib/low.lua", "BAD"); /* `a` keeps the module of its last good load */
    assert_true(fake_flip(f));
    assert_non_null(fake_script(f, "a")->error.at);
    assert_int_equal(fake_script(f, "a")->module_count, 2);
    bool kept = false;
    for (size_t i = 0; i < f->snapshot.module_count; i++)
        kept = kept || slice_equal(f->snapshot.modules[i].text, SLICE("low, changed"));
    assert_true(kept);
    fake_write(f, "_lib/low.lua", "low, mended");
    assert_true(fake_flip(f));
    assert_null(fake_script(f, "a")->error.at);
}

static void a_missing_module_that_comes_mends_its_script(void **state)
{
    struct fake *f = *state;
    char lib[128];
    fake_write(f, "a.lua", "use=_lib.late");
    fake_begin_keeper(f, -1, 0);
    assert_true(fake_flip(f));
    fake_expect_text(f, "a", NULL);
    snprintf(lib, sizeof(lib), "%s/_lib", f->hooks);
    assert_int_equal(mkdir(lib, 0755), 0); /* a folder that was not watched before */
    fake_write(f, "_lib/late.lua", "here");
    assert_true(fake_flip(f));
    fake_expect_text(f, "a", "use=_lib.late");
}

static void the_live_one_keeps_its_route(void **state)
{
    struct fake *f = *state;
    fake_write(f, "m.lua", "route=/x");
    fake_begin_keeper(f, -1, 0);
    assert_true(fake_flip(f));
    fake_write(f, "a.lua", "route=/x"); /* first in byte order, but new */
    assert_true(fake_flip(f));
    fake_expect_text(f, "m", "route=/x");
    fake_expect_text(f, "a", NULL);
    assert_non_null(strstr(reload_script_at(f->reload, 0).error, "a.lua"));
    assert_non_null(strstr(reload_script_at(f->reload, 0).error, "m.lua"));
    fake_remove(f, "m.lua"); /* the route is free now */
    assert_true(fake_flip(f));
    fake_expect_text(f, "a", "route=/x");
}

static void at_first_the_first_in_order_has_the_route(void **state)
{
    struct fake *f = *state;
    fake_write(f, "a.lua", "route=/x");
    fake_write(f, "b.lua", "route=/x");
    fake_begin_keeper(f, -1, 0);
    assert_true(fake_flip(f));
    fake_expect_text(f, "a", "route=/x");
    fake_expect_text(f, "b", NULL);
}

static void two_scripts_can_swap_their_routes(void **state)
{
    struct fake *f = *state;
    fake_write(f, "a.lua", "route=/x");
    fake_write(f, "b.lua", "route=/y");
    fake_begin_keeper(f, -1, 0);
    assert_true(fake_flip(f));
    fake_write(f, "a.lua", "route=/y");
    fake_write(f, "b.lua", "route=/x");
    assert_true(fake_flip(f));
    fake_expect_text(f, "a", "route=/y");
    fake_expect_text(f, "b", "route=/x");
}

static void a_refused_newcomer_takes_no_route_from_others(void **state)
{
    struct fake *f = *state;
    fake_write(f, "a.lua", "route=/x");
    fake_write(f, "b.lua", "route=/y");
    fake_begin_keeper(f, -1, 0);
    assert_true(fake_flip(f));
    fake_write(f, "a.lua", "route=/y"); /* clashes with b once b falls back */
    fake_write(f, "b.lua", "BAD");
    assert_true(fake_flip(f));
    fake_expect_text(f, "a", "route=/x");
    fake_expect_text(f, "b", "route=/y");
}

static void what_breaks_in_prepare_never_goes_live(void **state)
{
    struct fake *f = *state;
    fake_write(f, "a.lua", "first");
    fake_begin_keeper(f, -1, 0);
    assert_true(fake_flip(f));
    fake_write(f, "a.lua", "SLOW");
    assert_true(fake_flip(f));
    fake_expect_text(f, "a", "first");
    assert_true(slice_equal(fake_script(f, "a")->error, SLICE("too slow here")));
}

static void a_worker_killed_in_prepare_breaks_the_script_for_all(void **state)
{
    struct fake *f = *state;
    fake_write(f, "a.lua", "first");
    fake_begin_keeper(f, -1, 0);
    assert_true(fake_flip(f));
    f->deaf = true;
    fake_write(f, "a.lua", "second");
    unsigned prepares = f->prepares;
    while (f->prepares == prepares)
        loop_pass(f->loop, DUR_MS(2));
    const struct message_died died = {.slot = 0,
                                      .incarnation = 1,
                                      .preparing = 1,
                                      .script = SLICE("a"),
                                      .script_version = fake_script(f, "a")->version};
    f->deaf = false;
    reload_worker_died(f->reload, 0, &died);
    assert_true(fake_flip(f));
    fake_expect_text(f, "a", "first");
    assert_non_null(fake_script(f, "a")->error.at);
}

/* No worker is left that could prepare: the flip alone can save the next one. */
static void a_live_script_that_kills_workers_as_they_start_goes_back(void **state)
{
    struct fake *f = *state;
    fake_write(f, "a.lua", "first");
    fake_begin_keeper(f, -1, 0);
    assert_true(fake_flip(f));
    fake_write(f, "a.lua", "second");
    assert_true(fake_flip(f));
    f->deaf = true;
    for (uint32_t w = 0; w < FAKE_WORKERS; w++) {
        const struct message_died died = {.slot = w,
                                          .incarnation = 1,
                                          .preparing = 1,
                                          .script = SLICE("a"),
                                          .script_version = fake_script(f, "a")->version};
        reload_worker_left(f->reload, w);
        reload_worker_died(f->reload, w, &died);
    }
    assert_true(fake_flip(f));
    fake_expect_text(f, "a", "first");
    assert_non_null(fake_script(f, "a")->error.at);
}

static void one_death_of_a_live_script_is_forgiven(void **state)
{
    struct fake *f = *state;
    fake_write(f, "a.lua", "first");
    fake_begin_keeper(f, -1, 0);
    assert_true(fake_flip(f));
    const struct message_died died = {
        .incarnation = 1, .preparing = 1, .script = SLICE("a"), .script_version = fake_script(f, "a")->version};
    reload_worker_died(f->reload, 0, &died);
    fake_run(f, 100);
    assert_null(reload_script_at(f->reload, 0).error);
}

static void a_worker_that_stands_still_holds_nobody_up_for_long(void **state)
{
    struct fake *f = *state;
    fake_write(f, "a.lua", "first");
    fake_begin_keeper(f, -1, 0);
    assert_true(fake_flip(f));
    f->deaf = true;
    fake_write(f, "a.lua", "second");
    unsigned prepares = f->prepares;
    while (f->prepares == prepares)
        loop_pass(f->loop, DUR_MS(2));
    mono_t began = mono_now();
    struct message_prepared m = {.generation = f->snapshot.generation, .incarnation = 1};
    reload_prepared(f->reload, 1, &m);
    assert_true(fake_flip(f));
    int64_t ms = mono_since(mono_now(), began).ns / 1000000;
    assert_in_range(ms, 300, 900);
}

static void without_a_prepared_worker_nothing_flips(void **state)
{
    struct fake *f = *state;
    fake_write(f, "a.lua", "first");
    fake_begin_keeper(f, -1, 0);
    assert_true(fake_flip(f));
    f->deaf = true;
    uint64_t generation = f->flipped;
    fake_write(f, "a.lua", "second");
    fake_run(f, 800);
    assert_int_equal(f->flipped, generation);
    struct message_prepared stale = {.generation = f->snapshot.generation, .incarnation = 7};
    reload_prepared(f->reload, 1, &stale); /* of another life */
    fake_run(f, 100);
    assert_int_equal(f->flipped, generation);
}

static void changed_env_values_try_every_script(void **state)
{
    struct fake *f = *state;
    fake_write(f, "a.lua", "first");
    fake_write(f, "b.lua", "second");
    fake_begin_keeper(f, -1, 0);
    assert_true(fake_flip(f));
    uint64_t version = fake_script(f, "b")->version;
    f->env_value = "two";
    fake_write(f, "../.env", "NAME=two\n");
    assert_true(fake_flip(f));
    assert_true(fake_script(f, "b")->version > version);
    assert_int_equal(f->snapshot.env_count, 1);
    assert_true(slice_equal(f->snapshot.envs[0].values[0], SLICE("two")));
}

static void write_env(struct fake *f, const char *text)
{
    int fd = open(f->env_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(fd_write_all(fd, slice_of(text)), 0);
    close(fd);
}

/* The file may change once more within the tick of its clock: it is read again later. Where there is none, nothing is.
 */
static void values_are_asked_for_again_only_where_a_file_has_them(void **state)
{
    struct fake *f = *state;
    fake_write(f, "a.lua", "first");
    fake_begin_keeper(f, -1, 0);
    assert_true(fake_flip(f));
    assert_int_equal(f->trials, 1);
    fake_run(f, 2500);
    assert_int_equal(f->trials, 1);
    write_env(f, "NAME=one\n");
    fake_run(f, 500);
    assert_true(f->trials >= 2);
    fake_run(f, 4500);
    unsigned trials = f->trials;
    assert_in_range(trials, 3, 5); /* once; or until it has stood for longer than a tick */
    fake_run(f, 2500);
    assert_int_equal(f->trials, trials);
}

static void a_change_during_a_round_is_the_next_round(void **state)
{
    struct fake *f = *state;
    fake_write(f, "a.lua", "first");
    fake_begin_keeper(f, -1, 0);
    assert_true(fake_flip(f));
    f->deaf = true;
    fake_write(f, "a.lua", "second");
    unsigned prepares = f->prepares;
    while (f->prepares == prepares)
        loop_pass(f->loop, DUR_MS(2));
    fake_write(f, "a.lua", "third");
    fake_run(f, 60);
    f->deaf = false;
    fake_prepare(f, f->snapshot.generation);
    assert_true(fake_flip(f));
    fake_run(f, 60);
    fake_expect_text(f, "a", "third");
}

static void a_new_keeper_knows_what_was_live_and_what_was_broken(void **state)
{
    struct fake *f = *state;
    fake_write(f, "a.lua", "first");
    fake_write(f, "b.lua", "good");
    fake_begin_keeper(f, -1, 0);
    assert_true(fake_flip(f));
    fake_write(f, "b.lua", "BAD");
    assert_true(fake_flip(f));
    uint64_t generation = f->flipped, version = fake_script(f, "a")->version;
    reload_free(&f->reload); /* it dies */
    f->tried = 0;
    fake_begin_keeper(f, dup(f->snapshot_fd), generation);
    assert_true(reload_is_live(f->reload));
    fake_run(f, 150);
    assert_int_equal(f->tried, 0);            /* nothing changed: nothing is evaluated, */
    assert_int_equal(f->flipped, generation); /* nothing published, */
    assert_int_equal(counters_get(&f->area->keeper, COUNTER_reload_errors), 1); /* no error told twice */
    assert_string_equal(reload_script_at(f->reload, 1).error, "bad text");
    fake_write(f, "b.lua", "better");
    assert_true(fake_flip(f));
    fake_expect_text(f, "b", "better");
    assert_int_equal(fake_script(f, "a")->version, version);
}

static void a_new_keeper_sees_what_changed_without_one(void **state)
{
    struct fake *f = *state;
    fake_write(f, "a.lua", "first");
    fake_write(f, "b.lua", "second");
    fake_begin_keeper(f, -1, 0);
    assert_true(fake_flip(f));
    reload_free(&f->reload);
    fake_write(f, "a.lua", "while nobody looked");
    fake_remove(f, "b.lua");
    f->env_value = "two";
    fake_begin_keeper(f, dup(f->snapshot_fd), f->flipped);
    assert_true(fake_flip(f));
    fake_run(f, 100);
    fake_expect_text(f, "a", "while nobody looked");
    assert_null(fake_script(f, "b"));
    assert_true(slice_equal(f->snapshot.envs[0].values[0], SLICE("two")));
}

/* A folder that leads back, beside a script of that name, and a module whose name cannot be. */
static void a_folder_that_is_not_read_is_told_and_is_no_script(void **state)
{
    struct fake *f = *state;
    char place[256];
    snprintf(place, sizeof(place), "%s/_lib", f->hooks);
    assert_int_equal(mkdir(place, 0755), 0);
    snprintf(place, sizeof(place), "%s/s", f->hooks);
    assert_int_equal(symlink(".", place), 0);
    fake_write(f, "s.lua", "first");
    fake_write(f, "_lib/a.b.lua", "module");
    fake_begin_keeper(f, -1, 0);
    assert_true(fake_flip(f));
    assert_int_equal(reload_script_count(f->reload), 1);
    assert_null(reload_script_at(f->reload, 0).error);
    assert_int_equal(reload_unreadable_count(f->reload), 2);
    assert_int_equal(counters_get(&f->area->keeper, COUNTER_reload_errors), 2);
    fake_remove(f, "s");
    fake_write(f, "s.lua", "second");
    assert_true(fake_flip(f));
    fake_expect_text(f, "s", "second");
    assert_int_equal(reload_unreadable_count(f->reload), 1);
    assert_int_equal(counters_get(&f->area->keeper, COUNTER_reload_errors), 2);
}

static void a_folder_that_cannot_be_read_changes_nothing(void **state)
{
    struct fake *f = *state;
    char away[128];
    fake_write(f, "a.lua", "first");
    fake_begin_keeper(f, -1, 0);
    assert_true(fake_flip(f));
    uint64_t generation = f->flipped;
    snprintf(away, sizeof(away), "%s/away", f->root);
    assert_int_equal(rename(f->hooks, away), 0);
    fake_run(f, 150);
    assert_int_equal(f->flipped, generation);
    assert_int_equal(reload_script_count(f->reload), 1);
    assert_int_equal(reload_unreadable_count(f->reload), 1);
    assert_int_equal(mkdir(f->hooks, 0755), 0); /* back, as another folder */
    fake_write(f, "c.lua", "new");
    assert_true(fake_flip(f));
    fake_run(f, 100);
    assert_null(fake_script(f, "a"));
    fake_expect_text(f, "c", "new");
}

#define PROMISE(f) cmocka_unit_test_setup_teardown(f, fake_setup, fake_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROMISE(a_folder_goes_live),
        PROMISE(an_empty_folder_goes_live),
        PROMISE(a_save_is_live_and_alone_is_tried),
        PROMISE(the_same_text_again_is_no_generation),
        PROMISE(a_file_emptied_a_moment_ago_is_not_believed),
        PROMISE(a_broken_save_keeps_the_last_good),
        PROMISE(a_script_that_never_loaded_has_no_text),
        PROMISE(deletion_is_gone),
        PROMISE(one_that_ends_the_trial_hurts_no_other),
        PROMISE(a_module_touches_its_scripts_only),
        PROMISE(a_missing_module_that_comes_mends_its_script),
        PROMISE(the_live_one_keeps_its_route),
        PROMISE(at_first_the_first_in_order_has_the_route),
        PROMISE(two_scripts_can_swap_their_routes),
        PROMISE(a_refused_newcomer_takes_no_route_from_others),
        PROMISE(what_breaks_in_prepare_never_goes_live),
        PROMISE(a_worker_killed_in_prepare_breaks_the_script_for_all),
        PROMISE(a_live_script_that_kills_workers_as_they_start_goes_back),
        PROMISE(one_death_of_a_live_script_is_forgiven),
        PROMISE(a_worker_that_stands_still_holds_nobody_up_for_long),
        PROMISE(without_a_prepared_worker_nothing_flips),
        PROMISE(changed_env_values_try_every_script),
        PROMISE(values_are_asked_for_again_only_where_a_file_has_them),
        PROMISE(a_change_during_a_round_is_the_next_round),
        PROMISE(a_new_keeper_knows_what_was_live_and_what_was_broken),
        PROMISE(a_new_keeper_sees_what_changed_without_one),
        PROMISE(a_folder_that_is_not_read_is_told_and_is_no_script),
        PROMISE(a_folder_that_cannot_be_read_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
