/*
 * test_bind_save.c: req:save writes the whole body beneath the folder of files; what the world does is nil and an error
 * with a code, misuse raises; whoever stops waiting in the middle leaves no file, no memory, and no look into a request
 * that has gone.
 */
#include "base/fd.h"
#include "handle.h"
#include "io/pool.h"
#include <dirent.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#define LARGE ((size_t)3 << 20) /* several pieces, and not a multiple of one */

static char root[64];
static char *large;

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    return remove(path);
}

static int begin(void **state)
{
    int done = set_up(state);
    strcpy(root, "/tmp/crescent-save-XXXXXX");
    host.pool = pool_new(host.loop);
    host.files = mkdtemp(root);
    large = malloc(LARGE + 7);
    for (size_t i = 0; i < LARGE + 7; i++)
        large[i] = (char)('a' + i % 23);
    return done != 0 || host.files == NULL;
}

static int end(void **state)
{
    forget_answer();
    bind_req_end(&request);
    pool_free(&host.pool);
    free(large);
    return tear_down(state) != 0 || nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0;
}

static int entries(void)
{
    DIR *dir = opendir(root);
    int count = 0;
    assert_non_null(dir);
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count - 2;
}

static void until_ended(void)
{
    while (answer.ended == 0)
        loop_pass(host.loop, DUR_S(5));
}

/* Runs it to its end and compares the answer. */
static void gives(const char *text, const char *result)
{
    assert_non_null(run(text));
    until_ended();
    if (answer.end == TASK_FAILED)
        print_message("%s\nraised: %s\n", text, buf_text(&answer.raised.log));
    assert_int_equal(answer.end, TASK_RETURNED);
    assert_string_equal(as_text(), result);
}

static void assert_saved(const char *name, struct slice bytes)
{
    struct buf got = {0};
    char path[128];
    struct error err;
    snprintf(path, sizeof(path), "%s/%s", root, name);
    assert_int_equal(fd_read_file(path, 64 << 20, &got, &err), 0);
    assert_true(slice_equal(buf_slice(&got), bytes));
    buf_free(&got);
}

static void a_body_is_saved_whole(void **state)
{
    new_request(NULL, NULL, "words");
    gives("return req:save 'a.txt'", "200 text/plain; charset=utf-8|a.txt");
    assert_saved("a.txt", SLICE("words"));
    gives("return req:save('deep/er/b', { mkdir = true })", "200 text/plain; charset=utf-8|deep/er/b");
    http.body = SLICE("");
    gives("return req:save 'empty'", "200 text/plain; charset=utf-8|empty");
    assert_saved("empty", SLICE(""));
    for (size_t len = LARGE - 1; len <= LARGE + 1; len++) { /* around a multiple of the piece */
        http.body = (struct slice){large, len};
        gives("return req:save('large', { overwrite = true })", "200 text/plain; charset=utf-8|large");
        assert_saved("large", http.body);
    }
    gives("local co = coroutine.wrap(function() return req:save 'nested' end) return co()",
          "200 text/plain; charset=utf-8|nested");
}

static void what_the_world_does_is_nil_and_an_error_with_a_code(void **state)
{
    new_request(NULL, NULL, "words");
    gives("return req:save 'a'", "200 text/plain; charset=utf-8|a");
    gives("local ok, err = req:save 'a' return { ok == nil, err.code, tostring(err), 'why: ' .. err }",
          "200 application/json|[true,\"exists\",\"a: there is a file of this name already\","
          "\"why: a: there is a file of this name already\"]");
    gives("local ok, err = req:save 'no/where' return { ok == nil, err.code }",
          "200 application/json|[true,\"not_found\"]");
    expect("local ok, err = req:save '../a' return { ok == nil, err.code, tostring(err) }",
           "200 application/json|[true,\"bad_path\",\"the path has a part \\\".\\\" or \\\"..\\\"\"]");
    expect("local ok, err = req:save 'a\\0b' return err.code", "200 text/plain; charset=utf-8|bad_path");
    assert_non_null(run("return assert(req:save 'a')"));
    until_ended();
    assert_int_equal(answer.end, TASK_FAILED);
    assert_int_equal(answer.raised.status, 500);
    assert_non_null(strstr(buf_text(&answer.raised.log), "a: there is a file of this name already"));
    assert_int_equal(answer.raised.detail.len, 0);
    assert_non_null(run("return req:save 'a'")); /* and nothing that looks like success */
    until_ended();
    assert_int_equal(answer.read, -1);
    assert_non_null(strstr(answer.err.text, "handle returned nil, a: there is a file of this name already"));
}

