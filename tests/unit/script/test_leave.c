/*
 * test_leave.c: a task that is left ends at once and as a whole, with the value that was given, whatever its script had
 * put around the call: nothing of it runs on, and nothing stays behind for the next one.
 */
#include "harness.h"

/* Each body leaves with 'gone' before it waits, or once its parts have begun; whatever runs on then says so. */
static const char *const bodies[] = {
    "leave 'gone' ran()",
    "pcall(leave, 'gone') ran()",
    "return pcall(leave, 'gone')",
    "pcall(pcall, pcall, leave, 'gone') ran()",
    "xpcall(function() leave 'gone' end, ran) ran()",
    "for i = 1, 1e9 do pcall(leave, 'gone') end",
    "coroutine.wrap(function() pcall(function() coroutine.wrap(function() leave 'gone' end)() end) ran() end)() ran()",
    "local co = coroutine.create(function() leave 'gone' end) coroutine.resume(co) ran()",
    "local t = setmetatable({}, { __index = function() leave 'gone' end }) return t.x, ran()",
    "for _ in function() pcall(leave, 'gone') ran() end do ran() end",
    "load 'leave [[gone]]' () ran()",
    "pcall(parallel, function() wait(1) ran() end, function() leave 'gone' ran() end, function() ran() end) ran()",
    "pcall(parallel, function() pcall(parallel, function() pcall(leave, 'gone') ran() end, wait) ran() end, wait) "
    "ran()",
    "coroutine.wrap(function() pcall(parallel, wait, function() coroutine.wrap(leave)('gone') end) ran() end)() ran()",
    /* where nothing can yield */
    "table.sort({ 2, 1 }, function() leave 'gone' ran() end) ran()",
    "pcall(table.sort, { 2, 1 }, function() pcall(leave, 'gone') ran() end) ran()",
    "return pcall(table.sort, { 2, 1 }, function() return pcall(leave, 'gone') end)",
    "xpcall(table.sort, ran, { 2, 1 }, function() xpcall(leave, ran, 'gone') ran() end) ran()",
    "table.sort({ 3, 2, 1 }, function() while true do pcall(leave, 'gone') end end)",
    "while true do pcall(string.gsub, 'aaa', 'a', function() leave 'gone' end) end",
    "pcall(string.gsub, 'a', 'a', setmetatable({}, { __index = function() leave 'gone' end })) ran()",
    "pcall(string.gsub, 'a', 'a', function() coroutine.wrap(function() pcall(leave, 'gone') ran() end)() end) ran()",
    "coroutine.wrap(function() pcall(table.sort, { 2, 1 }, function() return leave 'gone' end) ran() end)() ran()",
    "local w = coroutine.wrap pcall(string.gsub, 'a', 'a', w(function() pcall(w(function() leave 'gone' end)) ran() "
    "end)) ran()",
    "local n = 0 while true do n = n + 1 pcall(table.sort, { 2, 1 }, function(a, b) if n == 3000 then pcall(leave, "
    "'gone') end return a < b end) end",
    "local t = setmetatable({}, { __lt = function() leave 'gone' end }) pcall(table.sort, { t, t }) ran()",
    "pcall(parallel, wait, function() pcall(table.sort, { 2, 1 }, function() pcall(leave, 'gone') ran() end) ran() "
    "end) "
    "ran()",
};

static size_t ran_count;

static int l_ran(lua_State *L)
{
    ran_count++;
    return 0;
}

static void open_with_ran(lua_State *L)
{
    open_globals(L);
    lua_pushcfunction(L, l_ran);
    lua_setfield(L, -2, "ran");
}

static void expect_left(struct state *s, const char *body)
{
    struct run r;
    wait_count = cancel_count = ran_count = 0;
    assert_true(start(s, body, &r) == NULL || r.ended == 0);
    passes(5);
    if (r.ended != 1 || r.end != TASK_LEFT || ran_count > 0)
        print_message("%s\n%s\n", body, r.text);
    assert_int_equal(r.ended, 1);
    assert_int_equal(r.end, TASK_LEFT);
    assert_string_equal(r.text, "gone");
    assert_int_equal(ran_count, 0);
    assert_int_equal(wait_count, cancel_count);
    assert_int_equal(task_count(s), 0);
}

