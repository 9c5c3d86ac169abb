/*
 * test_supervise.c: the supervisor with real processes. The children are this binary again (the supervisor runs what
 * /proc/self/exe names), so main() plays them too: fake.h.
 */
#include "fake.h"
#include "stage.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void children_are_born_with_what_the_heritage_names_and_no_more(void **state)
{
    struct stage t;

    raise_curtain(&t, 2, "127.0.0.1:0");
    expect_log(&t, "serving", 5000);
    expect_log(&t, "\"admin\":\"http://127.0.0.1:", 100);
    /* 0, 1, 2, supervisor, area, config, and sockets: one group of two members; the admin listener */
    expect(&t, "born fds=9 sockets=2 generation=0 snapshot=no blocked=0 sealed=1", 1000);
    expect(&t, "born fds=8 sockets=1 generation=0 snapshot=no blocked=0 sealed=1", 1000);
    expect(&t, "told peer 0/1", 1000);
    expect(&t, "told peer 1/1", 1000);
    expect(&t, "has keeper/1", 1000);
    drain_and_clear(&t);
}

static void a_killed_worker_is_back_at_once_and_others_accept_for_it(void **state)
{
    struct stage t;
    int64_t start;

    raise_curtain(&t, 2, "127.0.0.1:0");
    expect_log(&t, "serving", 5000);
    pid_of(&t, "worker1/1");
    usleep(100000);
    start = now_ms();
    kill(pid_of(&t, "worker0/1"), SIGKILL);
    expect(&t, "worker0/2", 1000);
    assert_true(now_ms() - start < 100 * time_factor());
    expect(&t, "adopts 0", 1000);
    expect(&t, "releases 0", 1000);
    expect(&t, "told died 0/1 script= version=0 preparing=0", 1000);
    expect(&t, "told peer 0/2", 1000);
    expect_log(&t, "worker 0 died", 100);
    expect_log(&t, "signal 9", 100);
    drain_and_clear(&t);
}

static void a_killed_keeper_is_back_and_linked_with_every_worker(void **state)
{
    struct stage t;

    raise_curtain(&t, 2, "127.0.0.1:0");
    expect_log(&t, "serving", 5000);
    expect(&t, "worker1/1", 1000);
    kill(pid_of(&t, "keeper/1"), SIGKILL);
    expect(&t, "keeper/2", 1000);
    expect(&t, "has keeper/2", 1000);
    drain_and_clear(&t);
}

static void a_new_child_starts_from_the_live_snapshot(void **state)
{
    struct stage t;
    char what[64];

    raise_curtain(&t, 1, "127.0.0.1:0");
    expect_log(&t, "serving", 5000);
    kill(pid_of(&t, "keeper/1"), SIGALRM);
    expect(&t, "told snapshot_kept 1", 1000);
    kill(pid_of(&t, "worker0/1"), SIGKILL);
    expect(&t, "generation=1 snapshot=yes", 1000);
    kill(pid_of(&t, "keeper/1"), SIGKILL);
    snprintf(what, sizeof(what), "keeper/2 %d born fds=9 sockets=1 generation=1 snapshot=yes", pid_of(&t, "keeper/2"));
    expect(&t, what, 1000);
    drain_and_clear(&t);
}

static void a_trial_runs_with_a_deep_stack_and_its_end_is_told(void **state)
{
    struct stage t;

    raise_curtain(&t, 1, "127.0.0.1:0");
    expect_log(&t, "serving", 5000);
    kill(pid_of(&t, "keeper/1"), SIGUSR1);
    expect(&t, "trial stack=67108864", 2000);
    expect(&t, "told trial 5", 1000);
    expect(&t, "told trial_ended 5 status=400 words=", 1000);
    drain_and_clear(&t);
}

