/*
 * test_bind_exec.c: exec in a script: what it gives, what is nil and an error, what raises; whoever stops waiting
 * leaves no process and no memory.
 */
#include "base/fd.h"
#include "exec/exec.h"
#include "exec/spawner.h"
#include "handle.h"
#include <sys/wait.h>
#include <unistd.h>

#define TEXT "200 text/plain; charset=utf-8|"
#define JSON "200 application/json|"

static struct config config;

static int begin(void **state)
{
    struct error err;
    if (set_up(state) != 0)
        return -1;
    config = (struct config){.root = (char *)"/tmp", .exec_any = true, .limits = {.lua_memory = 64 << 20}};
    host.exec = exec_new(host.loop, &config, "test", &err);
    return host.exec == NULL;
}

static int end(void **state)
{
    forget_answer();
    exec_free(&host.exec);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    return tear_down(state);
}

static void until_ended(void)
{
    mono_t limit = mono_add(mono_now(), DUR_S(30));
    while (answer.ended == 0 && mono_before(mono_now(), limit))
        loop_pass(host.loop, DUR_MS(100));
    assert_int_equal(answer.ended, 1);
}

static void gives(const char *text, const char *result)
{
    new_request(NULL, NULL, "");
    assert_non_null(run(text));
    until_ended();
    if (answer.end == TASK_FAILED)
        print_message("%s\nraised: %s\n", text, buf_text(&answer.raised.log));
    assert_int_equal(answer.end, TASK_RETURNED);
    assert_string_equal(as_text(), result);
}

/* The same, of what does not wait at all. */
static void gives_at_once(const char *text, const char *result)
{
    new_request(NULL, NULL, "");
    expect(text, result);
}

static void a_result_is_a_table(void **state)
{
    gives("local r = exec { 'sh', '-c', 'echo out; echo err >&2' }"
          "return { r.code, r.signal == nil, r.stdout, r.stderr }",
          JSON "[0,true,\"out\\n\",\"err\\n\"]");
    gives("return exec({ 'printf', '%s|', 1, 2.5, 1e15, -0, 'x' }).stdout", TEXT "1|2.5|1000000000000000|0|x|");
    gives("return exec({ 'cat', stdin = 'in' }).stdout", TEXT "in");
    gives("return exec({ 'pwd' }).stdout .. exec({ 'pwd', cwd = '/' }).stdout", TEXT "/tmp\n/\n");
    gives("return exec({ 'sh', '-c', 'echo $A-$B', env = { A = 'x', B = 7 } }).stdout", TEXT "x-7\n");
    gives("local ask = { 'echo', 5 } exec(ask) return type(ask[2])", TEXT "number"); /* it is read, not changed */
    gives("local co = coroutine.wrap(function() return exec({ 'echo', 'x' }).stdout end) return co()", TEXT "x\n");
}

static void what_goes_wrong_is_nil_and_an_error(void **state)
{
    gives("local ok, e = exec { 'sh', '-c', 'echo o; echo e >&2; exit 3' }"
          "return { ok == nil, e.code, e.signal == nil, e.stdout, e.stderr, tostring(e) }",
          JSON "[true,3,true,\"o\\n\",\"e\\n\",\"sh: exit status 3: e\"]");
    gives("local ok, e = exec { 'sh', '-c', 'kill -9 $$' } return { ok == nil, e.code, e.signal, 'why: ' .. e }",
          JSON "[true,\"signal\",9,\"why: sh: ended by signal 9 (Killed)\"]");
    gives("local ok, e = exec { 'sleep', 1000, timeout = '100ms' } return { ok == nil, e.code, e.signal }",
          JSON "[true,\"timeout\",15]");
    gives("local ok, e = exec { 'yes', max_output = 4 } return { ok == nil, e.code, e.stdout }",
          JSON "[true,\"too_much_output\",\"y\\ny\\n\"]");
    gives("local ok, e = exec { 'no-such-program' } return { ok == nil, e.code, e.stdout, e.signal == nil }",
          JSON "[true,\"not_found\",\"\",true]");
    gives_at_once("local ok, e = exec { 'echo', 'a\\0b' } return { ok == nil, e.code, tostring(e) }",
                  JSON "[true,\"bad_argument\","
                       "\"exec: argument 2: it holds a NUL byte, which no program can be given\"]");
    gives_at_once("local ok, e = exec { 'echo', env = { KEY = 'secret\\0b' } } return { e.code, tostring(e) }",
                  JSON "[\"bad_argument\",\"exec: env: KEY: it holds a NUL byte, which no program can be given\"]");
    gives_at_once("local ok, e = exec { 'echo', cwd = 'a\\0b' } return e.code", TEXT "bad_argument");
    gives_at_once("local ok, e = exec { '' } return { e.code, tostring(e) }",
                  JSON "[\"bad_argument\",\"exec: the program's name is empty\"]");
    gives_at_once("local ok, e = exec { 'echo', ('x'):rep(5000000) } return e.code", TEXT "too_long");
    config.exec_any = false; /* the worker's own look */
    gives_at_once("local ok, e = exec { 'true' } return { e.code, tostring(e) }",
                  JSON "[\"not_allowed\",\"true: the setting exec does not allow it\"]");
    struct exec *kept = host.exec;
    host.exec = NULL;
    gives_at_once("local ok, e = exec { 'true' } return { e.code, tostring(e) }",
                  JSON "[\"not_allowed\",\"exec: the setting exec allows no program\"]");
    host.exec = kept;
}

