/*
 * test_exec_many.c: many programs: the line, which may run, what becomes of them when their spawner dies or stops, and
 * that a thousand leave nothing.
 */
#include "exec/internal.h"
#include "worker.h"

/* --- many --------------------------------------------------------------------------------------------------------- */

enum { MANY = 200 };
static struct outcome many[MANY];

static bool all_told(void)
{
    for (int i = 0; i < MANY; i++)
        if (many[i].told == 0)
            return false;
    return true;
}

static void more_than_may_run_wait_for_their_turn(void **state)
{
    struct exec_program *p = NULL;
    for (int i = 0; i < MANY; i++) {
        p = begin(shell("echo . >>all; sleep 0.05; ls /proc/$PPID/task/$PPID >/dev/null; "
                        "cat /proc/$PPID/task/$PPID/children | wc -w"),
                  &many[i]);
    }
    exec_cancel(&p); /* the last in line */
    many[MANY - 1].told = 1;
    struct exec_ask a = shell("true");
    a.timeout = DUR_MS(1);
    struct outcome impatient = {0};
    begin(a, &impatient);
    until_told(&impatient);
    assert_string_equal(impatient.code, "timeout");
    assert_string_equal(impatient.words, "sh: 0.001 s are over, and others still run before it (timeout)");
    forget(&impatient);
    pass_until(all_told, "all have ended");
    for (int i = 0; i < MANY - 1; i++) {
        assert_string_equal(many[i].code, "");
        int at_once = atoi(buf_text(&many[i].out));
        assert_in_range(at_once, 1, EXEC_AT_ONCE);
        forget(&many[i]);
    }
    many[MANY - 1].told = 0;
}

static void a_line_that_is_too_long_is_refused(void **state)
{
    static struct outcome all[EXEC_AT_ONCE + EXEC_IN_LINE];
    static struct exec_program *p[EXEC_AT_ONCE + EXEC_IN_LINE];
    const char *code;
    struct error err;
    for (int i = 0; i < EXEC_AT_ONCE + EXEC_IN_LINE; i++)
        p[i] = begin(shell("sleep 1000"), &all[i]);
    struct exec_ask a = shell("true");
    assert_null(exec_start(programs, &a, note, &got, &code, &err));
    assert_string_equal(code, "busy");
    for (int i = 0; i < EXEC_AT_ONCE + EXEC_IN_LINE; i++)
        exec_cancel(&p[i]);
    run(shell("true"));
}

static bool memory_is_free(void)
{
    return programs->memory == 0;
}

/* However they end: told, cancelled in line or while they run, deaf to TERM, over a limit, without their spawner. */
static void what_they_are_given_and_write_is_bounded_and_given_back(void **state)
{
    static char large[20 << 20];
    struct outcome o[4] = {0};
    struct exec_program *p[2];
    const char *code;
    struct error err;
    struct exec_ask a = shell("trap '' TERM; cat >/dev/null; echo read; sleep 1000");
    a.input = (struct slice){large, sizeof(large)};
    for (int i = 0; i < 2; i++)
        p[i] = begin(a, &o[i]);
    assert_null(exec_start(programs, &a, note, &got, &code, &err));
    assert_string_equal(code, "busy");
    assert_non_null(strstr(err.text, "sh: no memory for its arguments and its stdin"));
    exec_cancel(&p[0]);
    exec_cancel(&p[1]);
    pass_until(memory_is_free, "what was cancelled gives its memory back when it has ended");
    a = shell("cat; head -c 1000000 /dev/zero; exit 3");
    a.input = (struct slice){large, 1000};
    run(a);
    expect_code("exit");
    assert_int_equal(got.out.len, 1001000);
    assert_true(memory_is_free());
    a.max_output = 100;
    run(a);
    expect_code("too_much_output");
    assert_int_equal(got.out.len, 100);
    pass_until(memory_is_free, "what wrote too much has ended");
    config.limits.lua_memory = 1000000; /* room for 875,000 bytes of input */
    a.max_output = 8 << 20;
    run(a);
    expect_code("busy");
    assert_in_range(got.out.len, 900000, 1000000);
    assert_non_null(strstr(got.words, "sh: no memory for what it writes"));
    pass_until(memory_is_free, "what found no room has ended");
    a = shell("cat | wc -c; sleep 1000");
    a.input = (struct slice){large, 800000};
    begin(a, &o[2]);
    kill(exec_spawner(programs), SIGKILL);
    until_told(&o[2]);
    assert_string_equal(o[2].code, "spawner_gone");
    assert_true(memory_is_free());
    a.timeout = DUR_MS(100);
    begin(a, &o[3]);
    until_told(&o[3]);
    assert_string_equal(o[3].code, "timeout");
    pass_until(memory_is_free, "what was in line or ran too long has ended");
    for (int i = 0; i < 4; i++)
        forget(&o[i]);
}

