/*
 * test_exec.c: programs through a real spawner (this program, run anew as one): results, limits, ends, the line, and
 * what becomes of programs when their spawner dies. Nothing is left behind: no process, no zombie, no descriptor.
 */
#include "base/panic.h"
#include "exec/exec.h"
#include "exec/spawner.h"
#include "io/loop.h"
#include "programs.h"

static struct loop *loop;
static struct config config;
static struct exec *programs;
static size_t descriptors;
static char folder[64];

static struct outcome {
    int told;
    char code[32], words[512];
    bool ended;
    int status;
    struct buf out, err;
} got;

static void note(const struct exec_result *r, void *cookie)
{
    struct outcome *o = cookie;
    o->told++;
    snprintf(o->code, sizeof(o->code), "%s", r->code != NULL ? r->code : "");
    snprintf(o->words, sizeof(o->words), "%s", r->code != NULL ? r->words : "");
    o->ended = r->ended;
    o->status = r->status;
    buf_clear(&o->out);
    buf_clear(&o->err);
    buf_add_slice(&o->out, r->out);
    buf_add_slice(&o->err, r->err);
}

static void forget(struct outcome *o)
{
    buf_free(&o->out);
    buf_free(&o->err);
    *o = (struct outcome){0};
}

static struct exec_ask ask(const char *const *argv)
{
    static struct buf strings;
    buf_free(&strings);
    for (; *argv != NULL; argv++)
        buf_add_string(&strings, slice_of(*argv));
    return (struct exec_ask){.arguments = buf_slice(&strings), .timeout = DUR_S(60), .max_output = 1 << 20};
}

static struct exec_ask shell(const char *text)
{
    return ask((const char *const[]){"sh", "-c", text, NULL});
}

static struct exec_program *begin(struct exec_ask a, struct outcome *o)
{
    const char *code;
    struct error err;
    struct exec_program *p = exec_start(programs, &a, note, o, &code, &err);
    if (p == NULL)
        fail_msg("%s: %s", code, err.text);
    return p;
}

static void until_told(struct outcome *o)
{
    mono_t end = mono_add(mono_now(), DUR_S(60));
    while (o->told == 0 && mono_before(mono_now(), end))
        loop_pass(loop, DUR_MS(100));
    assert_int_equal(o->told, 1);
}

static void run(struct exec_ask a)
{
    forget(&got);
    begin(a, &got);
    until_told(&got);
}

static void expect_code(const char *code)
{
    if (strcmp(got.code, code) != 0)
        fail_msg("%s (%s), expected %s", got.code, got.words, code);
}

static void pass_until(bool (*is)(void), const char *what)
{
    mono_t end = mono_add(mono_now(), DUR_S(20));
    while (!is()) {
        if (!mono_before(mono_now(), end))
            fail_msg("not within 20 s: %s", what);
        loop_pass(loop, DUR_MS(10));
    }
}

/* --- a spawner for each test -------------------------------------------------------------------------------------- */

static int open_all(void)
{
    struct error err;
    loop = loop_new();
    descriptors = open_descriptors(); /* libh2o's loop keeps one beyond its end */
    programs = exec_new(loop, &config, "test", &err);
    if (programs == NULL)
        print_message("%s\n", err.text);
    return programs == NULL;
}

static int set_up(void **state)
{
    strcpy(folder, "/tmp/crescent-exec-XXXXXX");
    if (mkdtemp(folder) == NULL || chdir(folder) != 0)
        return -1;
    config = (struct config){.root = folder, .exec_any = true};
    return open_all();
}

static int tear_down(void **state)
{
    char command[96];
    forget(&got);
    exec_free(&programs);
    assert_int_equal(open_descriptors(), descriptors);
    loop_free(&loop);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* neither a child nor a zombie */
    snprintf(command, sizeof(command), "rm -r %s", folder);
    return chdir("/") || system(command);
}

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
        assert_int_not_equal(exec_spawner(programs), spawner);
        assert_int_equal(state_of_process(spawner), 0); /* collected */
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
    assert_int_not_equal(exec_spawner(programs), spawner);
    assert_int_equal(state_of_process(spawner), 0);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "spawner") == 0)
        return spawner_main(argc > 2 ? argv[2] : NULL);
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
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
        TEST(more_than_may_run_wait_for_their_turn),
        TEST(a_line_that_is_too_long_is_refused),
        TEST(a_thousand_leave_nothing),
        TEST(only_what_the_list_names_runs),
        TEST(a_dead_spawner_is_replaced_and_leaves_nothing),
        TEST(a_stopped_spawner_is_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
