/*
 * test_interrupt.c: whatever runs for longer than its max_run in Lua is ended, and nothing else is: endless loops of
 * all kinds, compiled and not; the task that comes next; a task that waits; many short stretches.
 */
#include "harness.h"
#include "script/interrupt.h"
#include <luajit.h>
#include <time.h>

#define LIMIT DUR_MS(40)

static double cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* Each of these never ends by itself. */
static const char *const endless[] = {
    "while true do end",
    "local i = 0 while true do i = i + 1 end",
    "local t = {} while true do t[#t % 10 + 1] = 1 end",
    "repeat until false",
    "for i = 1, math.huge do end",
    "goto a ::a:: goto a",
    "local function f(n) if n == 0 then return 0 end return f(n - 1) end while true do f(50) end",
    "local function f() return f() end f()",
    "while true do local s = string.format('%d', 7) end",
    "while true do pcall(error) end",
    "while true do pcall(function() while true do end end) end",
    "while true do pcall(pcall, function() while true do end end) end",
    "return pcall(function() while true do end end)",
    "return select('#', pcall(pcall, pcall, function() while true do end end))",
    "repeat until false and pcall(error)",
    "xpcall(function() while true do end end, function(e) while true do end end) while true do end",
    "xpcall(error, function() while true do end end)",
    "return xpcall(function() while true do end end, function() return 'caught' end)",
    "xpcall(function() error(setmetatable({}, { __tostring = function() while true do end end })) end,"
    " function(e) return tostring(e) end)",
    "local co = coroutine.wrap(function() while true do end end) co()",
    "while true do local co = coroutine.wrap(function() coroutine.yield() end) co() co() end",
    "while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
    "local co = coroutine.wrap(function() while true do coroutine.yield(1) end end) while true do co() end",
    "local function nest(n) if n == 0 then while true do end end return coroutine.wrap(nest)(n - 1) end nest(20)",
    "('x'):gsub('.', function() while true do end end)",
    "(('x'):rep(100)):gsub('.', function() pcall(function() while true do end end) end) while true do end",
    "local t = {} for i = 1, 100 do t[i] = i end table.sort(t, function() while true do end end)",
    "local t = {} for i = 1, 100 do t[i] = i end"
    " while true do pcall(table.sort, t, function(a, b) return a < b end) end",
    "local t = setmetatable({}, { __index = function() while true do end end }) return t.x",
    "local t = setmetatable({}, { __index = function(t, k) return t[k + 1] end }) while true do pcall(function() "
    "return t[1] end) end",
    "for a in function() return 1 end do end",
    "for k in next, setmetatable({ 1 }, {}) do while true do end end",
    "local s = '' while true do s = s:sub(1, 10) .. 'x' end",
    "while true do local s = tostring({}) end",
    "while true do local t = { 1, 2, 3 } end",
    "while true do local f = function() end f() end",
    "while true do local s = ('x'):rep(1000) end",
    "while true do load('return 1')() end",
    "local i = 0\nwhile true do\n  i = i + 1\n  if i % 1000 == 0 then\n    i = i + 1\n  end\nend",
    "error(setmetatable({}, { __tostring = function() while true do end end }))",
};

static void check_endless(struct state *s, const char *body)
{
    struct run r;
    double began = cpu_ms();
    struct task *t = start(s, body, &r);
    double took = cpu_ms() - began;
    if (t != NULL || r.ended != 1 || r.end != TASK_FAILED || !r.error.interrupted ||
        strstr(r.text, "ran for longer than max_run (40ms)") == NULL)
        print_message("%s\n  %s\n", body, r.text);
    assert_null(t);
    assert_int_equal(r.ended, 1);
    assert_int_equal(r.end, TASK_FAILED);
    assert_true(r.error.interrupted);
    assert_int_equal(r.error.status, 500);
    assert_non_null(strstr(r.text, "ran for longer than max_run (40ms)"));
    assert_true(took >= 40);
    if (took >= 240)
        print_message("%s: %.1f ms\n", body, took);
    assert_true(took < 240); /* usual: 45, of CPU time */
    script_error_free(&r.error);
}

