/*
 * test_bind_kv.c: kv as scripts see it, over a keeper's desk and a store without a disk on the same loop: values and
 * their kinds, options, misuse in words, what the world does, and waits that are given up.
 */
#include "base/log.h"
#include "base/panic.h"
#include "handle.h"
#include "ipc/calls.h"
#include "keeper/desk.h"
#include "store/memory.h"
#include <unistd.h>

static struct store *store;
static struct store_memory *memory;
static struct keeper_desk *desk;
static struct link *worker, *keeper; /* its two ends */

static void on_turned(void *cookie, bool up, const char *why)
{
}

static void on_send(void *cookie, uint32_t slot, const struct message *m)
{
    if (keeper != NULL)
        link_send(keeper, m);
}

static void on_kv(struct link *l, const struct message *m, void *cookie)
{
    assert_true(keeper_desk_kv(desk, 0, &m->kv));
}

static void on_kv_done(struct link *l, const struct message *m, void *cookie)
{
    assert_true(calls_answer(host.calls, m));
}

static void on_keeper_ended(struct link *l, const char *why, void *cookie)
{
    link_free(&keeper);
}

static void on_worker_ended(struct link *l, const char *why, void *cookie)
{
    calls_link(host.calls, NULL);
    link_free(&worker);
}

static const struct link_handlers of_keeper = {.on = {[MESSAGE_kv] = on_kv}, .ended = on_keeper_ended};
static const struct link_handlers of_worker = {.on = {[MESSAGE_kv_done] = on_kv_done}, .ended = on_worker_ended};

static void join(void)
{
    int ends[2];
    assert_int_equal(channel_pair(ends), 0);
    worker = link_new(host.loop, ends[0], &of_worker, NULL);
    keeper = link_new(host.loop, ends[1], &of_keeper, NULL);
    calls_link(host.calls, worker);
}

static void part(void)
{
    calls_link(host.calls, NULL);
    link_free(&worker);
    link_free(&keeper);
    keeper_desk_left(desk, 0);
}

static int begin(void **state)
{
    struct error err;
    int done = set_up(state);
    log_open(STDERR_FILENO, LOG_OFF, "test", false);
    memory = store_memory_new();
    struct store_place place = store_memory_place(memory);
    store = store_new(&(struct store_host){.loop = host.loop, .turned = on_turned}, &place, &err);
    desk = keeper_desk_new(1, store, on_send, NULL);
    host.calls = calls_new(host.loop, NULL);
    join();
    new_request(NULL, NULL, "");
    return done != 0 || store == NULL;
}

