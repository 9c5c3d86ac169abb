/*
 * test_bind_globals.c: sleep waits on the loop and can be cancelled; log and print write one record; what this version
 * lacks is refused by name; no script can change a global of another.
 */
#include "base/log.h"
#include "codec/json.h"
#include "handle.h"
#include <unistd.h>

static void sleep_waits_and_the_loop_goes_on(void **state)
{
    const char *bodies[] = {
        "sleep(0.03) return 'up'",
        "sleep '30ms' return 'up'",
        "local ok = pcall(sleep, 0.03) return ok and 'up'",
        "coroutine.wrap(function() sleep(0.01) coroutine.wrap(sleep)(0.02) end)() return 'up'",
        "for i = 1, 3 do sleep '10ms' end return 'up'",
        "for v in coroutine.wrap(function() sleep(0.03) coroutine.yield('up') end) do return v end"};
    new_request(NULL, NULL, "");
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        mono_t start = mono_now();
        assert_non_null(run(bodies[i]));
        assert_int_equal(answer.ended, 0);
        while (answer.ended == 0)
            loop_pass(host.loop, DUR_MS(100));
        assert_string_equal(as_text(), "200 text/plain; charset=utf-8|up");
        assert_true(mono_since(mono_now(), start).ns >= 30000000);
    }
    assert_non_null(run("sleep(0) return 200"));
    while (answer.ended == 0)
        loop_pass(host.loop, DUR_MS(100));
    assert_int_equal(answer.response.status, 200);
}

static void a_cancelled_sleep_never_wakes(void **state)
{
    new_request(NULL, NULL, "");
    struct task *t = run("pcall(function() coroutine.wrap(function() sleep(0.01) end)() end) error('woke')");
    assert_non_null(t);
    task_cancel(&t);
    for (int i = 0; i < 3; i++)
        loop_pass(host.loop, DUR_MS(10));
    assert_int_equal(answer.ended, 0);
    assert_int_equal(task_count(lua), 0);
}

static void sleep_refuses_what_is_no_duration(void **state)
{
    const char *bad[] = {"-1", "0/0", "1/0", "1e9", "'soon'", "'-1s'", "'30d'", "{}", "nil", "true", ""};
    new_request(NULL, NULL, "");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char text[64];
        snprintf(text, sizeof(text), "sleep(%s) return 200", bad[i]);
        expect_raised(text, 500, "hooks/t.lua:1: bad argument #1 to 'sleep'");
    }
    expect_raised("table.sort({ 1, 2 }, function() sleep(1) end)", 500, "sleep: cannot wait inside a callback");
}

/* --- log --------------------------------------------------------------------------------------------------------- */

static int pipe_ends[2];
static char line[65536];

/* The record that this body writes, as text. */
static const char *logged(const char *text)
{
    assert_int_equal(pipe(pipe_ends), 0);
    log_open(pipe_ends[1], LOG_INFO, "test", false);
    assert_null(run(text));
    if (answer.end == TASK_FAILED)
        print_message("%s\n", buf_text(&answer.raised.log));
    assert_int_equal(answer.end, TASK_RETURNED);
    close(pipe_ends[1]);
    log_open(STDERR_FILENO, LOG_INFO, "test", false); /* which has a way of its own to the pipe */
    ssize_t len = read(pipe_ends[0], line, sizeof(line) - 1);
    assert_true(len >= 0);
    line[len] = '\0';
    close(pipe_ends[0]);
    if (len > 0) { /* one line, valid JSON, whatever was logged */
        struct json_reader *reader = json_reader_new();
        struct json_fault fault;
        assert_true(line[len - 1] == '\n' && strchr(line, '\n') == line + len - 1);
        assert_int_equal(json_parse(reader, (struct slice){line, (size_t)len - 1}, &fault), 0);
        json_reader_free(&reader);
    }
    return line;
}