static void a_worker_stuck_in_a_script_is_killed_and_the_script_named(void **state)
{
    struct stage t;
    int64_t start;

    raise_curtain(&t, 2, "127.0.0.1:0");
    expect_log(&t, "serving", 5000);
    start = now_ms();
    kill(pid_of(&t, "worker0/1"), SIGUSR1);
    expect(&t, "worker0/2", 8000);
    assert_true(now_ms() - start >= 1250); /* max_run 250 ms and a second of CPU time */
    expect_log(&t, "worker 0 killed: stuck in script bad/loop", 100);
    expect_log(&t, "last words", 100);
    expect(&t, "told died 0/1 script=bad/loop version=7 preparing=1", 1000);
    drain_and_clear(&t);
}

/* "A worker SIGSTOPped is caught", and while it stands still its connections are others' to accept. */
static void a_queue_that_stands_still_is_given_to_others(void **state)
{
    struct stage t;
    struct sockaddr_in to = {.sin_family = AF_INET};
    int fds[64];

    raise_curtain(&t, 2, "127.0.0.1:0");
    to.sin_port = htons((uint16_t)port_of(&t));
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    expect(&t, "worker1/1", 1000);
    usleep(100000);
    assert_false(reported(&t, "adopts 0") && reported(&t, "adopts 1"));
    for (int i = 0; i < 64; i++) { /* nobody accepts here: both members get some */
        fds[i] = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(connect(fds[i], (struct sockaddr *)&to, sizeof(to)), 0);
    }
    expect(&t, "adopts 0", 1000);
    expect(&t, "adopts 1", 1000);
    for (int i = 0; i < 64; i++)
        close(fds[i]);
    drain_and_clear(&t);
}

static void a_childs_bad_bytes_end_that_child_only(void **state)
{
    struct stage t;

    raise_curtain(&t, 2, "127.0.0.1:0");
    expect_log(&t, "serving", 5000);
    kill(pid_of(&t, "worker0/1"), SIGUSR2);
    expect(&t, "worker0/2", 1000);
    expect_log(&t, "worker 0 killed: its message to the supervisor: another version of messages", 100);
    kill(pid_of(&t, "worker1/1"), SIGWINCH);
    expect(&t, "worker1/2", 1000);
    expect_log(&t, "worker 1 killed: its message to the supervisor: flip", 100);
    kill(pid_of(&t, "keeper/1"), SIGUSR2);
    expect(&t, "keeper/2", 1000);
    drain_and_clear(&t);
}

static void deaths_that_go_on_are_slowed_down(void **state)
{
    struct stage t;
    int64_t start;
    char who[16];

    raise_curtain(&t, 1, "127.0.0.1:0");
    expect_log(&t, "serving", 5000);
    for (int i = 1; i <= 4; i++) {
        snprintf(who, sizeof(who), "worker0/%d", i);
        kill(pid_of(&t, who), SIGVTALRM);
    }
    start = now_ms();
    expect(&t, "worker0/5", 2000);
    assert_true(now_ms() - start >= 70); /* 100 ms after the fourth death, which comes up to 20 ms after its signal */
    drain_and_clear(&t);
}

static void a_start_that_cannot_work_is_given_up(void **state)
{
    struct stage t;

    setenv("STILLBORN", "1", 1);
    raise_curtain(&t, 2, "127.0.0.1:0");
    unsetenv("STILLBORN");
    assert_int_equal(WEXITSTATUS(leave(&t, 5000)), 1);
    expect_log(&t, "cannot start: ", 100);
    clear_away(&t);
}

static void a_taken_port_is_one_clear_line(void **state)
{
    struct stage t, second;
    char listen_on[32], line[96];

    raise_curtain(&t, 2, "127.0.0.1:0");
    snprintf(listen_on, sizeof(listen_on), "127.0.0.1:%d", port_of(&t));
    raise_curtain(&second, 2, listen_on);
    assert_int_equal(WEXITSTATUS(leave(&second, 5000)), 1);
    snprintf(line, sizeof(line), "crescent: cannot listen on %s: Address already in use", listen_on);
    expect_log(&second, line, 100);
    assert_false(reported(&second, "born"));
    clear_away(&second);
    drain_and_clear(&t);
}

