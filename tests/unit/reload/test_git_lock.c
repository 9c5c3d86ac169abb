/*
 * test_git_lock.c: promises: a git command under way is waited for, a lock that a crashed one left is not, and the log
 * says so once; where the clock was set nobody knows how old a lock is, so it is waited for.
 */
#include "base/log.h"
#include "reload/git_lock.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    char root[64], hooks[96], git[96], lock[128];
    struct git_lock held;
    unsigned warnings;
};

static void on_line(void *cookie, const struct log_line *line)
{
    struct fixture *f = cookie;
    f->warnings += line->level == LOG_WARN;
}

static int setup(void **state)
{
    static struct fixture f;
    f = (struct fixture){.root = "/tmp/crescent-git-XXXXXX"};
    assert_non_null(mkdtemp(f.root));
    snprintf(f.hooks, sizeof(f.hooks), "%s/deep", f.root);
    assert_int_equal(mkdir(f.hooks, 0700), 0);
    snprintf(f.hooks, sizeof(f.hooks), "%s/deep/hooks", f.root);
    snprintf(f.git, sizeof(f.git), "%s/.git", f.root);
    snprintf(f.lock, sizeof(f.lock), "%s/index.lock", f.git);
    assert_int_equal(mkdir(f.hooks, 0700), 0);
    assert_int_equal(mkdir(f.git, 0700), 0);
    git_lock_init(&f.held, f.hooks);
    log_open(STDERR_FILENO, LOG_WARN, "test", LOG_PLAIN);
    log_divert(on_line, &f);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    log_divert(NULL, NULL);
    unlink(f->lock);
    rmdir(f->git);
    rmdir(f->hooks);
    *strrchr(f->hooks, '/') = '\0';
    rmdir(f->hooks);
    return rmdir(f->root);
}

/* Negative: in the future. */
static void make_lock(const struct fixture *f, int seconds_old)
{
    int fd = open(f->lock, O_WRONLY | O_CREAT, 0600);
    int64_t at = wall_now().ns - (int64_t)seconds_old * 1000000000;
    const struct timespec times[2] = {{.tv_nsec = UTIME_NOW}, {.tv_sec = at / 1000000000, .tv_nsec = at % 1000000000}};
    assert_int_equal(futimens(fd, times), 0);
    close(fd);
}

static void a_fresh_lock_is_held(void **state)
{
    struct fixture *f = *state;
    assert_false(git_lock_is_held(&f->held));
    make_lock(f, 0);
    assert_true(git_lock_is_held(&f->held));
    make_lock(f, 8);
    assert_true(git_lock_is_held(&f->held));
    make_lock(f, -3600);
    assert_true(git_lock_is_held(&f->held));
    unlink(f->lock);
    assert_false(git_lock_is_held(&f->held));
    assert_int_equal(f->warnings, 0);
}

static void an_old_one_is_not_and_that_is_told_once_while_it_stays(void **state)
{
    struct fixture *f = *state;
    make_lock(f, 12);
    for (unsigned i = 0; i < 3; i++)
        assert_false(git_lock_is_held(&f->held));
    assert_int_equal(f->warnings, 1);
    unlink(f->lock);
    assert_false(git_lock_is_held(&f->held));
    make_lock(f, 0);
    assert_true(git_lock_is_held(&f->held));
    make_lock(f, 3600);
    assert_false(git_lock_is_held(&f->held));
    assert_int_equal(f->warnings, 2);
}

static void after_a_step_of_the_clock_no_lock_is_stale_for_a_while(void **state)
{
    struct fixture *f = *state;
    make_lock(f, 3600);
    f->held.offset -= DUR_S(3600).ns; /* as if the wall clock had been set forward since */
    assert_true(git_lock_is_held(&f->held));
    assert_true(git_lock_is_held(&f->held));
    f->held.set.ns -= DUR_S(11).ns;
    assert_false(git_lock_is_held(&f->held));
    f->held.offset += DUR_S(3600).ns; /* and back */
    assert_true(git_lock_is_held(&f->held));
}

static void a_folder_in_no_repository_has_no_lock(void **state)
{
    struct fixture *f = *state;
    make_lock(f, 0);
    struct git_lock other;
    git_lock_init(&other, "/nonexistent/hooks");
    assert_false(git_lock_is_held(&other));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_fresh_lock_is_held, setup, teardown),
        cmocka_unit_test_setup_teardown(an_old_one_is_not_and_that_is_told_once_while_it_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(after_a_step_of_the_clock_no_lock_is_stale_for_a_while, setup, teardown),
        cmocka_unit_test_setup_teardown(a_folder_in_no_repository_has_no_lock, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