static void misuse_raises(void **state)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"exec()", "exec: expected one table"},
        {"exec('git', 'pull')", "exec: expected one table"},
        {"exec 'true'", "exec: expected a table of options, got string"},
        {"exec {}", "exec: expected a program's name at position 1"},
        {"exec { cwd = '/' }", "exec: expected a program's name at position 1"},
        {"exec { true }", "exec: argument 1: expected a string or a number, got boolean"},
        {"exec { 'echo', {} }", "exec: argument 2: expected a string or a number, got table"},
        {"exec { 'echo', timout = 1 }", "exec: unknown option 'timout' (did you mean 'timeout'?)"},
        {"exec { 'echo', [1.5] = 1 }", "exec: a number is not a name of an option"},
        {"exec { 'echo', cwd = 1 }", "exec: cwd: expected a string, got number"},
        {"exec { 'echo', stdin = {} }", "exec: stdin: expected a string, got table"},
        {"exec { 'echo', env = 'A=1' }", "exec: env: expected a table of names and values, got string"},
        {"exec { 'echo', env = { 'A=1' } }", "exec: env: expected names with values, got a number as a name"},
        {"exec { 'echo', env = { ['A=B'] = 1 } }", "exec: env: \"A=B\" can be no variable's name"},
        {"exec { 'echo', env = { [''] = 1 } }", "exec: env: \"\" can be no variable's name"},
        {"exec { 'echo', env = { A = false } }", "exec: env: A: expected a string or a number, got boolean"},
        {"exec { 'echo', timeout = 0 }", "exec: timeout: expected more than 0 and at most 24h"},
        {"exec { 'echo', timeout = '2d' }", "exec: timeout: expected more than 0 and at most 24h"},
        {"exec { 'echo', timeout = 'soon' }", "exec: timeout: expected a duration"},
        {"exec { 'echo', max_output = '65MiB' }", "exec: max_output: expected at most 64MiB"},
        {"table.sort({ 1, 2 }, function() exec { 'true' } end)", "exec: cannot wait inside a callback"},
    };
    new_request(NULL, NULL, "");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expect_raised(cases[i].text, 500, cases[i].words);
    assert_non_null(run("local ok, e = exec { 'false' } return e.stdot"));
    until_ended();
    assert_int_equal(answer.end, TASK_FAILED);
    assert_non_null(strstr(buf_text(&answer.raised.log), "an error has no field 'stdot'"));
    assert_non_null(run("return assert(exec { 'sh', '-c', 'echo the reason >&2; exit 2' })"));
    until_ended();
    assert_int_equal(answer.end, TASK_FAILED);
    assert_int_equal(answer.raised.status, 500);
    assert_non_null(strstr(buf_text(&answer.raised.log), "sh: exit status 2: the reason"));
    assert_int_equal(answer.raised.detail.len, 0);
}

/* Whose request has ended is told nothing; what it started is ended, in whatever state that is. */
static void whoever_stops_waiting_leaves_nothing(void **state)
{
    for (int passes = 0; passes < 12; passes++) {
        new_request(NULL, NULL, "");
        struct task *t = run("exec { 'sh', '-c', 'echo x; sleep 1000', stdin = ('x'):rep(100000) }");
        assert_non_null(t);
        for (int i = 0; i < passes; i++)
            loop_pass(host.loop, DUR_MS(2));
        task_cancel(&t);
        assert_int_equal(answer.ended, 0);
    }
    gives("return exec({ 'echo', 'still' }).stdout", TEXT "still\n");
    new_request(NULL, NULL, "");
    struct task *t = run("exec { 'sh', '-c', 'sleep 3 & echo out' }"); /* over, but for its pipe */
    for (int i = 0; i < 50; i++)
        loop_pass(host.loop, DUR_MS(5));
    assert_int_equal(answer.ended, 0);
    task_cancel(&t);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "spawner") == 0)
        return spawner_main(argc > 2 ? argv[2] : NULL);
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(a_result_is_a_table),
        TEST(what_goes_wrong_is_nil_and_an_error),
        TEST(misuse_raises),
        TEST(whoever_stops_waiting_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
