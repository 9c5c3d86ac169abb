/*
 * Promises of the pool: every job runs once, away from the loop's thread, and is told once, on it; many jobs at once
 * and jobs that are submitted again from `done` lose nothing; a job that waits holds up neither the loop nor the jobs
 * of other threads; helper threads take no signal; a long queue is said to be full, and is worked off nevertheless.
 */
#include "base/panic.h"
#include "io/pool.h"
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static struct loop *loop;
static struct pool *pool;
static pthread_t loop_thread;

static int set_up(void **state)
{
    loop = loop_new();
    pool = pool_new(loop);
    loop_thread = pthread_self();
    return 0;
}

static int tear_down(void **state)
{
    pool_free(&pool);
    assert_null(pool);
    pool_free(&pool);
    loop_free(&loop);
    return 0;
}

struct counted {
    struct pool_job job;
    int ran, told, rounds; /* plain: the pool's hand-over must order them */
    bool elsewhere, blocked;
};
static int all_told;

static void run(struct pool_job *job)
{
    struct counted *c = CONTAINER_OF(job, struct counted, job);
    sigset_t mask;
    c->ran++;
    c->elsewhere = !pthread_equal(pthread_self(), loop_thread);
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    c->blocked =
        sigismember(&mask, SIGTERM) == 1 && sigismember(&mask, SIGPROF) == 1 && sigismember(&mask, SIGXFSZ) == 1;
}

static void done(struct pool_job *job)
{
    struct counted *c = CONTAINER_OF(job, struct counted, job);
    assert_true(pthread_equal(pthread_self(), loop_thread));
    c->told++;
    assert_int_equal(c->ran, c->told);
    if (c->told < c->rounds)
        assert_int_equal(pool_submit(pool, job, NULL), 0);
    else
        all_told++;
}

static void every_job_runs_once_a_round_and_is_told_on_the_loop(void **state)
{
    enum { JOBS = 500, ROUNDS = 20 };
    struct counted *jobs = calloc(JOBS, sizeof(*jobs));
    all_told = 0;
    for (int i = 0; i < JOBS; i++) {
        jobs[i] = (struct counted){.job = {.run = run, .done = done}, .rounds = ROUNDS};
        assert_int_equal(pool_submit(pool, &jobs[i].job, NULL), 0);
        assert_int_equal(jobs[i].told, 0); /* never inside the call */
    }
    while (all_told < JOBS)
        loop_pass(loop, DUR_S(5));
    for (int i = 0; i < JOBS; i++) {
        assert_int_equal(jobs[i].ran, ROUNDS);
        assert_int_equal(jobs[i].told, ROUNDS);
        assert_true(jobs[i].elsewhere);
        assert_true(jobs[i].blocked);
    }
    loop_pass(loop, DUR_MS(1));
    assert_int_equal(all_told, JOBS);
    free(jobs);
}

struct stuck {
    struct pool_job job;
    int pipe[2];
};
static int stuck_told;

static void run_stuck(struct pool_job *job)
{
    struct stuck *s = CONTAINER_OF(job, struct stuck, job);
    char byte;
    CHECK(read(s->pipe[0], &byte, 1) == 1);
}

static void done_stuck(struct pool_job *job)
{
    stuck_told++;
    free(job); /* the asker's memory, given back in `done`: asan sees a second time, and a leak */
}

static void a_stuck_job_holds_up_no_other_and_not_the_loop(void **state)
{
    struct stuck *s = calloc(1, sizeof(*s));
    stuck_told = 0;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    *s = (struct stuck){.job = {.run = run_stuck, .done = done_stuck}, .pipe = {ends[0], ends[1]}};
    assert_int_equal(pool_submit(pool, &s->job, NULL), 0);
    struct counted other = {.job = {.run = run, .done = done}, .rounds = 100};
    all_told = 0;
    assert_int_equal(pool_submit(pool, &other.job, NULL), 0);
    while (all_told == 0)
        loop_pass(loop, DUR_S(5));
    assert_int_equal(stuck_told, 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    while (stuck_told == 0)
        loop_pass(loop, DUR_S(5));
    close(ends[0]);
    close(ends[1]);
}

static void a_long_queue_is_full_and_is_worked_off(void **state)
{
    enum { STUCK = 8, JOBS = 1000 };
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    for (int i = 0; i < STUCK; i++) { /* more than there are threads */
        struct stuck *s = calloc(1, sizeof(*s));
        *s = (struct stuck){.job = {.run = run_stuck, .done = done_stuck}, .pipe = {ends[0], ends[1]}};
        assert_int_equal(pool_submit(pool, &s->job, NULL), 0);
    }
    struct counted *jobs = calloc(JOBS, sizeof(*jobs));
    all_told = stuck_told = 0;
    assert_false(pool_full(pool));
    for (int i = 0; i < JOBS; i++) {
        jobs[i] = (struct counted){.job = {.run = run, .done = done}, .rounds = 1};
        assert_int_equal(pool_submit(pool, &jobs[i].job, NULL), 0);
    }
    assert_true(pool_full(pool));
    assert_int_equal(write(ends[1], "xxxxxxxx", STUCK), STUCK);
    while (all_told < JOBS || stuck_told < STUCK)
        loop_pass(loop, DUR_S(5));
    assert_false(pool_full(pool));
    free(jobs);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_job_runs_once_a_round_and_is_told_on_the_loop, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_stuck_job_holds_up_no_other_and_not_the_loop, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_long_queue_is_full_and_is_worked_off, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