static size_t spawners_descriptors(void)
{
    char path[64];
    size_t count = 0;
    snprintf(path, sizeof(path), "/proc/%d/fd", (int)exec_spawner(programs));
    DIR *dir = opendir(path);
    assert_non_null(dir);
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

static void a_thousand_leave_nothing(void **state)
{
    char path[64];
    struct buf children = {0};
    int spawner = (int)exec_spawner(programs);
    run(shell("true"));
    size_t before = open_descriptors(), spawners = spawners_descriptors();
    for (int i = 0; i < 1000; i++) {
        run(ask((const char *const[]){"true", NULL}));
        expect_code("");
    }
    assert_int_equal(open_descriptors(), before);
    assert_int_equal(spawners_descriptors(), spawners);
    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", spawner, spawner);
    fd_read_file(path, 4096, &children, NULL);
    assert_int_equal(children.len, 0);
    buf_free(&children);
}

/* --- who may run -------------------------------------------------------------------------------------------------- */

static void only_what_the_list_names_runs(void **state)
{
    char *names[] = {(char *)"echo", (char *)"./mine.sh"};
    const char *code = "";
    struct error err;
    run(shell("printf '#!/bin/sh\\necho mine' >mine.sh; chmod +x mine.sh; mkdir deep; cp mine.sh deep/"));
    exec_free(&programs);
    loop_free(&loop);
    config.exec_any = false;
    config.exec = names;
    config.exec_count = 2;
    assert_int_equal(open_all(), 0);
    run(ask((const char *const[]){"echo", "x", NULL}));
    expect_code("");
    struct exec_ask a = ask((const char *const[]){"./mine.sh", NULL});
    a.cwd = "deep";
    run(a);
    assert_string_equal(buf_text(&got.out), "mine\n");
    const char *forbidden[] = {"sh", "/bin/echo", "./deep/mine.sh", "mine.sh", "./deep/../mine.sh"};
    for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++) {
        a = ask((const char *const[]){forbidden[i], NULL});
        assert_null(exec_start(programs, &a, note, &got, &code, &err));
        assert_string_equal(code, "not_allowed");
        assert_non_null(strstr(err.text, "the setting exec does not allow it"));
    }
    struct buf env = {0};
    buf_add_string(&env, SLICE("PATH=/nowhere")); /* the program's own, not where it is looked for */
    a = ask((const char *const[]){"echo", "x", NULL});
    a.environment = buf_slice(&env);
    run(a);
    expect_code("");
    buf_free(&env);
}

/* --- deaths ------------------------------------------------------------------------------------------------------- */

static pid_t replaced;

static bool is_collected(void)
{
    return state_of_process(replaced) == 0;
}

/* It may be dead before it is collected: that comes with one of the looks for what it has left. */
static void expect_collected(pid_t spawner)
{
    replaced = spawner;
    assert_int_not_equal(exec_spawner(programs), spawner);
    pass_until(is_collected, "the spawner that was replaced is collected");
}

static struct outcome two;

static bool both_told(void)
{
    return got.told > 0 && two.told > 0;
}

static void a_dead_spawner_is_replaced_and_leaves_nothing(void **state)
{
    for (int round = 0; round < 3; round++) {
        forget(&got);
        forget(&two);
        unlink("one");
        unlink("two");
        unlink("three");
        begin(shell("echo $$ >one; exec sleep 1000"), &got);
        begin(shell("setsid sh -c 'trap \"\" TERM; echo $$ >two; (setsid sh -c \"echo \\$\\$ >three; sleep 1000\" &); "
                    "sleep 1000; :'"),
              &two);
        mono_t end = mono_add(mono_now(), DUR_S(20));
        while ((access("one", F_OK) != 0 || access("three", F_OK) != 0) && mono_before(mono_now(), end))
            loop_pass(loop, DUR_MS(10));
        pid_t pids[] = {pid_in("one"), pid_in("two"), pid_in("three")}, spawner = exec_spawner(programs);
        kill(spawner, SIGKILL);
        pass_until(both_told, "both are told");
        assert_string_equal(got.code, "spawner_gone");
        assert_string_equal(two.code, "spawner_gone");
        for (int i = 0; i < 3; i++) {
            while (lives(pids[i]) && mono_before(mono_now(), end))
                loop_pass(loop, DUR_MS(10));
            assert_false(lives(pids[i]));
        }
        run(shell("echo again"));
        expect_code("");
        expect_collected(spawner);
    }
    forget(&two);
}

/* A program can stop it, for both are of the same user. */
static void a_stopped_spawner_is_replaced(void **state)
{
    struct exec_ask a = shell("kill -STOP $PPID; exec sleep 1000");
    pid_t spawner = exec_spawner(programs);
    a.timeout = DUR_MS(200);
    run(a);
    expect_code("timeout");
    assert_false(got.ended);
    run(shell("echo again")); /* asked while it is stopped: lost with it, or done by the next one */
    if (strcmp(got.code, "spawner_gone") == 0)
        run(shell("echo again"));
    expect_code("");
    expect_collected(spawner);
}

static unsigned lost;

static void on_lost(void *cookie)
{
    lost++;
}

static bool is_lost(void)
{
    return lost > 0;
}

static void who_may_start_no_other_says_so(void **state)
{
    exec_on_lost(programs, on_lost, NULL);
    forget(&got);
    begin(shell("exec sleep 1000"), &got);
    kill(exec_spawner(programs), SIGKILL);
    pass_until(is_lost, "the loss is told");
    until_told(&got);
    assert_string_equal(got.code, "spawner_gone");
    const char *code = NULL;
    struct error err;
    struct exec_ask a = shell("true");
    assert_null(exec_start(programs, &a, NULL, NULL, &code, &err));
    assert_string_equal(code, "spawner_gone");
    assert_int_equal(lost, 1);
    assert_int_equal(exec_spawner(programs), 0);
}

static int all(void)
{
    const struct CMUnitTest tests[] = {
        TEST(more_than_may_run_wait_for_their_turn),
        TEST(a_line_that_is_too_long_is_refused),
        TEST(what_they_are_given_and_write_is_bounded_and_given_back),
        TEST(a_thousand_leave_nothing),
        TEST(only_what_the_list_names_runs),
        TEST(a_dead_spawner_is_replaced_and_leaves_nothing),
        TEST(a_stopped_spawner_is_replaced),
        TEST(who_may_start_no_other_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return as_spawner_or(argc, argv, all);
}