static void has(const char *record, const char *part)
{
    if (strstr(record, part) == NULL)
        print_message("%s\n", record);
    assert_non_null(strstr(record, part));
}

static void log_writes_one_record_with_fields(void **state)
{
    new_request(NULL, NULL, "");
    const char *record = logged("log.warn('paid', { order = 7, total = 12.345678901, ok = true, tags = { 'a' }, big = "
                                "2^53, n = json.null })");
    has(record, "\"level\":\"warn\"");
    has(record, "\"message\":\"paid\"");
    has(record, "\"order\":7");
    has(record, "\"total\":12.345678901");
    has(record, "\"ok\":true");
    has(record, "\"tags\":[\"a\"]");
    has(record, "\"n\":null");
    has(record, "\"script\":\"t\"");
    has(record, "\"at\":\"hooks/t.lua:1\"");
    has(logged("print('a', 1, nil, true)"), "\"message\":\"a\\u00091\\u0009nil\\u0009true\"");
    assert_string_equal(logged("log.debug('hidden')"), "");
}

static void a_log_line_does_not_end_a_request_nor_lie(void **state)
{
    new_request(NULL, NULL, "");
    has(logged("log.info('x', { f = print, t = { print } })"), "\"f\":\"function\"");
    has(logged("log.info('x', { a = 0/0, b = 1/0 })"), "\"b\":\"inf\"");
    has(logged("log.info('\\255\\0', { s = '\\255\\10' })"), "\xef\xbf\xbd");
    has(logged("log.info('abc\\0def')"), "\"message\":\"abc\\u0000def\"");
    has(logged("print('abc\\0', 'def')"), "\"message\":\"abc\\u0000\\u0009def\"");
    has(logged("log.info('x', { level = 'error', message = 'y', time = 1, ['a\\10b'] = 2 })"), "\"message_\":\"y\"");
    has(line, "\"a?b_\":2");
    has(logged("local t = {} for i = 1, 100 do t['f' .. i] = i end log.info('x', t)"), "\"fields_omitted\":68");
    has(logged("log.info('x', { big = { ('y'):rep(60000) } })"), "\"big\":\"table\"");
    has(logged("local t = {} for i = 1, 30 do t['f' .. i] = { ('y'):rep(2000) } end log.info('x', t)"), "\"table\"");
    has(logged("local t = {} for i = 1, 32 do t[('\\1'):rep(9) .. i] = ('z'):rep(900) end log.info('x', t)"), "_\":");
    expect_raised("log.info()", 500, "bad argument #1");
    expect_raised("log.info('x', 'y')", 500, "bad argument #2");
    expect_raised("log.info('x', { 'y' })", 500, "fields with names");
    expect_raised("log.info('x', {}, 1)", 500, "got 3 values");
}

static void arguments_that_nobody_reads_are_refused(void **state)
{
    new_request(NULL, NULL, "{}");
    expect_raised("sleep(0, 1)", 500, "sleep: expected at most 1 argument, got 2");
    expect_raised("json.decode('1', { depth = 2 })", 500, "json.decode: expected at most 1 argument, got 2");
    expect_raised("crypto.equals('a', 'a', 'b')", 500, "crypto.equals: expected at most 2 arguments, got 3");
    expect_raised("req:json(1)", 500, "req:json: expected at most 0 arguments, got 1");
    expect_raised("req:form(1)", 500, "req:form: expected at most 0 arguments, got 1");
    expect_raised("req:data(1)", 500, "req:data: expected at most 0 arguments, got 1");
    expect_raised("req:files(1)", 500, "req:files: expected at most 0 arguments, got 1");
    expect_raised("req:all_headers('a', 'b')", 500, "req:all_headers: expected at most 1 argument, got 2");
}

/* --- what is not there, and what is not shared -------------------------------------------------------------------- */