static int end(void **state)
{
    store_memory_hold(memory, STORE_MEMORY_NONE);
    part();
    assert_true(store_free(&store, DUR_S(60)));
    keeper_desk_free(&desk);
    store_memory_free(&memory);
    calls_free(&host.calls);
    forget_answer();
    bind_req_end(&request);
    return tear_down(state);
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

#define TEXT(words) "200 text/plain; charset=utf-8|" words
#define JSON(text) "200 application/json|" text

static void raises(const char *text, int status, const char *words)
{
    if (run(text) != NULL)
        until_ended();
    assert_int_equal(answer.end, TASK_FAILED);
    if (answer.raised.status != status || strstr(buf_text(&answer.raised.log), words) == NULL)
        print_message("%s\nraised: %d %s\n", text, answer.raised.status, buf_text(&answer.raised.log));
    assert_int_equal(answer.raised.status, status);
    assert_non_null(strstr(buf_text(&answer.raised.log), words));
}

static void values_keep_their_kind(void **state)
{
    gives("return tostring(kv.get 'none')", TEXT("nil"));
    gives("return { kv.set('s', '1'), type(kv.get 's'), kv.get 's' }", JSON("[true,\"string\",\"1\"]"));
    gives("kv.set('n', 1) return { type(kv.get 'n'), kv.get 'n' }", JSON("[\"number\",1]"));
    gives("kv.set('n', 0.1) return tostring(kv.get 'n' == 0.1)", TEXT("true"));
    gives("kv.set('t', { a = { 1, 2, { b = json.null } }, e = {}, l = json.array() }) local t = kv.get 't' "
          "return { t.a[3].b == json.null, json.encode(t.e), json.encode(t.l), #t.a }",
          JSON("[true,\"{}\",\"[]\",3]"));
    gives("kv.set('i', json.decode '12345678901234567890') return tostring(kv.get 'i')", TEXT("12345678901234567890"));
    gives("local all = {} for i = 0, 255 do all[i + 1] = string.char(i) end all = table.concat(all) "
          "kv.set('b', all) kv.set(all, 'x') return { kv.get 'b' == all, kv.get(all), #kv.list() }",
          JSON("[true,\"x\",6]"));
    gives("kv.set('e', '') return { type(kv.get 'e'), #kv.get 'e' }", JSON("[\"string\",0]"));
    gives("local big = ('x'):rep(2^20) kv.set('big', big) return tostring(kv.get 'big' == big)", TEXT("true"));
}

static void each_function_does_what_it_says(void **state)
{
    gives("return { kv.add('a', 1), kv.add('a', 2), kv.get 'a' }", JSON("[true,false,1]"));
    gives("return { kv.incr 'n', kv.incr('n', 4), kv.incr('n', -6), kv.incr('n', 0.5) }", JSON("[1,5,-1,-0.5]"));
    gives("return { kv.delete 'n', kv.delete 'n' }", JSON("[true,false]"));
    gives("return { kv.ttl 'a' == math.huge, tostring(kv.ttl 'none') }", JSON("[true,\"nil\"]"));
    gives("kv.set('t', 1, { ttl = '1h' }) local t = kv.ttl 't' kv.set('t', 1) return { t > 3500 and t <= 3600, kv.ttl "
          "'t' == math.huge }",
          JSON("[true,true]"));
    gives("kv.incr('c', 1, { ttl = 60 }) kv.incr('c', 1, { ttl = '2h' }) return tostring(kv.ttl 'c' <= 60)",
          TEXT("true"));
    gives("kv.set('short', 1, { ttl = '20ms' }) sleep '40ms' return tostring(kv.get 'short')", TEXT("nil"));
    gives("for i = 1, 5 do kv.set('l:' .. i, i) end local some, after = kv.list('l:', { limit = 2 }) "
          "local more, none = kv.list('l:', { after = after }) return { some, after, more, tostring(none) }",
          JSON("[[\"l:1\",\"l:2\"],\"l:2\",[\"l:3\",\"l:4\",\"l:5\"],\"nil\"]"));
    gives("return kv.list 'nothing'", JSON("[]"));
    gives("local b, c = kv.bucket 'b', kv.bucket 'c' b.set('k', 'b') return { b.get 'k', tostring(c.get 'k'), "
          "tostring(kv.get 'k'), b.list() }",
          JSON("[\"b\",\"nil\",\"nil\",[\"k\"]]"));
    gives("return tostring(coroutine.wrap(function() return kv.get 'a' end)())", TEXT("1"));
}

static void what_the_world_does_is_nil_and_an_error(void **state)
{
    gives("kv.set('s', '5') local v, err = kv.incr 's' return { tostring(v), err.code, tostring(err), kv.get 's' }",
          JSON("[\"nil\",\"not_a_number\",\"kv.incr: s: the value there is not a number\",\"5\"]"));
    gives("kv.set('n', 2^53) local v, err = kv.incr('n', 2) return { tostring(v), err.code, kv.get 'n' == 2^53 }",
          JSON("[\"nil\",\"out_of_range\",true]"));
}

static void misuse_raises_in_words(void **state)
{
    raises("kv.get()", 500, "hooks/t.lua:1: kv.get: key: expected a string, got nothing");
    raises("kv.get(7)", 500, "kv.get: key: expected a string, got number");
    raises("kv.get('')", 500, "kv.get: a key has 1 to 512 bytes, not 0");
    raises("kv.get(('x'):rep(513))", 500, "kv.get: a key has 1 to 512 bytes, not 513");
    raises("kv.get('a', 'b')", 500, "kv.get: expected at most 1 arguments, got 2");
    raises("kv:get 'a'", 500, "kv.get: call it with a dot, not with a colon");
    raises("local b = kv.bucket 'x' b:set('a', 1)", 500, "kv.set: call it with a dot, not with a colon");
    raises("kv.gett 'a'", 500, "hooks/t.lua:1: kv has no 'gett' (did you mean 'get'?)");
    raises("kv.bucket('x').bucket 'y'", 500, "hooks/t.lua:1: a bucket has no 'bucket'");
    raises("kv.bucket()", 500, "hooks/t.lua:1: kv.bucket: expected a name, got nil");
    raises("kv.bucket ''", 500, "kv.bucket: a name has 1 to 128 bytes, not 0");
    raises("kv.bucket(('x'):rep(129))", 500, "kv.bucket: a name has 1 to 128 bytes, not 129");
    raises("kv.bucket('a', 'b')", 500, "kv.bucket: expected a name, got more");
    raises("kv.set('a')", 500, "kv.set: the value: expected a string, a number or a table, got nothing");
    raises("kv.set('a', nil)", 500, "got nil (kv.delete removes a key)");
    raises("kv.set('a', true)", 500, "expected a string, a number or a table, got boolean");
    raises("kv.set('a', json.null)", 500, "expected a string, a number or a table, got userdata");
    raises("kv.set('a', 0/0)", 500, "kv.set: expected a finite number");
    raises("kv.set('a', math.huge)", 500, "kv.set: expected a finite number, got inf");
    raises("kv.set('a', { f = print })", 500, "kv.set: the value: at /f: a function has no JSON form");
    raises("local t = {} t.t = t kv.set('a', t)", 500, "the table contains itself");
    raises("kv.set('a', ('x'):rep(2^20 + 1))", 500, "kv.set: a value has at most 1048576 bytes");
    raises("kv.set('a', { ('x'):rep(2^20) })", 500, "kv.set: a value has at most 1048576 bytes");
    raises("kv.set('a', 1, { tll = 1 })", 500, "kv.set: unknown option 'tll' (did you mean 'ttl'?)");
    raises("kv.set('a', 1, 5)", 500, "kv.set: expected a table of options, got number");
    raises("kv.set('a', 1, { ttl = 0 })", 500, "kv.set: ttl: expected at least 1ms");
    raises("kv.set('a', 1, { ttl = 'soon' })", 500, "kv.set: ttl: expected a duration");
    raises("kv.set('a', 1, {}, 2)", 500, "kv.set: expected at most 3 arguments, got 4");
    raises("kv.incr('a', '1')", 500, "kv.incr: expected a number to add, got string");
    raises("kv.incr('a', math.huge)", 500, "kv.incr: expected a finite number");
    raises("kv.list('', { limit = 0 })", 500, "kv.list: limit: expected a whole number from 1 to 1000");
    raises("kv.list('', { from = 'x' })", 500, "kv.list: unknown option 'from'");
    raises("kv.list(5)", 500, "kv.list: prefix: expected a string, got number");
    raises("table.sort({ 2, 1 }, function() kv.get 'a' end)", 500, "kv.get: cannot wait inside a callback");
    gives("return tostring(kv.get 'a')", TEXT("nil")); /* nothing of it was done */
}

static struct sandbox_chunk load_text(const char *text, const char *words)
{
    struct sandbox_chunk chunk = {0};
    char *message = NULL;
    int done = sandbox_load(lua, slice_of(text), "hooks/t.lua", NULL, &chunk, &message);
    assert_int_equal(done != 0, words != NULL);
    if (words != NULL && strstr(message, words) == NULL)
        print_message("%s\n", message);
    if (words != NULL)
        assert_non_null(strstr(message, words));
    free(message);
    return chunk;
}

static void at_load_there_are_buckets_and_no_calls(void **state)
{
    load_text("kv.get 'a'\nreturn function() end", "hooks/t.lua:1: kv.get: cannot wait while the script loads");
    load_text("local b = kv.bucket 'x'\nb.set('a', 1)\nreturn function() end",
              "hooks/t.lua:2: kv.set: cannot wait while the script loads");
    struct sandbox_chunk chunk = load_text("local b = kv.bucket 'x' return function() return b.get 'a' end", NULL);
    sandbox_unload(lua, &chunk);
}

static void a_store_that_is_away_raises_a_503_that_can_be_caught(void **state)
{
    store_memory_fail(memory, STORE_MEMORY_GET, false, false);
    raises("return kv.get 'a'", 503, "");
    assert_string_equal(buf_text(&answer.raised.detail), "the store is not available");
    assert_true(answer.raised.raised_problem);
    gives("local ok, e = pcall(kv.get, 'a') return { ok, e.status, tostring(e) }",
          JSON("[false,503,\"the store is not available\"]"));
    store_memory_fail(memory, STORE_MEMORY_COMMIT, true, true);
    raises("kv.set('a', 'x')", 503, "");
    assert_string_equal(buf_text(&answer.raised.detail),
                        "the store is not available: whether what was asked of it was done is not known");
    store_memory_fail(memory, STORE_MEMORY_NONE, false, false);
    while (store_memory_opened(memory) < 2)
        loop_pass(host.loop, DUR_MS(50));
    gives("return kv.get 'a'", TEXT("x"));
}

static void a_keeper_that_dies_is_asked_again(void **state)
{
    store_memory_hold(memory, STORE_MEMORY_COMMIT);
    assert_non_null(run("return tostring(kv.incr 'n')"));
    for (int i = 0; i < 5; i++)
        loop_pass(host.loop, DUR_MS(10));
    part(); /* the call is in its store, and will be done; its answer is lost */
    store_memory_hold(memory, STORE_MEMORY_NONE);
    for (int i = 0; i < 20; i++)
        loop_pass(host.loop, DUR_MS(10));
    assert_int_equal(answer.ended, 0);
    join();
    until_ended();
    assert_string_equal(as_text(), TEXT("1"));
    gives("return tostring(kv.get 'n')", TEXT("1"));
}

static void whoever_stops_waiting_leaves_nothing(void **state)
{
    for (int passes = 0; passes < 12; passes++) {
        struct task *t = run("kv.incr 'gone' return kv.get 'gone'");
        for (int i = 0; i < passes && answer.ended == 0; i++)
            loop_pass(host.loop, DUR_MS(5));
        if (answer.ended == 0)
            task_cancel(&t);
        for (int i = 0; i < 10; i++)
            loop_pass(host.loop, DUR_MS(5));
        assert_int_equal(calls_count(host.calls), 0);
    }
    assert_int_equal(task_count(lua), 0);
}

static void many_at_once_all_count(void **state)
{
    gives("local all = {} for i = 1, 64 do all[i] = coroutine.wrap(function() return kv.incr 'n' end) end "
          "for i = 1, 64 do all[i]() end return tostring(kv.get 'n')",
          TEXT("64"));
}

#ifdef __SANITIZE_THREAD__ /* the last of them waits for what copying all before it takes, which must be within five \
                              seconds */
#define LARGE_ONES "10"
#else
#define LARGE_ONES "24"
#endif

/* More than a keeper takes at a time, and than it takes in memory: all wait for their turn. */
static void more_than_fits_at_once_waits(void **state)
{
    gives("local list = {} for i = 1, 6000 do list[i] = function() return kv.incr 'n' end end "
          "parallel(list) return tostring(kv.get 'n')",
          TEXT("6000"));
    gives("local list = {} for i = 1, " LARGE_ONES
          " do list[i] = function() return kv.set('big' .. i, ('x'):rep(2^20 - i)) end end "
          "parallel(list) for i = 1, " LARGE_ONES " do assert(#kv.get('big' .. i) == 2^20 - i) end return 'all'",
          TEXT("all"));
    gives("local value, list = { text = ('y'):rep(2^19), n = 0 }, {} "
          "for i = 1, " LARGE_ONES " do list[i] = function() value.n = i return kv.set('t' .. i, value) end end "
          "parallel(list) for i = 1, " LARGE_ONES " do assert(kv.get('t' .. i).n == i) end return 'as they were'",
          TEXT("as they were"));
    gives("local list = {} for i = 1, 400 do list[i] = function() return #kv.list('big', { after = 'big' .. i % 10, "
          "limit "
          "= 1 }) end end return tostring(#parallel(list))",
          TEXT("400"));
}

/* What waits keeps its texts from the collector, and gives them back when it is told or given up. */
static void what_waits_keeps_its_texts(void **state)
{
    const char *text =
        "local list = {} for i = 1, 40 do list[i] = function() return kv.set(('k'):rep(i), ('x'):rep(2^18) .. i) end "
        "end parallel(list) return 'set'";
    part();
    struct task *t = run(text);
    for (int i = 0; i < 10; i++)
        loop_pass(host.loop, DUR_MS(5));
    lua_gc(state_lua(lua), LUA_GCCOLLECT, 0);
    join();
    until_ended();
    assert_string_equal(as_text(), TEXT("set"));
    gives("for i = 1, 40 do assert(kv.get(('k'):rep(i)) == ('x'):rep(2^18) .. i) end return 'whole'", TEXT("whole"));
    part();
    t = run(text);
    for (int i = 0; i < 10; i++)
        loop_pass(host.loop, DUR_MS(5));
    task_cancel(&t);
    assert_int_equal(calls_count(host.calls), 0);
    lua_gc(state_lua(lua), LUA_GCCOLLECT, 0);
    lua_gc(state_lua(lua), LUA_GCCOLLECT, 0);
    assert_true(lua_gc(state_lua(lua), LUA_GCCOUNT, 0) < 8 << 10);
    join();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(values_keep_their_kind, begin, end),
        cmocka_unit_test_setup_teardown(each_function_does_what_it_says, begin, end),
        cmocka_unit_test_setup_teardown(what_the_world_does_is_nil_and_an_error, begin, end),
        cmocka_unit_test_setup_teardown(misuse_raises_in_words, begin, end),
        cmocka_unit_test_setup_teardown(at_load_there_are_buckets_and_no_calls, begin, end),
        cmocka_unit_test_setup_teardown(a_store_that_is_away_raises_a_503_that_can_be_caught, begin, end),
        cmocka_unit_test_setup_teardown(a_keeper_that_dies_is_asked_again, begin, end),
        cmocka_unit_test_setup_teardown(whoever_stops_waiting_leaves_nothing, begin, end),
        cmocka_unit_test_setup_teardown(many_at_once_all_count, begin, end),
        cmocka_unit_test_setup_teardown(more_than_fits_at_once_waits, begin, end),
        cmocka_unit_test_setup_teardown(what_waits_keeps_its_texts, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