static void ipv6_and_host_names_listen_too(void **state)
{
    struct stage t;

    raise_curtain(&t, 1, "[::1]:0");
    expect_log(&t, "\"listen\":[\"http://[::1]:", 5000);
    drain_and_clear(&t);
    raise_curtain(&t, 1, "localhost:0");
    expect_log(&t, "\"http://127.0.0.1:", 5000);
    drain_and_clear(&t);
}

static void the_supervisors_sudden_death_ends_all_and_frees_the_port(void **state)
{
    struct stage t, next;
    char listen_on[32];
    pid_t keeper, worker;

    raise_curtain(&t, 2, "127.0.0.1:0");
    snprintf(listen_on, sizeof(listen_on), "127.0.0.1:%d", port_of(&t));
    keeper = pid_of(&t, "keeper/1");
    worker = pid_of(&t, "worker0/1");
    kill(t.supervisor, SIGKILL);
    assert_true(WIFSIGNALED(leave(&t, 2000)));
    raise_curtain(&next, 2, listen_on);
    assert_true(gone_soon(keeper));
    assert_true(gone_soon(worker));
    expect_log(&next, "serving", 5000);
    clear_away(&t);
    drain_and_clear(&next);
}

static void term_drains_workers_first_and_ignores_what_a_terminal_sends_to_children(void **state)
{
    struct stage t;
    char *all;

    raise_curtain(&t, 2, "127.0.0.1:0");
    expect_log(&t, "serving", 5000);
    kill(pid_of(&t, "worker0/1"), SIGINT); /* as a terminal does, to the whole group */
    kill(t.supervisor, SIGHUP);
    expect_log(&t, "upgrade: refused: ", 1000); /* this one has no command line to evaluate again */
    kill(t.supervisor, SIGUSR1);
    expect(&t, "told reopen", 1000);
    assert_false(reported(&t, "worker0/2"));
    kill(t.supervisor, SIGTERM);
    assert_int_equal(leave(&t, 5000), 0);
    all = slurp(t.report);
    assert_non_null(strstr(all, "drains within 1000"));
    assert_true(strstr(strstr(all, "drains within 1000"), "drains within 0") != NULL); /* the keeper, last */
    free(all);
    clear_away(&t);
}

static void who_does_not_leave_is_killed_at_the_deadline_or_by_a_second_signal(void **state)
{
    struct stage t;
    int64_t start;
    pid_t worker;

    setenv("STUBBORN", "1", 1);
    raise_curtain(&t, 1, "127.0.0.1:0");
    expect_log(&t, "serving", 5000);
    worker = pid_of(&t, "worker0/1");
    start = now_ms();
    kill(t.supervisor, SIGTERM);
    assert_int_equal(leave(&t, 5000), 0);
    assert_in_range(now_ms() - start, 950, 3500);
    assert_true(gone_soon(worker));
    clear_away(&t);
    raise_curtain(&t, 1, "127.0.0.1:0");
    expect_log(&t, "serving", 5000);
    start = now_ms();
    kill(t.supervisor, SIGTERM);
    expect(&t, "drains", 1000);
    kill(t.supervisor, SIGINT);
    assert_int_equal(leave(&t, 5000), 0);
    assert_true(now_ms() - start < 900);
    unsetenv("STUBBORN");
    clear_away(&t);
}

static void a_worn_worker_leaves_when_another_serves_in_its_place(void **state)
{
    struct stage t;
    char what[64];

    raise_curtain(&t, 2, "127.0.0.1:0");
    expect_log(&t, "serving", 5000);
    expect(&t, "told peer 1/1", 2000);
    pid_t worn = pid_of(&t, "worker0/1"), other = pid_of(&t, "worker1/1");
    kill(worn, SIGPROF);
    expect(&t, "told peer 2/1", 2000); /* the first free place */
    snprintf(what, sizeof(what), "worker0/1 %d drains within 1000", (int)worn);
    expect(&t, what, 2000);
    assert_true(gone_soon(worn));
    /* The next one takes the place that has become free. Who says it twice has one successor. */
    kill(other, SIGPROF);
    usleep(30000); /* longer than a fake worker takes to see it */
    kill(other, SIGPROF);
    expect(&t, "told peer 0/2", 2000);
    assert_true(gone_soon(other));
    assert_false(reported(&t, "told peer 3/1"));
    assert_false(reported(&t, "told peer 1/2"));
    assert_false(reported(&t, "told died"));
    drain_and_clear(&t);
}

