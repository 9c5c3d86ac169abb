/*
 * test_body_memory.c: workers that take memory for bodies at the same time: together they never hold more than the
 * limit, a refusal leaves nothing behind, small bodies have a quarter more, and an address its share.
 */
#include "shm/body_memory.h"
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define WORKERS 4u
#define ROUNDS 100000u
#define LIMIT ((uint64_t)1 << 20)
#define LARGE (BODY_MEMORY_SMALL + 1)

struct fixture {
    struct area *area;
    int fd;
};

static int setup(void **state)
{
    static struct fixture f;
    f.area = area_new(&f.fd, NULL);
    assert_non_null(f.area);
    area_use(f.area, WORKERS - 1);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    area_free(&f->area);
    close(f->fd);
    return 0;
}

static void the_limit_is_reached_and_not_passed(void **state)
{
    struct fixture *f = *state;
    struct body_memory a, b;
    body_memory_open(&a, f->area, 0, LIMIT);
    body_memory_open(&b, f->area, 1, LIMIT);
    assert_true(body_memory_take(&a, LIMIT - 100, LARGE));
    assert_false(body_memory_take(&b, 101, LARGE));
    assert_int_equal(b.own, 0);
    assert_int_equal(body_memory_sum(&b), LIMIT - 100);
    assert_true(body_memory_take(&b, 100, LARGE));
    assert_true(body_memory_take(&b, LIMIT / 4, BODY_MEMORY_SMALL)); /* a small one has a quarter more */
    assert_false(body_memory_take(&a, 1, BODY_MEMORY_SMALL));
    body_memory_give(&b, 100 + LIMIT / 4);
    body_memory_give(&a, LIMIT - 100);
    assert_int_equal(body_memory_sum(&a), 0);
}

static void a_word_that_lies_counts_as_the_limit(void **state)
{
    struct fixture *f = *state;
    struct body_memory a;
    body_memory_open(&a, f->area, 0, LIMIT);
    atomic_store(&f->area->body_memory[1], UINT64_MAX);
    assert_int_equal(body_memory_sum(&a), LIMIT);
    assert_false(body_memory_take(&a, 1, LARGE));
    assert_int_equal(atomic_load(&f->area->body_memory[0]), 0);
}

static void an_address_has_its_share_at_all_workers_together(void **state)
{
    struct fixture *f = *state;
    struct body_memory a, b;
    struct body_charge one = {.peer = 7}, two = {.peer = 7}, other = {.peer = 8}, nobody = {.peer = 0};
    body_memory_open(&a, f->area, 0, LIMIT);
    body_memory_open(&b, f->area, 1, LIMIT);
    body_memory_share(&a, LIMIT / 2);
    body_memory_share(&b, LIMIT / 2);
    assert_true(body_memory_charge(&a, &one, LIMIT / 4, 0));
    assert_true(body_memory_charge(&b, &two, LARGE, 0));
    assert_true(body_memory_charge(&b, &two, LIMIT / 4, 0)); /* grows: only the difference counts */
    assert_false(body_memory_charge(&a, &one, LIMIT / 4 + 1, 0));
    assert_false(body_memory_charge(&a, &one, LIMIT / 4 + 2048, 1024));
    assert_int_equal(one.kib, LIMIT / 4 >> 10);
    assert_true(body_memory_charge(&a, &one, LIMIT / 4 + 2048, 2048)); /* so much beyond it */
    body_memory_discharge(&a, &one, LIMIT / 4);
    assert_true(body_memory_charge(&a, &other, LIMIT / 2, 0));
    assert_true(body_memory_charge(&a, &nobody, LIMIT, 0)); /* no address, no share */

    struct body_charge small = {.peer = 7}, more = {.peer = 7};
    assert_true(body_memory_charge(&a, &small, BODY_MEMORY_SMALL, 0)); /* a quarter more for these */
    assert_true(body_memory_charge(&a, &more, BODY_MEMORY_SMALL, 0));
    struct body_charge last = {.peer = 7}, forced = {.peer = 7};
    assert_false(body_memory_charge(&b, &last, 1, 0));
    assert_true(body_memory_charge(&b, &forced, 1, BODY_MEMORY_MUST));
    body_memory_discharge(&b, &forced, 0);
    body_memory_discharge(&a, &more, 0);
    body_memory_discharge(&a, &small, 0);
    body_memory_discharge(&b, &two, 1);
    assert_int_equal(two.kib, 1);
    assert_true(body_memory_charge(&a, &one, LIMIT / 2 - 1024, 0));
    body_memory_discharge(&a, &one, 0);
    body_memory_discharge(&b, &two, 0);
    assert_true(body_memory_charge(&b, &two, LIMIT / 2, 0)); /* all of it is there again */
    area_reset_worker(f->area, 1);                           /* also by its worker's death */
    assert_true(body_memory_charge(&a, &one, LIMIT / 2, 0));
}