static void what_this_version_lacks_is_refused_by_name(void **state)
{
    const char *names[] = {"emit", "sql", "mail", "retry", "drop"};
    new_request(NULL, NULL, "");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char text[64], words[96];
        snprintf(text, sizeof(text), "local x = %s", names[i]);
        snprintf(words, sizeof(words), "hooks/t.lua:1: %s is not in this version of crescent", names[i]);
        expect_raised(text, 500, words);
        snprintf(text, sizeof(text), "%s('x')", names[i]);
        expect_raised(text, 500, words);
    }
    expect_raised("return jsn.encode {}", 500, "undeclared global 'jsn' (did you mean 'json'?)");
}

static void no_script_changes_a_global_of_another(void **state)
{
    const struct {
        const char *attack, *probe;
    } cases[] = {
        {"json.encode = error", "return json.encode { 1 } == '[1]' and 200"},
        {"crypto.equals = function() return true end", "return crypto.equals('a', 'b') == false and 200"},
        {"crypto.hex = nil crypto.base64 = {}", "return crypto.hex and crypto.base64 and 200"},
        {"for k, v in pairs(crypto) do if type(v) == 'table' then for n in pairs(v) do v[n] = error end end end",
         "for k, v in pairs(crypto) do if type(v) == 'table' then for n, f in pairs(v) do assert(f ~= error) end end "
         "end "
         "return 200"},
        {"log.info = error", "return log.info ~= error and 200"},
        {"reply.json = error", "return reply.json {}"},
        {"verify.hmac = error", "return verify.hmac ~= error and 200"},
        {"rawset(verify, 'hmac', error)", "return verify.hmac ~= error and 200"},
        {"getmetatable(verify).__index = error", "return verify.hmac and 200"},
        {"getmetatable(json.array {}).__index = function() return 'evil' end",
         "return json.array({}).x == nil and 200"},
        {"getmetatable(json.array {}).__tostring = error", "return json.array {}"},
        {"getmetatable(json.decode '[]').x = 1", "return json.decode '[]'"},
        {"getmetatable(json.object {}).__index = error", "return json.object {}"},
        {"getmetatable(json.decode '[12345678901234567890123]'[1]).__tostring = error",
         "return tostring(json.decode '[12345678901234567890123]'[1]) == '12345678901234567890123' and 200"},
        {"getmetatable(req).__index = error", "return req.method == 'POST' and 200"},
        {"getmetatable(req.headers).__index = error", "return req.headers['X-None'] == nil and 200"},
        {"getmetatable(reply.text 'x').__index = error", "return reply.text 'x'"},
        {"local ok, e = pcall(function() return req.query end) getmetatable(e).__tostring = error",
         "local ok, e = pcall(function() return req.query end) return type(tostring(e)) == 'string' and 200"},
        {"setmetatable(json, {})", "return json.encode {} and 200"},
        {"env = { SECRET = 'x' }", "return 200"},
    };
    new_request("a=%zz", NULL, "");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        run(cases[i].attack); /* it may fail: what counts is the other script */
        assert_null(run(cases[i].probe));
        if (answer.end == TASK_FAILED || answer.response.status != 200)
            print_message("after %s: %s\n", cases[i].attack,
                          answer.end == TASK_FAILED ? buf_text(&answer.raised.log) : answer.err.text);
        assert_int_equal(answer.end, TASK_RETURNED);
        assert_int_equal(answer.read, 0);
        assert_int_equal(answer.response.status, 200);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arguments_that_nobody_reads_are_refused),
        cmocka_unit_test(sleep_waits_and_the_loop_goes_on),
        cmocka_unit_test(a_cancelled_sleep_never_wakes),
        cmocka_unit_test(sleep_refuses_what_is_no_duration),
        cmocka_unit_test(log_writes_one_record_with_fields),
        cmocka_unit_test(a_log_line_does_not_end_a_request_nor_lie),
        cmocka_unit_test(what_this_version_lacks_is_refused_by_name),
        cmocka_unit_test(no_script_changes_a_global_of_another),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