/* Whichever comes first, the place is filled once. */
static void a_worn_worker_that_dies_has_one_successor(void **state)
{
    for (int wait = 0; wait < 60000; wait += 6000) {
        struct stage t;

        raise_curtain(&t, 1, "127.0.0.1:0");
        expect_log(&t, "serving", 5000);
        pid_t worn = pid_of(&t, "worker0/1");
        kill(worn, SIGPROF);
        usleep((useconds_t)wait);
        kill(worn, SIGKILL);
        assert_true(gone_soon(worn));
        for (int i = 0; i < 2000 && !reported(&t, "worker0/2") && !reported(&t, "told peer 1/1"); i++)
            usleep(1000);
        usleep(50000);
        assert_true(reported(&t, "worker0/2") != reported(&t, "told peer 1/1"));
        drain_and_clear(&t);
    }
}

/* As are those that die: the fourth in ten seconds waits. */
static void workers_that_wear_out_at_once_are_replaced_more_slowly(void **state)
{
    struct stage t;
    char what[64];
    int64_t last = 0;
    bool quick = true; /* on a machine with nothing to spare a life may be a good run */

    raise_curtain(&t, 1, "127.0.0.1:0");
    expect_log(&t, "serving", 5000);
    pid_t worn = pid_of(&t, "worker0/1");
    for (int life = 1; life <= 5; life++) {
        snprintf(what, sizeof(what), "told peer %d/%d", life % 2, life / 2 + 1);
        quick = quick && (last == 0 || now_ms() - last < 900);
        last = now_ms();
        kill(worn, SIGPROF);
        expect(&t, what, 5000);
        assert_true(gone_soon(worn));
        char *all = slurp(t.report), *born = all;
        for (char *at = all; (at = strstr(at, "worker0/")) != NULL; at = strchr(at, '\n'))
            if (strncmp(strchr(strchr(at, ' ') + 1, ' '), " born", 5) == 0)
                born = at;
        worn = atoi(strchr(born, ' '));
        free(all);
    }
    assert_true(!quick || now_ms() - last >= 200);
    drain_and_clear(&t);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(children_are_born_with_what_the_heritage_names_and_no_more),
        cmocka_unit_test(a_killed_worker_is_back_at_once_and_others_accept_for_it),
        cmocka_unit_test(a_killed_keeper_is_back_and_linked_with_every_worker),
        cmocka_unit_test(a_new_child_starts_from_the_live_snapshot),
        cmocka_unit_test(a_trial_runs_with_a_deep_stack_and_its_end_is_told),
        cmocka_unit_test(a_worker_stuck_in_a_script_is_killed_and_the_script_named),
        cmocka_unit_test(a_queue_that_stands_still_is_given_to_others),
        cmocka_unit_test(a_childs_bad_bytes_end_that_child_only),
        cmocka_unit_test(a_worn_worker_leaves_when_another_serves_in_its_place),
        cmocka_unit_test(a_worn_worker_that_dies_has_one_successor),
        cmocka_unit_test(workers_that_wear_out_at_once_are_replaced_more_slowly),
        cmocka_unit_test(deaths_that_go_on_are_slowed_down),
        cmocka_unit_test(a_start_that_cannot_work_is_given_up),
        cmocka_unit_test(a_taken_port_is_one_clear_line),
        cmocka_unit_test(ipv6_and_host_names_listen_too),
        cmocka_unit_test(the_supervisors_sudden_death_ends_all_and_frees_the_port),
        cmocka_unit_test(term_drains_workers_first_and_ignores_what_a_terminal_sends_to_children),
        cmocka_unit_test(who_does_not_leave_is_killed_at_the_deadline_or_by_a_second_signal),
    };

    if (argc > 1)
        return fake_main(argv[1], argc > 2 ? argv[2] : NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
