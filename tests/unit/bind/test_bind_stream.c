/*
 * Promises of reply.stream and reply.sse: their options are checked, their headers are right, and write and send hand
 * over exactly what they were given, piece by piece, waiting where the client does; misuse is an error in words.
 */
#include "bind/bind_stream.h"
#include "handle.h"
#include "http/stream.h"

static struct { /* a client who takes so many bytes, then waits until more is allowed */
    struct buf got;
    size_t allowed;
    struct bind_stream *stream;
    struct task *task;
    int leaked; /* registry: what the function was given */
    int ended;
    enum task_end end;
    struct script_error raised;
    struct error result;
    int result_code;
} client;

static bool client_write(void *cookie, struct slice bytes)
{
    assert_ptr_equal(cookie, &client);
    assert_true(bytes.len > 0 && bytes.len <= 2 * HTTP_STREAM_PIECE + 64);
    buf_add_slice(&client.got, bytes);
    return client.got.len < client.allowed;
}

static size_t client_room(void *cookie)
{
    return HTTP_STREAM_PIECE;
}

static bool client_waits(void *cookie)
{
    return client.got.len >= client.allowed;
}

static void stream_over(enum task_end end, lua_State *co, int count, void *cookie)
{
    client.ended++;
    client.end = end;
    client.task = NULL;
    if (end == TASK_FAILED)
        script_error_read(co, &client.raised);
    else
        client.result_code = bind_stream_result(client.stream, co, count, &client.result);
    bind_stream_free(&client.stream);
}

static int push(lua_State *L)
{
    const struct bind_stream_host h = {client_write, client_room, client_waits, &client};
    bind_stream_push(L, &answer.plan, &h, &client.stream);
    lua_pushvalue(L, -1);
    client.leaked = luaL_ref(L, LUA_REGISTRYINDEX);
    return 2;
}

static void forget(void)
{
    if (client.task != NULL)
        task_cancel(&client.task);
    bind_stream_free(&client.stream);
    if (client.leaked != 0)
        luaL_unref(state_lua(lua), LUA_REGISTRYINDEX, client.leaked);
    buf_free(&client.got);
    script_error_free(&client.raised);
    memset(&client, 0, sizeof(client));
}

/* Runs handle's text, which returns a stream, and that stream's function for a client that takes `allowed` bytes. */
static void stream(const char *handle, size_t allowed)
{
    lua_State *L = state_lua(lua);
    forget();
    client.allowed = allowed;
    assert_null(run(handle));
    if (answer.end == TASK_FAILED)
        print_message("%s\n", buf_text(&answer.raised.log));
    assert_int_equal(answer.end, TASK_RETURNED);
    if (answer.read != 0)
        print_message("%s\n", answer.err.text);
    assert_int_equal(answer.read, 0);
    assert_true(answer.plan.function != 0);
    int top = lua_gettop(L);
    lua_pushcfunction(L, push);
    assert_int_equal(lua_pcall(L, 0, LUA_MULTRET, 0), 0);
    client.task = task_start(lua, lua_gettop(L) - top - 1, "t", 1, DUR_S(1), stream_over, NULL);
    if (client.task != NULL)
        bind_stream_belongs(client.stream, client.task);
}

static void expect_written(const char *text)
{
    if (client.end == TASK_FAILED)
        print_message("%s\n", buf_text(&client.raised.log));
    assert_int_equal(client.ended, 1);
    assert_int_equal(client.end, TASK_RETURNED);
    assert_int_equal(client.result_code, 0);
    assert_string_equal(buf_text(&client.got), text);
}

static void expect_broken(const char *words)
{
    assert_int_equal(client.ended, 1);
    assert_int_equal(client.end, TASK_FAILED);
    if (strstr(buf_text(&client.raised.log), words) == NULL)
        print_message("%s\n", buf_text(&client.raised.log));
    assert_non_null(strstr(buf_text(&client.raised.log), words));
}