static void every_endless_loop_ends(bool jit)
{
    struct state *s = new_bounded_state(64 << 20, jit, LIMIT);
    for (size_t i = 0; i < sizeof(endless) / sizeof(endless[0]); i++) {
        check_endless(s, endless[i]);
        expect(s, "local sum = 0 for i = 1, 1000 do sum = sum + i end return sum", "500500"); /* the next one is free */
        assert_null(lua_gethook(state_lua(s)));
    }
    end_state(&s);
}

static void every_endless_loop_ends_interpreted(void **unused)
{
    every_endless_loop_ends(false);
}

static void every_endless_loop_ends_compiled(void **unused)
{
    every_endless_loop_ends(true);
}

/* --- who is not interrupted ----------------------------------------------------------------------------------------
 */

/* Busy for so many ms of CPU time, in C. */
static int l_burn(lua_State *L)
{
    double until = cpu_ms() + luaL_checknumber(L, 1);
    while (cpu_ms() < until)
        continue;
    return 0;
}

static int l_late_wait(lua_State *L)
{
    l_burn(L);
    lua_remove(L, 1);
    return l_wait(L);
}

static void open_with_burn(lua_State *L)
{
    open_globals(L);
    lua_pushcfunction(L, l_late_wait);
    lua_setfield(L, -2, "late_wait");
    lua_pushcfunction(L, l_burn);
    lua_setfield(L, -2, "burn");
}

static struct state *new_burning_state(dur_t max_run)
{
    return new_opened_state(64 << 20, true, max_run, open_with_burn);
}

static void short_stretches_are_never_hit_however_many(void **unused)
{
    struct state *s = new_burning_state(LIMIT);
    struct run r;
    for (int i = 0; i < 100; i++) /* between two ticks begins another one, at their borders too */
        expect(s, "burn(9.7) return 'done'", "done");
    struct task *t = start(s, "for i = 1, 40 do burn(7.3) wait(1) end return 'done'", &r);
    for (size_t i = 0; i < 40; i++) {
        assert_non_null(t);
        wait_count = 0; /* the next wait takes its place */
        complete(0);
    }
    assert_int_equal(r.end, TASK_RETURNED);
    assert_string_equal(r.text, "done");
    expect(s, "burn(30) return 'done'", "done");
    end_state(&s);
}

static void what_is_in_c_is_interrupted_when_it_comes_back(void **unused)
{
    struct state *s = new_burning_state(LIMIT);
    expect_error(s, "burn(400) return 'done'", "ran for longer than max_run (40ms)");
    expect_error(s, "pcall(burn, 400) return 'done'", "ran for longer than max_run (40ms)");
    /* It ends by itself before any instruction of Lua: there is nothing to interrupt any more. */
    expect(s, "return pcall(burn, 100)", "true");
    end_state(&s);
}

static void time_outside_of_stretches_is_nobodys(void **unused)
{
    struct state *s = new_burning_state(LIMIT);
    struct run r;
    struct task *t = start(s, "wait(1) local sum = 0 for i = 1, 1000 do sum = sum + i end return sum", &r);
    double until = cpu_ms() + 150;
    while (cpu_ms() < until)
        continue;
    assert_non_null(t);
    complete(0);
    assert_string_equal(r.text, "500500");
    end_state(&s);
}

static void a_task_that_waits_beside_a_runaway_goes_on(void **unused)
{
    struct state *s = new_bounded_state(64 << 20, true, LIMIT);
    struct run r, other;
    struct task *t =
        start(s, "local a = wait(1) local b = coroutine.wrap(function() return (wait(2)) end)() return a + b", &r);
    assert_null(start(s, "while true do end", &other));
    assert_true(other.error.interrupted);
    script_error_free(&other.error);
    complete(0);
    assert_null(start(s, "coroutine.wrap(function() while true do end end)()", &other));
    assert_true(other.error.interrupted);
    script_error_free(&other.error);
    assert_non_null(t);
    complete(1);
    assert_int_equal(r.ended, 1);
    assert_string_equal(r.text, "3");
    end_state(&s);
}

