/*
 * test_recursion.c: scripts that recurse through what is written in C, which calls them back.
 */
#include "harness.h"
#include <time.h>

static const struct {
    const char *name, *body;
} endless[] = {
    {"format", "local t = setmetatable({}, { __tostring = function(t) return string.format('%s', t) end })\n"
               "return string.format('%s', t)"},
    {"format method", "local t = setmetatable({}, { __tostring = function(t) return ('%d %s'):format(1, t) end })\n"
                      "return tostring(t)"},
    {"format many", "local t = setmetatable({}, { __tostring = function(t)\n"
                    "return ('%s %s %s %s %s %s %s'):format(1, 2, 3, 4, 5, 6, t) end }) return tostring(t)"},
    {"buffer put",
     "local buffer = require 'string.buffer'\n"
     "local t = setmetatable({}, { __tostring = function(t) return buffer.new():put(t):tostring() end })\n"
     "return tostring(t)"},
    {"buffer putf",
     "local buffer = require 'string.buffer'\n"
     "local t = setmetatable({}, { __tostring = function(t) return buffer.new():putf('%s', t):tostring()\n"
     "end }) return tostring(t)"},
    {"gsub", "local function f() return (('x'):gsub('.', f)) end return f()"},
    {"gsub table", "local t = {} setmetatable(t, { __index = function() return (('x'):gsub('.', t)) end })\n"
                   "return (('x'):gsub('.', t))"},
    {"sort", "local function f() local t = { 2, 1 } table.sort(t, f) return true end return f()"},
    {"sort by lt", "local m = {} function m.__lt() table.sort { setmetatable({}, m), setmetatable({}, m) } end\n"
                   "return m.__lt()"},
    {"load", "local function f() return load(f) end return f()"},
    {"tostring", "local t = setmetatable({}, { __tostring = function(t) local s = tostring(t) return s end })\n"
                 "return tostring(t)"},
    {"os.time", "local t = setmetatable({}, { __index = function(t) return os.time(t) end }) return os.time(t)"},
    {"require", "setmetatable(package.loaded, { __index = function(t, k) return require(k) end }) return require 'x'"},
    {"a mixture", "local f local t = setmetatable({}, { __tostring = function() return f() end })\n"
                  "function f() return (('x'):gsub('.', function() return ('%s'):format(t) end)) end return f()"},
    {"in coroutines", "local function f() return coroutine.wrap(function() return (('x'):gsub('.', f)) end)() end\n"
                      "return f()"},
    {"caught below", "local function f() local ok, err = pcall(string.gsub, 'x', '.', f) if ok then return 'y' end\n"
                     "error(err, 0) end return f()"},
};

/*
 * [bug] it took seconds of CPU time to unwind what a Lua stack has room for, so the watchdog killed the worker.
 */
static void endless_recursion_is_an_error_at_once(void **state)
{
    struct state *s = new_bounded_state(64 << 20, true, DUR_S(60));
    for (size_t i = 0; i < sizeof(endless) / sizeof(endless[0]); i++) {
        clock_t began = clock();
        struct run r;
        assert_null(start(s, endless[i].body, &r));
        double took = (double)(clock() - began) / CLOCKS_PER_SEC;
        if (r.end != TASK_FAILED || strstr(r.text, "stack overflow") == NULL || took > 0.3)
            fail_msg("%s: %s, %f s", endless[i].name, r.text, took); /* usual: 0.001 */
        script_error_free(&r.error);
        expect(s, "return (('x'):gsub('.', function() return ('%s'):format({}):sub(1, 5) end))", "table");
    }
    end_state(&s);
}

/* "At a depth n": f(n) goes n levels deep. */
static void what_has_an_end_goes_on(void **state)
{
    struct state *s = new_bounded_state(64 << 20, true, DUR_S(60));
    expect(s,
           "local function f(n) return n == 0 and 'deep' or (('x'):gsub('.', function() return f(n - 1) end)) end\n"
           "return f(200)",
           "deep");
    expect_error(
        s,
        "local function f(n) return n == 0 and 'deep' or (('x'):gsub('.', function() return f(n - 1) end)) end\n"
        "return f(201)",
        "nested more than 200 deep");
    expect(s, "local n = 0 for i = 1, 100000 do ('x'):gsub('.', function() n = n + 1 end) end return n", "100000");
    /* Levels that ended by an error, also while others stand, and in coroutines. */
    expect(s,
           "local n = 0 local function f(d) ('x'):gsub('.', function()\n"
           "for i = 1, 300 do pcall(string.gsub, 'x', '.', function() n = n + 1 error 'x' end) end\n"
           "for i = 1, 300 do coroutine.wrap(pcall)(table.sort, { 2, 1 }, function() n = n + 1 error 'x' end) end\n"
           "if d > 1 then f(d - 1) end end) end f(20) return n",
           "12000");
    expect(
        s,
        "local function f(n) if n == 0 then return 'deep' end return coroutine.wrap(function() return f(n - 1) end)() "
        "end return f(1000)",
        "deep");
    /* Coroutines that stay suspended stand on no stack. */
    expect(s,
           "local kept = {} for i = 1, 1000 do kept[i] = coroutine.wrap(function() ('x'):gsub('.', function() end)\n"
           "coroutine.yield() end) kept[i]() end return ('x'):gsub('.', function() return 'y' end)",
           "y,1");
    end_state(&s);
}

static void what_is_wrapped_says_what_it_said(void **state)
{
    struct state *s = new_state(64 << 20, true);
    expect(s, "return ('%s %s %s %s %s %s'):format(1, nil, true, 'x', 2.5, 6), ('%d%%'):format(7), ('x'):format()",
           "1 nil true x 2.5 6,7%,x");
    expect_error(s, "return (('%d'):format())", "bad argument #1 to 'format' (value expected)");
    expect_error(s, "return (string.format('%d', 'x'))", "bad argument #2 to 'format' (number expected, got string)");
    expect_error(s, "return (string.format())", "bad argument #1 to 'format' (string expected, got no value)");
    expect(s,
           "local t = setmetatable({}, { __tostring = function() return 'T' end })\n"
           "local b = require 'string.buffer'.new() b:put(t, 1, 'x', t):putf('%s%d%s', t, 2, 'y')\n"
           "return b:tostring(), ('%s'):format(t), #b",
           "T1xTT2y,T,7");
    expect(
        s,
        "return os.time { year = 2000, month = 1, day = 1, hour = 12 } > 9e8, os.time() > 1.6e9, os.time(nil) > 1.6e9",
        "true,true,true");
    end_state(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(endless_recursion_is_an_error_at_once),
        cmocka_unit_test(what_has_an_end_goes_on),
        cmocka_unit_test(what_is_wrapped_says_what_it_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
