/*
 * test_limits_shared.c: the cells of rate limits between threads and processes: together they admit just the limit,
 * also while some of them are killed; however many begin with a key at once, it has one cell.
 */
#include "shm/limits.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define THREADS 4
#define MS INT64_C(1000000)

struct shared {
    struct limits limits;
    _Atomic uint64_t admitted[16]; /* of each process or thread */
    int64_t first[2];              /* when a key came out of idleness */
    _Atomic unsigned evicted;
    _Atomic unsigned idle[2]; /* how often it was idle again */
    _Atomic bool stop;
};

static struct shared *s;

static int begin(void **state)
{
    s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (s == MAP_FAILED)
        return -1;
    limits_seed(&s->limits);
    return 0;
}

static int end(void **state)
{
    return munmap(s, sizeof(*s));
}

/* Of every `step`-th one, from `from` on. */
static uint64_t sum(size_t from, size_t step)
{
    uint64_t all = 0;
    for (size_t i = from; i < 16; i += step)
        all += atomic_load(&s->admitted[i]);
    return all;
}

static void pause_ms(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * MS};
    nanosleep(&t, NULL);
}

/* --- threads on the real clock ----------------------------------------------------------------------------------- */

/* 2,000 a second: all together ask far more often. Two seconds of it, so that nothing is lost while nobody runs. */
#define BURST 4000
static const struct limits_rate fast = {500000, BURST *INT64_C(500000)};
static const uint64_t keys[2] = {3, 3 + (uint64_t)LIMITS_BUCKETS}; /* neighbours in a bucket */

/* Uses the burst up, so that from now on a key is idle only if nobody asks for two seconds. */
static void use_up(void)
{
    for (size_t k = 0; k < 2; k++) {
        mono_t now = mono_now();
        s->first[k] = now.ns;
        for (int i = 0; i < BURST; i++)
            assert_true(limits_take(&s->limits, keys[k], fast, now).admitted);
        atomic_store(&s->admitted[k], BURST);
    }
}

static void *hammer(void *number)
{
    size_t own = (size_t)(uintptr_t)number, k = own % 2;
    while (!atomic_load_explicit(&s->stop, memory_order_relaxed)) {
        struct limits_answer answer = limits_take(&s->limits, keys[k], fast, mono_now());
        if (answer.admitted)
            atomic_fetch_add(&s->admitted[own], 1);
        if (answer.admitted && answer.debt == fast.interval)
            atomic_fetch_add(&s->idle[k], 1);
    }
    return NULL;
}

/* Each request that was admitted has moved its key's arrival time by one interval: none twice, none not at all. */
static void check_each(mono_t until, uint64_t lost)
{
    for (size_t k = 0; k < 2; k++) {
        int64_t arrival = until.ns + limits_look(&s->limits, keys[k], fast, until).debt;
        uint64_t counted = (uint64_t)(arrival - s->first[k]) / (uint64_t)fast.interval;

        assert_int_equal(atomic_load(&s->idle[k]), 0);
        assert_in_range(sum(k, 2), counted - lost, counted);
        assert_true(arrival <= until.ns + fast.depth);
        assert_true(counted > BURST + 2000); /* and they did ask for more than the limit */
    }
}

static void threads_together_admit_the_limit(void **state)
{
    pthread_t threads[THREADS];
    use_up();
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, (void *)(uintptr_t)i), 0);
    pause_ms(2000);
    atomic_store(&s->stop, true);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    check_each(mono_now(), 0);
}

/* --- processes that are killed ----------------------------------------------------------------------------------- */

static pid_t start(size_t number)
{
    pid_t pid = fork();
    if (pid == 0) {
        hammer((void *)(uintptr_t)number);
        _exit(0);
    }
    assert_true(pid > 0);
    return pid;
}

static void processes_that_are_killed_change_nothing(void **state)
{
    enum { PROCESSES = 4, KILLS = 40 };
    pid_t pids[PROCESSES];
    int status;
    use_up();
    for (size_t i = 0; i < PROCESSES; i++)
        pids[i] = start(i);
    for (int k = 0; k < KILLS; k++) {
        size_t which = (size_t)k % (PROCESSES - 2); /* one for each key goes on */
        pause_ms(50);
        kill(pids[which], SIGKILL);
        assert_int_equal(waitpid(pids[which], &status, 0), pids[which]);
        pids[which] = start(which);
    }
    atomic_store(&s->stop, true);
    for (size_t i = 0; i < PROCESSES; i++)
        waitpid(pids[i], &status, 0);
    check_each(mono_now(), KILLS); /* who is killed may have been admitted, and not have said so */
}

/* --- many begin with one key at once ----------------------------------------------------------------------------- */

enum { ROUNDS = 20000, OTHERS = 6 }; /* which are fewer than a bucket has cells */
static pthread_barrier_t barrier;

/* One at once, then one a day. */
static const struct limits_rate once = {INT64_C(86400) * 1000 * MS, INT64_C(86400) * 1000 * MS};

static uint64_t neighbour(uint64_t round, uint64_t n)
{
    return 9 + (round * (OTHERS + 1) + n) * LIMITS_BUCKETS;
}

/* Each round begins with a bucket of cells that are idle by then; each thread puts the same keys there, in an order of
 * its own. */
static void *race(void *number)
{
    size_t own = (size_t)(uintptr_t)number;
    for (uint64_t round = 1; round <= ROUNDS; round++) {
        /* More than a day passes. (Later than the real clock, as in test_limits.c.) */
        mono_t now = {INT64_C(1000000000000000000) + (int64_t)(round * 100000) * 1000 * MS + (int64_t)own};
        pthread_barrier_wait(&barrier);
        for (uint64_t i = 0; i <= OTHERS; i++) {
            uint64_t key = neighbour(round, (i * (own % 2 == 0 ? 1 : 6) + own) % (OTHERS + 1));
            struct limits_answer answer = limits_take(&s->limits, key, once, now);
            atomic_fetch_add(&s->admitted[own], answer.admitted);
            atomic_fetch_add(&s->evicted, answer.evicted);
        }
    }
    return NULL;
}

static void a_new_key_gets_one_cell(void **state)
{
    pthread_t threads[THREADS];
    assert_int_equal(pthread_barrier_init(&barrier, NULL, THREADS), 0);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, race, (void *)(uintptr_t)i), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&barrier);
    assert_int_equal(sum(0, 1), ROUNDS * (OTHERS + 1));
    assert_int_equal(atomic_load(&s->evicted), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(threads_together_admit_the_limit, begin, end),
        cmocka_unit_test_setup_teardown(processes_that_are_killed_change_nothing, begin, end),
        cmocka_unit_test_setup_teardown(a_new_key_gets_one_cell, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