static void nothing_holds_it(void **state)
{
    static const dur_t limits[] = {{0}, {5000000000}}; /* without and with what interrupts long stretches */
    for (size_t limit = 0; limit < 2; limit++) {
        struct state *s = new_opened_state(64 << 20, true, limits[limit], open_with_ran);
        for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
            expect_left(s, bodies[i]);
            /* the next one runs as ever, in compiled code too */
            expect(s, "local sum = 0 for i = 1, 1e5 do sum = sum + i % 3 end return sum, (pcall(error))",
                   "100000,false");
        }
        end_state(&s);
    }
}

static void it_may_follow_waits_and_gives_any_value(void **state)
{
    struct state *s = new_state(64 << 20, true);
    struct run r;
    start(s, "local a = wait(1) local b = coroutine.wrap(wait)(2) leave(a + b)", &r);
    complete(0);
    complete(1);
    assert_int_equal(r.end, TASK_LEFT);
    assert_string_equal(r.text, "3");
    start(s, "leave { delay = '10m' }", &r);
    assert_int_equal(r.end, TASK_LEFT);
    assert_string_equal(r.text, "table");
    start(s, "table.sort({ 2, 1 }, function() leave(nil) end)", &r);
    assert_int_equal(r.end, TASK_LEFT);
    assert_string_equal(r.text, "nil");
    end_state(&s);
}

static void only_the_first_call_counts(void **state)
{
    struct state *s = new_state(64 << 20, true);
    struct run r;
    start(s, "pcall(table.sort, { 3, 2, 1 }, function() pcall(leave, 'first') leave 'second' end) leave 'third'", &r);
    assert_int_equal(r.end, TASK_LEFT);
    assert_string_equal(r.text, "first");
    end_state(&s);
}

static void a_coroutine_that_was_left_is_dead(void **state)
{
    struct state *s = new_state(64 << 20, true);
    struct sandbox_chunk chunk =
        load(s, "local co return { leave = function() co = coroutine.create(function() leave(1) "
                "end) coroutine.resume(co) end,\n"
                "look = function() return coroutine.status(co), coroutine.resume(co) end }");
    lua_State *L = state_lua(s);
    struct run r = {0};
    lua_rawgeti(L, LUA_REGISTRYINDEX, chunk.result);
    lua_getfield(L, -1, "leave");
    assert_null(task_start(s, 0, "t", 1, DUR_S(1), note_end, &r));
    assert_int_equal(r.end, TASK_LEFT);
    lua_getfield(L, -1, "look");
    assert_null(task_start(s, 0, "t", 1, DUR_S(1), note_end, &r));
    assert_string_equal(r.text, "dead,false,cannot resume a coroutine whose wait was cancelled");
    lua_pop(L, 1);
    sandbox_unload(s, &chunk);
    end_state(&s);
}

static void while_a_script_loads_there_is_nothing_to_leave(void **state)
{
    struct state *s = new_state(64 << 20, true);
    struct sandbox_chunk chunk;
    char *message = NULL;
    assert_int_equal(sandbox_load(s, SLICE("\nleave 'x'"), "hooks/a.lua", NULL, &chunk, &message), -1);
    assert_string_equal(message, "hooks/a.lua:2: leave: cannot be called while the script loads");
    free(message);
    end_state(&s);
}

static void a_thousand_rounds_leave_no_memory_behind(void **state)
{
    struct state *s = new_opened_state(64 << 20, true, (dur_t){0}, open_with_ran);
    lua_State *L = state_lua(s);
    size_t before = 0, references = 0, count = sizeof(bodies) / sizeof(bodies[0]);
    for (size_t round = 0; round < 1000; round++) {
        const char *body = bodies[round % count];
        if (strstr(body, "3000") == NULL)
            expect_left(s, body);
        if (round != 299 && round != 999)
            continue;
        lua_gc(L, LUA_GCCOLLECT, 0);
        lua_gc(L, LUA_GCCOLLECT, 0);
        if (round == 299) {
            before = state_memory(s);
            references = lua_objlen(L, LUA_REGISTRYINDEX);
        }
    }
    assert_true(state_memory(s) < before + 32768);
    assert_true(lua_objlen(L, LUA_REGISTRYINDEX) < references + REFERENCES_SPARE);
    end_state(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_holds_it),
        cmocka_unit_test(it_may_follow_waits_and_gives_any_value),
        cmocka_unit_test(only_the_first_call_counts),
        cmocka_unit_test(a_coroutine_that_was_left_is_dead),
        cmocka_unit_test(while_a_script_loads_there_is_nothing_to_leave),
        cmocka_unit_test(a_thousand_rounds_leave_no_memory_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