static void a_share_as_large_as_the_limit_refuses_nobody(void **state)
{
    struct fixture *f = *state;
    struct body_memory m;
    struct body_charge c = {.peer = 7};
    body_memory_open(&m, f->area, 0, LIMIT);
    assert_true(body_memory_charge(&m, &c, 2 * LIMIT, 0));
    body_memory_share(&m, LIMIT);
    assert_true(body_memory_charge(&m, &c, 3 * LIMIT, 0));
}

/* --- at the same time --------------------------------------------------------------------------------------------- */

struct account { /* of what was granted; in memory that all of them share */
    _Atomic uint64_t held, granted, refused;
    _Atomic unsigned passed, left_behind; /* what must not be */
};

struct worker {
    struct area *area;
    uint32_t slot;
    struct account *account;
};

static void keep_a_moment(struct body_memory *m, uint64_t n, struct account *account)
{
    account->granted++;
    if (atomic_fetch_add(&account->held, n) + n > LIMIT)
        account->passed++;
    if (n % 4 == 0)
        sched_yield(); /* the others meet it */
    atomic_fetch_sub(&account->held, n);
    body_memory_give(m, n);
}

/* Takes up to the limit: any two of the larger ones are too much. */
static void *take_and_give(void *cookie)
{
    const struct worker *w = cookie;
    struct body_memory m;
    uint64_t random = 88172645463325252u + w->slot;
    body_memory_open(&m, w->area, w->slot, LIMIT);
    for (unsigned i = 0; i < ROUNDS; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        uint64_t n = (random >> 33) % LIMIT + 1;
        if (body_memory_take(&m, n, LARGE))
            keep_a_moment(&m, n, w->account);
        else
            w->account->refused++;
        if (m.own != 0 || atomic_load(&w->area->body_memory[w->slot]) != 0)
            w->account->left_behind++;
    }
    return NULL;
}

static void expect_sound(const struct fixture *f, const struct account *account)
{
    struct body_memory m;
    assert_int_equal(account->passed, 0);
    assert_int_equal(account->left_behind, 0);
    assert_true(account->granted > 0 && account->refused > 0);
    assert_int_equal(account->granted + account->refused, WORKERS * ROUNDS);
    body_memory_open(&m, f->area, 0, LIMIT);
    assert_int_equal(body_memory_sum(&m), 0);
}

static void threads_that_take_at_the_same_time_never_hold_more_than_the_limit(void **state)
{
    struct fixture *f = *state;
    struct account account = {0};
    struct worker workers[WORKERS];
    pthread_t threads[WORKERS];
    for (uint32_t i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker){f->area, i, &account};
        pthread_create(&threads[i], NULL, take_and_give, &workers[i]);
    }
    for (uint32_t i = 0; i < WORKERS; i++)
        pthread_join(threads[i], NULL);
    expect_sound(f, &account);
}

/* As in life. The account lies in the area, where nothing else is written here. */
static void processes_neither(void **state)
{
    struct fixture *f = *state;
    struct account *account = (struct account *)(void *)f->area->worker[WORKERS].words;
    pid_t pids[WORKERS];
    for (uint32_t i = 0; i < WORKERS; i++)
        if ((pids[i] = fork()) == 0) {
            take_and_give(&(struct worker){f->area, i, account});
            _exit(0);
        }
    for (uint32_t i = 0; i < WORKERS; i++) {
        int status = -1;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    expect_sound(f, account);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_limit_is_reached_and_not_passed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_word_that_lies_counts_as_the_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(an_address_has_its_share_at_all_workers_together, setup, teardown),
        cmocka_unit_test_setup_teardown(a_share_as_large_as_the_limit_refuses_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(threads_that_take_at_the_same_time_never_hold_more_than_the_limit, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(processes_neither, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
