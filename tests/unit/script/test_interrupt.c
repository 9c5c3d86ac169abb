/*
 * test_interrupt.c: whatever runs for longer than its max_run in Lua is ended, and nothing else is: endless loops of
 * all kinds, compiled and not; the task that comes next; a task that waits; many short stretches.
 */
#include "harness.h"
#include "script/interrupt.h"
#include <sys/time.h>
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
    if (took > 70)
        print_message("%s: %.1f ms\n", body, took);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_endless_loop_ends_interpreted),
        cmocka_unit_test(every_endless_loop_ends_compiled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