/* --- waits ---------------------------------------------------------------------------------------------------------
 */

static void a_runaway_after_a_wait_ends_and_its_next_waits_are_cancelled(void **unused)
{
    struct state *s = new_burning_state(LIMIT);
    struct run r;
    assert_non_null(start(s, "wait(1) while true do end", &r));
    complete(0);
    assert_int_equal(r.ended, 1);
    assert_true(r.error.interrupted);
    script_error_free(&r.error);
    /* The time is over when the wait begins, in a coroutine whose resume is Lua: it is never handed outwards. */
    assert_non_null(start(s, "coroutine.wrap(function() wait(1) burn(400) wait(2) end)()", &r));
    complete(1);
    assert_true(r.error.interrupted);
    script_error_free(&r.error);
    assert_null(
        start(s, "local function f() local ok = pcall(burn, 400) return wait(1) end return coroutine.wrap(f)()", &r));
    assert_true(r.error.interrupted);
    script_error_free(&r.error);
    assert_int_equal(task_count(s), 0);
    end_state(&s);
}

/*
 * The time is over as a wait begins. In a coroutine, whose resume is Lua, it is not handed outwards any more: it is
 * cancelled. Where it is the task that waits, the stretch has ended by itself, and the task goes on.
 */
static void a_wait_that_begins_when_the_time_is_over(void **unused)
{
    struct state *s = new_burning_state(LIMIT);
    struct run r;
    assert_null(start(s, "return coroutine.wrap(function() return (late_wait(100, 1)) end)()", &r));
    assert_true(r.error.interrupted);
    assert_int_equal(cancel_count, 1);
    script_error_free(&r.error);
    assert_null(start(s, "local ok = pcall(coroutine.wrap(function() late_wait(100, 1) end)) return wait(2)", &r));
    assert_true(r.error.interrupted);
    assert_int_equal(cancel_count, 2);
    script_error_free(&r.error);
    wait_count = 0;
    assert_non_null(start(s, "return (late_wait(100, 1))", &r));
    complete(0);
    assert_string_equal(r.text, "1");
    assert_int_equal(cancel_count, 2);
    assert_int_equal(task_count(s), 0);
    end_state(&s);
}

/* --- errors of other kinds -----------------------------------------------------------------------------------------
 */

static void handlers_of_errors_are_called_as_ever(void **unused)
{
    struct state *s = new_bounded_state(64 << 20, true, LIMIT);
    expect(s, "return xpcall(error, function(e) return 'seen ' .. e end, 'x')", "false,seen x");
    expect(s, "return xpcall(function(a, b) return a + b end, function() end, 1, 2)", "true,3");
    expect(s, "return select('#', xpcall(function() return nil, nil end, function() end))", "3");
    expect(s, "local ok, e = pcall(xpcall, function() end) return ok, (e:match 'bad argument #2')",
           "false,bad argument #2");
    expect(s, "return xpcall(function() local x = nil + 1 end, function(e) return e:match 'arithmetic' end)",
           "false,arithmetic");
    expect(s, "return (select(2, xpcall(function() error({ 7 }) end, function(e) return e[1] end)))", "7");
    struct run r; /* a wait passes through it */
    assert_non_null(start(s, "return xpcall(function() return wait(4) end, function() end)", &r));
    complete(0);
    assert_string_equal(r.text, "true,4,done");
    end_state(&s);
}

