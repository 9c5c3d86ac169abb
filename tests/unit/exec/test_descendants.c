/*
 * test_descendants.c: everything below is killed, however deep, in whatever session, and also what forks all the time;
 * what is spared, and what is not below, lives on.
 */
#include "exec/descendants.h"
#include "programs.h"
#include <sched.h>
#include <sys/mman.h>

static int adopt(void **state)
{
    descendants_adopt();
    return 0;
}

/* How many looks it took; fails the test after a minute. */
static unsigned kill_all(bool (*spare)(pid_t, void *), void *cookie)
{
    mono_t end = mono_add(mono_now(), DUR_S(60));
    unsigned looks = 0;
    while (descendants_kill(spare, cookie) != DESCENDANTS_NONE) {
        looks++;
        if (!mono_before(mono_now(), end))
            fail_msg("still some after %u looks", looks);
        sched_yield();
    }
    return looks;
}

static void nobody_is_there(void **state)
{
    size_t count = 1;
    assert_null(descendants_children(getpid(), &count));
    assert_int_equal(count, 0);
    assert_int_equal(descendants_kill(NULL, NULL), DESCENDANTS_NONE);
}

/* A chain of processes, each in a session of its own, deaf to what can be ignored. */
static pid_t start_chain(int depth, pid_t *numbers)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    setsid();
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    numbers[depth] = getpid();
    if (depth > 0)
        start_chain(depth - 1, numbers);
    for (;;)
        pause();
}

static pid_t *shared(size_t count)
{
    pid_t *at = mmap(NULL, count * sizeof(pid_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(at, MAP_FAILED);
    return at;
}

static void a_deep_chain_dies(void **state)
{
    enum { DEPTH = 40 };
    pid_t *numbers = shared(DEPTH);
    start_chain(DEPTH - 1, numbers);
    while (((volatile pid_t *)numbers)[0] == 0)
        usleep(1000);
    kill_all(NULL, NULL);
    for (int i = 0; i < DEPTH; i++)
        assert_false(lives(numbers[i]));
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no zombie of ours is left */
    munmap(numbers, DEPTH * sizeof(pid_t));
}

/* Its parent ends at once, so that it becomes ours. */
static void a_daemon_dies(void **state)
{
    pid_t *number = shared(1);
    if (fork() == 0) {
        setsid();
        if (fork() == 0) {
            number[0] = getpid();
            for (;;)
                pause();
        }
        _exit(0);
    }
    while (((volatile pid_t *)number)[0] == 0)
        usleep(1000);
    kill_all(NULL, NULL);
    assert_false(lives(number[0]));
    munmap(number, sizeof(pid_t));
}

/* Always one process, of another number each time: it forks, and its parent ends. */
static void what_runs_away_by_forking_is_caught(void **state)
{
    if (fork() == 0)
        for (;;) {
            pid_t pid = fork();
            if (pid > 0)
                _exit(0);
            setsid();
        }
    usleep(50000);
    kill_all(NULL, NULL);
}

/* Each forks in turn, in a session of its own, until there were so many in all (the machine is to survive a failure).
 */
static void run_bomb(unsigned *started)
{
    enum { MOST = 2000 };
    while (__atomic_fetch_add(started, 1, __ATOMIC_RELAXED) < MOST) {
        if (fork() == 0)
            setsid();
        usleep(100);
    }
    for (;;)
        pause();
}

static void a_fork_bomb_loses(void **state)
{
    unsigned *started = (unsigned *)shared(1);
    if (fork() == 0)
        run_bomb(started);
    while (__atomic_load_n(started, __ATOMIC_RELAXED) < 200)
        usleep(100);
    unsigned looks = kill_all(NULL, NULL);
    print_message("%u looks ended it\n", looks);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    munmap(started, sizeof(pid_t));
}

static bool is_it(pid_t child, void *cookie)
{
    return child == *(pid_t *)cookie;
}

static void whom_it_spares_lives_on_with_its_children(void **state)
{
    pid_t *numbers = shared(3), other, spared = start_chain(2, numbers);
    while (((volatile pid_t *)numbers)[0] == 0)
        usleep(1000);
    if ((other = fork()) == 0)
        for (;;)
            pause();
    kill_all(is_it, &spared);
    assert_false(lives(other));
    for (int i = 0; i < 3; i++)
        assert_true(lives(numbers[i]));
    kill_all(NULL, NULL);
    for (int i = 0; i < 3; i++)
        assert_false(lives(numbers[i]));
    munmap(numbers, 3 * sizeof(pid_t));
}

static void it_leaves_no_descriptor(void **state)
{
    size_t before = open_descriptors();
    pid_t *numbers = shared(8);
    start_chain(7, numbers);
    while (((volatile pid_t *)numbers)[0] == 0)
        usleep(1000);
    kill_all(NULL, NULL);
    assert_int_equal(open_descriptors(), before);
    munmap(numbers, 8 * sizeof(pid_t));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_is_there),         cmocka_unit_test(a_deep_chain_dies),
        cmocka_unit_test(a_daemon_dies),           cmocka_unit_test(what_runs_away_by_forking_is_caught),
        cmocka_unit_test(a_fork_bomb_loses),       cmocka_unit_test(whom_it_spares_lives_on_with_its_children),
        cmocka_unit_test(it_leaves_no_descriptor),
    };
    return cmocka_run_group_tests(tests, adopt, NULL);
}