static void options_and_headers(void **state)
{
    new_request(NULL, NULL, "");
    expect("return reply.stream(function() end)", "200 text/plain; charset=utf-8|");
    assert_true(answer.plan.function != 0 && !answer.plan.sse);
    assert_int_equal(answer.plan.timeout.ns, 0);
    assert_int_equal(answer.plan.heartbeat.ns, 0);
    expect("return reply.stream(function() end, { status = 201, type = 'text/csv', timeout = '2m', headers = { a = 'b' "
           "} })",
           "201 a: b|text/csv|");
    assert_int_equal(answer.plan.timeout.ns, 120000000000);
    expect("return reply.sse(function() end)", "200 text/event-stream|cache-control: no-cache|x-accel-buffering: no|");
    assert_true(answer.plan.sse);
    assert_int_equal(answer.plan.heartbeat.ns, 15000000000);
    expect("return reply.sse(function() end, { heartbeat = false, headers = { ['cache-control'] = 'no-store' } })",
           "200 cache-control: no-store|text/event-stream|x-accel-buffering: no|");
    assert_int_equal(answer.plan.heartbeat.ns, 0);
    expect("return reply.sse(function() end, { heartbeat = '1s' })",
           "200 text/event-stream|cache-control: no-cache|x-accel-buffering: no|");
    assert_int_equal(answer.plan.heartbeat.ns, 1000000000);
    expect("return 'x'", "200 text/plain; charset=utf-8|x");
    assert_int_equal(answer.plan.function, 0);

    expect_refused("return reply.stream(function() end, 204)", "204 answer cannot have a body");
    expect_refused("return reply.sse(function() end, { status = 304 })", "304 answer cannot have a body");
    expect_refused("return reply.sse(function() end, { headers = { ['Content-Type'] = 'x/y' } })",
                   "its own content-type");
    expect_refused("return 200, reply.stream(function() end)", "a reply has its own status");
    expect_refused("local r = reply.stream(function() end) rawset(r, 3, 5) return r", "no longer a function");
    expect_raised("return reply.stream()", 500, "reply.stream: expected a function, got nothing");
    expect_raised("return reply.sse('x')", 500, "reply.sse: expected a function, got string");
    expect_raised("return reply.stream(print, 100)", 500, "200 to 599");
    expect_raised("return reply.stream(print, { heartbeat = 1 })", 500, "unknown option 'heartbeat'");
    expect_raised("return reply.sse(print, { type = 'x' })", 500, "unknown option 'type'");
    expect_raised("return reply.sse(print, { heartbeet = '1s' })", 500, "did you mean 'heartbeat'");
    expect_raised("return reply.sse(print, { heartbeat = '500ms' })", 500, "heartbeat: expected false, or at least 1s");
    expect_raised("return reply.sse(print, { heartbeat = true })", 500, "heartbeat: expected a duration");
    expect_raised("return reply.stream(print, { timeout = 0 })", 500, "timeout: expected more than 0");
    expect_raised("return reply.stream(print, { timeout = {} })", 500, "timeout: expected a duration");
}

static void writes_arrive_in_order(void **state)
{
    new_request(NULL, NULL, "");
    stream("return reply.stream(function(write) write 'a' write '' write 'b' write(req.method) end)", 1000);
    expect_written("abPOST");
    stream("return reply.sse(function(send) send 'x\\ny' send { id = 7, event = 'e', retry = 1.5, data = { a = 1 } } "
           "send { data = 5 } send { id = '' } end)",
           1000);
    expect_written("data: x\ndata: y\n\nevent: e\nid: 7\nretry: 1500\ndata: {\"a\":1}\n\ndata: 5\n\nid: \n\n");
    stream("return reply.sse(function(send) send { id = 1732797219123456, data = 1732797219123457 } end)", 1000);
    expect_written("id: 1732797219123456\ndata: 1732797219123457\n\n");
    stream("return reply.stream(function(write) return nil end)", 1000);
    expect_written("");
}

static void a_large_text_waits_for_its_client_and_is_whole(void **state)
{
    new_request(NULL, NULL, "");
    stream("return reply.stream(function(write) local s = ('0123456789abcdef'):rep(65536) write(s) s = nil "
           "write 'end' end)",
           1);
    for (int rounds = 0; client.ended == 0; rounds++) {
        assert_true(rounds < 100);
        assert_int_equal(client.got.len,
                         (size_t)HTTP_STREAM_PIECE * (size_t)(rounds < 16 ? rounds + 1 : 16) + (rounds < 16 ? 0 : 3));
        lua_gc(state_lua(lua), LUA_GCCOLLECT, 0); /* the text on its way is nobody's but the stream's */
        bind_stream_ready(client.stream);
    }
    assert_int_equal(client.end, TASK_RETURNED);
    assert_int_equal(client.got.len, 1048576 + 3);
    for (size_t i = 0; i < 1048576; i++)
        if (client.got.at[i] != "0123456789abcdef"[i % 16])
            fail_msg("byte %zu", i);
}

