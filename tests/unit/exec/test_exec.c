/*
 * test_exec.c: one program through a real spawner: what it gives, its surroundings, its limits, its end. Nothing is
 * left behind: no process, no zombie, no descriptor.
 */
#include "worker.h"

/* --- results ------------------------------------------------------------------------------------------------------ */

static void a_program_gives_its_output(void **state)
{
    run(shell("echo out; echo err >&2"));
    expect_code("");
    assert_true(got.ended);
    assert_int_equal(got.status, 0);
    assert_string_equal(buf_text(&got.out), "out\n");
    assert_string_equal(buf_text(&got.err), "err\n");
    run(ask((const char *const[]){"printf", "%s|", "a b", "", "\xff\xfe$(x)", NULL})); /* as they are: no shell */
    assert_string_equal(buf_text(&got.out), "a b||\xff\xfe$(x)|");
}

static void an_exit_status_and_a_signal_are_told(void **state)
{
    run(shell("echo before; echo 'first' >&2; echo 'the reason' >&2; exit 7"));
    expect_code("exit");
    assert_int_equal(WEXITSTATUS(got.status), 7);
    assert_string_equal(got.words, "sh: exit status 7: the reason");
    assert_string_equal(buf_text(&got.out), "before\n");
    run(shell("kill -SEGV $$"));
    expect_code("signal");
    assert_int_equal(WTERMSIG(got.status), SIGSEGV);
    assert_string_equal(got.words, "sh: ended by signal 11 (Segmentation fault)");
}

static void input_and_output_of_any_size_never_wait_for_each_other(void **state)
{
    enum { SIZE = 8 << 20 };
    char *bytes = malloc(SIZE);
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (char)(i * 2654435761u >> 13);
    struct exec_ask a = shell("tee /dev/stderr");
    a.input = (struct slice){bytes, SIZE};
    a.max_output = SIZE;
    run(a);
    expect_code("");
    assert_true(slice_equal(buf_slice(&got.out), a.input));
    assert_true(slice_equal(buf_slice(&got.err), a.input));
    a = shell("exit 0"); /* and need not be read */
    a.input = (struct slice){bytes, SIZE};
    run(a);
    expect_code("");
    free(bytes);
    run(shell("cat; echo $?"));
    assert_string_equal(buf_text(&got.out), "0\n"); /* none given: at its end at once */
}

static void its_surroundings_are_clean(void **state)
{
    struct buf env = {0}, expected = {0};
    setenv("SECRET", "x", 1);
    setenv("TZ", "UTC", 1);
    setenv("LANG", "C", 1);
    exec_free(&programs);
    loop_free(&loop);
    assert_int_equal(open_all(), 0); /* a spawner of that environment */
    buf_add_string(&env, SLICE("GIVEN=\xff=1"));
    buf_add_string(&env, SLICE("TZ=Europe/Berlin"));
    struct exec_ask a = ask((const char *const[]){"env", NULL});
    a.environment = buf_slice(&env);
    run(a);
    buf_addf(&expected, "GIVEN=\xff=1\nTZ=Europe/Berlin\nPATH=%s\nHOME=%s\nLANG=C\n", getenv("PATH"), getenv("HOME"));
    assert_string_equal(buf_text(&got.out), buf_text(&expected));
    buf_free(&env);
    buf_free(&expected);
    unsetenv("SECRET");
    run(shell("ls /proc/$$/fd; ulimit -Sn; ulimit -Ss"));
    assert_string_equal(buf_text(&got.out), "0\n1\n2\n1024\n8192\n");
    run(shell("sed -n '/^Sig[BI]/s/.*:.//p' /proc/self/status"));
    char *rest = (char *)buf_text(&got.out);
    assert_int_equal(got.out.len, 34);
    assert_int_equal(strtoull(rest, &rest, 16), 0);              /* blocked */
    assert_int_equal(strtoull(rest, &rest, 16) & 0x7fffffff, 0); /* ignored; the C library keeps two above for itself */
    run(shell("set -- $(cat /proc/$$/stat); test $5 = $$ && test $6 = $$ && test $7 = 0")); /* group, session, no tty */
    expect_code("");
}

static void paths_begin_at_the_configurations_folder(void **state)
{
    run(shell("mkdir -p deep/er; printf '#!/bin/sh\\npwd\\n' >here.sh; chmod +x here.sh; cp here.sh deep/er/; pwd"));
    char expected[96];
    snprintf(expected, sizeof(expected), "%s\n", folder);
    assert_string_equal(buf_text(&got.out), expected);
    struct exec_ask a = ask((const char *const[]){"./here.sh", NULL});
    a.cwd = "deep";
    run(a);
    snprintf(expected, sizeof(expected), "%s/deep\n", folder);
    assert_string_equal(buf_text(&got.out), expected);
    a = ask((const char *const[]){"./er/here.sh", NULL}); /* not below cwd */
    a.cwd = "deep";
    run(a);
    expect_code("not_found");
    a = ask((const char *const[]){"pwd", NULL});
    a.cwd = "/";
    run(a);
    assert_string_equal(buf_text(&got.out), "/\n");
}