static void misuse_raises(void **state)
{
    new_request(NULL, NULL, "words");
    expect_raised("return req:save()", 500, "req:save: expected a path, got nothing");
    expect_raised("return req:save(7)", 500, "req:save: expected a path, got number");
    expect_raised("return req:save('a', { overwrit = true })", 500, "did you mean 'overwrite'?");
    expect_raised("return req:save('a', true)", 500, "expected a table of options");
    expect_raised("return req:save('a', {}, 1)", 500, "expected a path and options, got 3 values");
    expect_raised("table.sort({ 1, 2 }, function() req:save 'a' end)", 500, "cannot wait inside a callback");
    expect_raised("local ok, err = req:save '/' return err.cod", 500, "an error has no field 'cod'");
    assert_int_equal(entries(), 0);
}

static void whoever_stops_waiting_leaves_nothing(void **state)
{
    for (int passes = 0; passes < 24; passes++) {
        char *body = malloc(LARGE);
        memset(body, 'x', LARGE);
        new_request(NULL, NULL, "");
        http.body = (struct slice){body, LARGE};
        struct task *t = run("return req:save('gone')");
        assert_non_null(t);
        for (int i = 0; i < passes && answer.ended == 0; i++)
            loop_pass(host.loop, DUR_MS(100));
        if (answer.ended == 0) {
            task_cancel(&t);
            bind_req_end(&request);
            http.body = SLICE("");
        }
        free(body); /* asan: a thread that still looked would be seen */
        if (answer.ended != 0)
            assert_saved("gone", (struct slice){memset(large, 'x', LARGE), LARGE});
    }
    new_request(NULL, NULL, "");
    gives("return req:save('last')", "200 text/plain; charset=utf-8|last"); /* behind all drops, or nearly */
    assert_true(entries() <= 2);
}

/* A script that keeps one request's object and uses it in another, while the first one ends. */
static void a_request_that_ends_meanwhile_is_an_error(void **state)
{
    struct http_request first_http;
    struct bind_req first;
    char *body = calloc(1, LARGE);
    new_request(NULL, NULL, "");
    first_http = http;
    first_http.body = (struct slice){body, LARGE};
    first = (struct bind_req){.http = &first_http, .match = &match, .auth = &auth};
    lua_State *L = state_lua(lua);
    bind_req_push(L, &first);
    lua_getfield(L, -1, "save");
    lua_insert(L, -2);
    lua_pushliteral(L, "kept");
    struct task *t = task_start(lua, 2, "t", 1, DUR_S(1), over, NULL);
    assert_non_null(t);
    bind_req_end(&first);
    free(body);
    until_ended();
    assert_int_equal(answer.end, TASK_RETURNED); /* with nil, err, which is no answer */
    assert_int_equal(answer.read, -1);
    assert_non_null(strstr(answer.err.text, "the request that the bytes are of has ended"));
    assert_int_equal(entries(), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(a_body_is_saved_whole),
        TEST(what_the_world_does_is_nil_and_an_error_with_a_code),
        TEST(misuse_raises),
        TEST(whoever_stops_waiting_leaves_nothing),
        TEST(a_request_that_ends_meanwhile_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