static void an_event_larger_than_a_piece_is_whole(void **state)
{
    new_request(NULL, NULL, "");
    stream("return reply.sse(function(send) send(('line\\n'):rep(40000)) send 'x' end)", 1);
    for (int rounds = 0; client.ended == 0; rounds++) {
        assert_true(rounds < 100);
        lua_gc(state_lua(lua), LUA_GCCOLLECT, 0);
        bind_stream_ready(client.stream);
    }
    assert_int_equal(client.end, TASK_RETURNED);
    const char *at = buf_text(&client.got);
    for (int i = 0; i < 40000; i++, at += 11)
        assert_memory_equal(at, "data: line\n", 11);
    assert_string_equal(at, "data: \n\ndata: x\n\n");
}

static void waits_pass_through_pcall_and_coroutines(void **state)
{
    new_request(NULL, NULL, "");
    stream("return reply.stream(function(write) "
           "local ok = pcall(write, 'a') assert(ok) "
           "for s in coroutine.wrap(function() write 'b' coroutine.yield 'c' write 'd' end) do write(s) end "
           "local ok, err = pcall(function() write 'e' error 'f' end) write(tostring(err):match '[^ ]+$') end)",
           0);
    for (int rounds = 0; client.ended == 0; rounds++) {
        assert_true(rounds < 100);
        bind_stream_ready(client.stream);
    }
    expect_written("abcdef");
}

static void misuse_is_an_error_in_words(void **state)
{
    static const struct {
        const char *body, *words;
    } cases[] = {
        {"write()", "write: expected one string, got nothing"},
        {"write(nil)", "write: expected one string, got nil"},
        {"write(5)", "write: expected one string, got number"},
        {"write({})", "write: expected one string, got table"},
        {"write('a', 'b')", "write: expected one string, got several values"},
        {"local t = { 1, 2 } table.sort(t, function() write 'x' return false end)",
         "write: cannot wait inside a callback"},
        {"error { status = 422, detail = 'too late' }", "too late"},
    };
    static const struct {
        const char *body, *words;
    } sse[] = {
        {"send()", "send: expected a string or { data, event, id, retry }, got nothing"},
        {"send(5)", "got number"},
        {"send {}", "send: nothing to send"},
        {"send { 'x' }", "send: "},
        {"send { dta = 'x' }", "unknown option 'dta' (did you mean 'data'?)"},
        {"send { data = 'x', event = 'a\\nb' }", "send: event has a line break"},
        {"send { data = 'x', id = '1\\r2' }", "send: id has a line break"},
        {"send { data = 'x', id = {} }", "send: id: expected a string or a number, got table"},
        {"send { data = 'x', event = true }", "send: event: expected a string, got boolean"},
        {"send { data = true }", "send: data: expected a string"},
        {"send { data = { f = print } }", "send: data: "},
        {"send { data = 'x', retry = 'soon' }", "send: retry: expected a duration"},
        {"send { event = 'x' }", "without data never reaches a listener"},
        {"send '\\255'", "send: data is not UTF-8"},
    };
    char text[300];
    new_request(NULL, NULL, "");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(text, sizeof(text), "return reply.stream(function(write) %s end)", cases[i].body);
        stream(text, 1000);
        expect_broken(cases[i].words);
        assert_int_equal(client.got.len, 0);
    }
    for (size_t i = 0; i < sizeof(sse) / sizeof(sse[0]); i++) {
        snprintf(text, sizeof(text), "return reply.sse(function(send) %s end)", sse[i].body);
        stream(text, 1000);
        expect_broken(sse[i].words);
        assert_int_equal(client.got.len, 0);
    }
}

static void a_returned_value_is_refused(void **state)
{
    static const struct {
        const char *body, *words;
    } cases[] = {
        {"return 'text'", "returned a string: what it has to say, it writes"},
        {"return false", "returned a boolean"},
        {"return nil, 'no connection'", "returned nil, no connection"},
        {"return {}", "returned a table"},
    };
    char text[300];
    new_request(NULL, NULL, "");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(text, sizeof(text), "return reply.stream(function(write) %s end)", cases[i].body);
        stream(text, 1000);
        assert_int_equal(client.end, TASK_RETURNED);
        assert_int_equal(client.result_code, -1);
        assert_non_null(strstr(client.result.text, cases[i].words));
    }
}