static void what_cannot_start_says_why(void **state)
{
    static const struct {
        const char *program, *code, *words;
    } cases[] = {
        {"no-such-program", "not_found", "no-such-program: there is no such program"},
        {"/no/such", "not_found", "/no/such: there is no such program"},
        {"/etc/passwd", "not_executable", "/etc/passwd: it is not executable"},
        {"/etc", "not_executable", "/etc: Is a directory"},
        {"./bad-interpreter", "not_executable", "bad-interpreter: the interpreter that it names is not there"},
        {"./text", "not_executable", "text: neither a program of this machine, nor a script with #! in its first line"},
    };
    run(shell("printf '#!/no/such\\n' >bad-interpreter; printf 'words\\n' >text; chmod +x bad-interpreter text"));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        run(ask((const char *const[]){cases[i].program, NULL}));
        expect_code(cases[i].code);
        assert_false(got.ended);
        if (strstr(got.words, cases[i].words) == NULL)
            fail_msg("%s", got.words);
    }
    struct exec_ask a = shell("true");
    a.cwd = "nowhere";
    run(a);
    expect_code("bad_cwd");
    assert_non_null(strstr(got.words, "/nowhere: No such file or directory"));
    a.cwd = "";
    run(a);
    expect_code("bad_cwd");
    assert_string_equal(got.words, "cwd: it is empty, which names no folder");
    char *long_one = malloc(300000);
    memset(long_one, 'x', 299999);
    long_one[299999] = '\0';
    run(ask((const char *const[]){"echo", long_one, NULL}));
    expect_code("too_long");
    free(long_one);
}

/* --- limits ------------------------------------------------------------------------------------------------------- */

static void output_past_its_limit_ends_it(void **state)
{
    struct exec_ask a = shell("head -c 100000 /dev/zero; head -c 100000 /dev/zero >&2");
    a.max_output = 100000;
    run(a);
    expect_code(""); /* each has its own */
    a = shell("head -c 100001 /dev/zero");
    a.max_output = 100000;
    run(a);
    expect_code("too_much_output");
    assert_int_equal(got.out.len, 100000);
    assert_string_equal(got.words, "sh: it wrote more than 100000 bytes to stdout (max_output)");
    a = shell("trap '' TERM PIPE; while :; do echo xxxxxxxxxxxxxxxx >&2; done 2>&1 | cat >&2");
    a.max_output = 5;
    run(a);
    expect_code("too_much_output");
    assert_int_equal(got.err.len, 5);
    a = shell("echo");
    a.max_output = 0;
    run(a);
    expect_code("too_much_output");
}

static void its_time_ends_the_whole_group(void **state)
{
    struct exec_ask a = shell("sleep 1000 & echo $! >child; echo said; wait");
    mono_t began = mono_now();
    a.timeout = DUR_MS(300);
    run(a);
    expect_code("timeout");
    assert_true(got.ended);
    assert_string_equal(got.words, "sh: still running after 0.3 s (timeout)");
    assert_string_equal(buf_text(&got.out), "said\n");
    assert_true(mono_since(mono_now(), began).ns >= DUR_MS(300).ns);
    dies_within(pid_in("child"), DUR_S(5));
    /* deaf to TERM, its child too, and stopped at that */
    a = shell(
        "trap '' TERM; sh -c 'trap \"\" TERM; echo $$ >deaf; while :; do sleep 1000; done' & kill -STOP $$; wait");
    a.timeout = DUR_MS(300);
    run(a);
    expect_code("timeout");
    assert_int_equal(WTERMSIG(got.status), SIGKILL);
    dies_within(pid_in("deaf"), DUR_S(5));
    a = shell(
        "trap 'echo tidied; exit 0' TERM; echo x; while :; do sleep 0.01; done"); /* TERM first: it can clean up */
    a.timeout = DUR_MS(300);
    run(a);
    expect_code("timeout");
    assert_string_equal(buf_text(&got.out), "x\ntidied\n");
}

static void what_it_leaves_running_is_not_waited_for(void **state)
{
    mono_t began = mono_now();
    run(shell("sleep 1000 & echo $! >child; echo done"));
    expect_code("");
    assert_string_equal(buf_text(&got.out), "done\n");
    assert_true(mono_since(mono_now(), began).ns < DUR_S(30).ns);
    pid_t child = pid_in("child");
    assert_true(lives(child)); /* it was started to stay, and does until the worker ends */
    run(shell("(sleep 0.3; echo late) & echo early"));
    assert_string_equal(buf_text(&got.out), "early\nlate\n"); /* last words are */
    exec_free(&programs);
    dies_within(child, DUR_S(5));
    struct error err;
    programs = exec_new(loop, &config, "test", &err);
}

static void who_is_no_longer_wanted_is_ended(void **state)
{
    struct exec_program *p = begin(shell("echo $$ >one; exec sleep 1000"), &got);
    mono_t end = mono_add(mono_now(), DUR_S(20));
    while (access("one", F_OK) != 0 && mono_before(mono_now(), end))
        loop_pass(loop, DUR_MS(10));
    pid_t pid = pid_in("one");
    exec_cancel(&p);
    assert_null(p);
    while (lives(pid) && mono_before(mono_now(), end))
        loop_pass(loop, DUR_MS(10));
    assert_false(lives(pid));
    p = begin(shell("sleep 1000"), &got); /* before it has begun */
    exec_cancel(&p);
    run(shell("true"));
    assert_int_equal(got.told, 1);
}

static int all(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_program_gives_its_output),
        TEST(an_exit_status_and_a_signal_are_told),
        TEST(input_and_output_of_any_size_never_wait_for_each_other),
        TEST(its_surroundings_are_clean),
        TEST(paths_begin_at_the_configurations_folder),
        TEST(what_cannot_start_says_why),
        TEST(output_past_its_limit_ends_it),
        TEST(its_time_ends_the_whole_group),
        TEST(what_it_leaves_running_is_not_waited_for),
        TEST(who_is_no_longer_wanted_is_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return as_spawner_or(argc, argv, all);
}