static void memory_and_stack_end_it_too_and_are_told_as_that(void **unused)
{
    struct state *s = new_bounded_state(16 << 20, true, DUR_S(5));
    struct run r;
    assert_null(start(s, "local t = {} while true do t[#t + 1] = ('x'):rep(1e5) .. #t end", &r));
    assert_true(r.error.memory && !r.error.interrupted);
    script_error_free(&r.error);
    assert_null(start(s, "local function f() return 1 + f() end return f()", &r));
    assert_true(!r.error.memory && !r.error.interrupted);
    assert_non_null(strstr(r.text, "stack overflow"));
    script_error_free(&r.error);
    end_state(&s);
    s = new_bounded_state(16 << 20, true, LIMIT);
    for (int i = 0; i < 5; i++) { /* at the ceiling, the words for it may not fit: it ends all the same */
        assert_null(
            start(s, "local t = {} while true do pcall(function() while true do t[#t + 1] = {} end end) end", &r));
        assert_int_equal(r.end, TASK_FAILED);
        script_error_free(&r.error);
        expect(s, "return 'next'", "next");
    }
    end_state(&s);
}

static void a_top_level_that_does_not_end_is_no_script(void **unused)
{
    struct state *s = new_bounded_state(64 << 20, true, LIMIT);
    struct sandbox_chunk chunk;
    char *message = NULL;
    assert_int_equal(sandbox_load(s, SLICE("local x\nwhile true do end"), "hooks/t.lua", NULL, &chunk, &message), -1);
    assert_string_equal(message, "hooks/t.lua:2: ran for longer than max_run (40ms)");
    free(message);
    expect(s, "return 'next'", "next");
    end_state(&s);
}

/* --- where compiled code cannot be interrupted ---------------------------------------------------------------------
 */

static bool compiler_is_on(struct state *s)
{
    lua_State *L = state_lua(s);
    int top = lua_gettop(L);
    lua_getglobal(L, "jit");
    lua_getfield(L, -1, "status");
    assert_int_equal(lua_pcall(L, 0, 1, 0), 0);
    bool on = lua_toboolean(L, -1);
    lua_settop(L, top);
    return on;
}

static void nothing(void *data, lua_State *L, int samples, int vm_state)
{
}

static void without_the_profiler_there_is_no_compiler(void **unused)
{
    lua_State *other = luaL_newstate();
    luaJIT_profile_start(other, "i2000000000", nothing, NULL); /* it serves one state of a process */
    struct state *s = new_bounded_state(64 << 20, true, LIMIT);
    assert_false(compiler_is_on(s));
    check_endless(s, "while true do end");
    expect(s, "return 'next'", "next");
    end_state(&s);
    luaJIT_profile_stop(other);
    lua_close(other);
    s = new_bounded_state(64 << 20, true, LIMIT);
    assert_true(compiler_is_on(s));
    end_state(&s);
}

int main(void)
{
    log_open(2, LOG_OFF, "test", LOG_JSON_LINES);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_endless_loop_ends_interpreted),
        cmocka_unit_test(every_endless_loop_ends_compiled),
        cmocka_unit_test(short_stretches_are_never_hit_however_many),
        cmocka_unit_test(what_is_in_c_is_interrupted_when_it_comes_back),
        cmocka_unit_test(time_outside_of_stretches_is_nobodys),
        cmocka_unit_test(a_task_that_waits_beside_a_runaway_goes_on),
        cmocka_unit_test(a_runaway_after_a_wait_ends_and_its_next_waits_are_cancelled),
        cmocka_unit_test(a_wait_that_begins_when_the_time_is_over),
        cmocka_unit_test(handlers_of_errors_are_called_as_ever),
        cmocka_unit_test(memory_and_stack_end_it_too_and_are_told_as_that),
        cmocka_unit_test(a_top_level_that_does_not_end_is_no_script),
        cmocka_unit_test(without_the_profiler_there_is_no_compiler),
    };
#ifdef __SANITIZE_THREAD__ /* it keeps signals back until a system call, and an endless loop makes none */
    return 0;
#endif
    return cmocka_run_group_tests(tests, NULL, NULL);
}