static void raised_elsewhere(enum task_end end, lua_State *co, int count, void *cookie)
{
    assert_int_equal(end, TASK_FAILED);
    forget_answer();
    script_error_read(co, &answer.raised);
}

/* Another request calls what the stream's function was given. */
static void expect_refused_elsewhere(const char *words)
{
    lua_State *L = state_lua(lua);
    lua_rawgeti(L, LUA_REGISTRYINDEX, client.leaked);
    lua_pushliteral(L, "b");
    assert_null(task_start(lua, 1, "t", 1, DUR_S(1), raised_elsewhere, NULL));
    assert_non_null(strstr(buf_text(&answer.raised.log), words));
}

static void only_its_own_request_writes_and_only_while_it_lasts(void **state)
{
    new_request(NULL, NULL, "");
    stream("return reply.stream(function(write) write 'a' sleep '1h' end)", 0);
    expect_refused_elsewhere("write: this stream belongs to another request");
    stream("return reply.stream(function(write) write 'a' end)", 1000);
    expect_refused_elsewhere("write: the stream has ended");
    stream("return reply.sse(function(send) send 'a' end)", 0);
    task_cancel(&client.task); /* its client went in the middle of a write */
    bind_stream_free(&client.stream);
    lua_gc(state_lua(lua), LUA_GCCOLLECT, 0);
    expect_refused_elsewhere("send: the stream has ended");
}

static void passes(int count)
{
    for (int i = 0; i < count; i++)
        loop_pass(host.loop, DUR_MS(0));
}

/* Half a text with a proper end behind it would look like all of it. */
static void parts_write_in_turn_and_one_that_is_ended_in_a_write_ends_the_stream(void **state)
{
    new_request(NULL, NULL, "");
    stream("return reply.stream(function(write) parallel(function() write 'a' end, function() write 'b' end) write 'c' "
           "end)",
           1000);
    passes(3);
    expect_written("abc");
    stream("return reply.sse(function(send) parallel(function() send 'a' end, function() send 'b' end) end)", 0);
    passes(3);
    expect_broken("send: another send of this stream waits for its client");
    stream("return reply.stream(function(write) pcall(parallel, function() write 'a' end, error) end)", 0);
    passes(3);
    assert_int_equal(client.end, TASK_RETURNED);
    assert_int_equal(client.result_code, -1);
    assert_non_null(strstr(client.result.text, "a write of the stream was ended half way"));
    stream("return reply.sse(function(send) pcall(parallel, function() send 'a' end, error) send 'b' end)", 0);
    passes(3);
    expect_broken("send: another send of this stream was ended half way: nothing can follow it");
}

static void a_silent_stream_has_a_heartbeat(void **state)
{
    new_request(NULL, NULL, "");
    stream("return reply.sse(function(send) send 'a' sleep '2500ms' send 'b' end, { heartbeat = '1s' })", 1000);
    for (mono_t until = mono_add(mono_now(), DUR_S(10)); client.ended == 0 && mono_before(mono_now(), until);)
        loop_pass(host.loop, DUR_MS(50));
    expect_written("data: a\n\n:\n\n:\n\ndata: b\n\n");
}

static int forget_all(void **state)
{
    forget();
    if (answer.plan.function != 0)
        bind_reply_plan_drop(state_lua(lua), &answer.plan);
    return 0;
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, NULL, forget_all)
    const struct CMUnitTest tests[] = {
        TEST(options_and_headers),
        TEST(writes_arrive_in_order),
        TEST(a_large_text_waits_for_its_client_and_is_whole),
        TEST(an_event_larger_than_a_piece_is_whole),
        TEST(waits_pass_through_pcall_and_coroutines),
        TEST(misuse_is_an_error_in_words),
        TEST(a_returned_value_is_refused),
        TEST(only_its_own_request_writes_and_only_while_it_lasts),
        TEST(parts_write_in_turn_and_one_that_is_ended_in_a_write_ends_the_stream),
        TEST(a_silent_stream_has_a_heartbeat),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
