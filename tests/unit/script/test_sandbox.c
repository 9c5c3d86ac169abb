/*
 * test_sandbox.c: what a script may touch. Each way out that is known is tried; what one script changes, no other
 * sees; what is undeclared, removed or unknown is an error that names it.
 */
#include "harness.h"

#include <sys/resource.h>

static void globals_are_declared_or_an_error_in_words(void **state)
{
    struct state *s = new_state(64 << 20, true);
    expect_error(s, "total = 1", "hooks/test.lua:1: assignment to undeclared global 'total': declare it with local");
    expect_error(s, "return totl", "hooks/test.lua:1: undeclared global 'totl'");
    expect_error(s, "return strin.format", "undeclared global 'strin' (did you mean 'string'?)");
    expect_error(s, "_G.x = 1", "assignment to undeclared global 'x'");
    expect_error(s, "return _G.x", "undeclared global 'x'");
    expect_error(s, "_G[{}] = 1", "assignment to an undeclared global");
    expect(s, "return rawget(_G, 'x'), _G == _G._G", "nil,true");
    expect(s, "tostring = 5 return tostring", "5"); /* a known name may mean something else, here */
    expect(s, "return type(string.format), type(math.floor), type(table.concat), type(bit.bor), type(os.time)",
           "function,function,function,function,function");
    end_state(&s);
}

static void what_the_sandbox_took_says_so(void **state)
{
    struct state *s = new_state(64 << 20, true);
    const char *names[] = {"debug",     "ffi",       "jit",        "newproxy",     "getfenv",   "setfenv",
                           "dofile",    "loadfile",  "module",     "os.execute",   "os.exit",   "os.getenv",
                           "os.remove", "os.rename", "os.tmpname", "os.setlocale", "io.popen",  "io.read",
                           "io.lines",  "io.stdin",  "io.input",   "io.output",    "io.tmpfile"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char body[64], words[64];
        snprintf(body, sizeof(body), "return %s", names[i]);
        snprintf(words, sizeof(words), "hooks/test.lua:1: %s is not available to scripts", names[i]);
        expect_error(s, body, words);
    }
    expect(s, "return string.dump, ('').dump, package.loadlib, package.cpath, package.loaded._G",
           "nil,nil,nil,nil,nil");
    expect_error(s, "collectgarbage('stop')", "collectgarbage: only \"count\"");
    expect_error(s, "collectgarbage()", "collectgarbage: only \"count\"");
    expect(s, "return type(collectgarbage('count'))", "number");
    end_state(&s);
}

static void bytecode_is_refused(void **state)
{
    struct state *s = new_state(64 << 20, true);
    struct sandbox_chunk chunk;
    char *message = NULL;
    expect(s, "local f, e = load('\\27LJ\\2\\0', 'x') return f, (e:gsub('.*bytecode.*', 'no')) ",
           "nil,attempt to load chunk with wrong mode");
    expect(s, "return load('return 1', 'x', 'b')", "nil,load: bytecode is not available to scripts");
    expect(s, "local n = 0 return load(function() n = n + 1 if n == 1 then return '\\27LJ' end end)",
           "nil,attempt to load chunk with wrong mode");
    assert_int_equal(sandbox_load(s, SLICE("\x1bLJ\x02"), "hooks/b.lua", NULL, &chunk, &message), -1);
    free(message);
    end_state(&s);
}

static void loaded_text_runs_in_the_scripts_own_environment(void **state)
{
    struct state *s = new_state(64 << 20, true);
    expect_error(s, "load('leak = 1', '@hooks/test.lua')()", "assignment to undeclared global 'leak'");
    expect_error(s, "loadstring('return debug')()", "debug is not available to scripts");
    expect(s, "return load('return _G')() == _G", "true");
    expect(s, "local e = { x = 5 } return load('return x', 'n', 't', e)()", "5");
    expect(s, "local parts, i = { 'return ', '4', '2' }, 0 return load(function() i = i + 1 return parts[i] end)()",
           "42");
    expect(s, "return load('return +')", "nil,[string \"return +\"]:1: unexpected symbol near '+'");
    expect_error(s, "load('return 1', 'n', 't', nil)", "bad argument #4 to 'load'");
    end_state(&s);
}

/* Runs `attack` in one script, then `probe` in another, which must return "clean". */
static void no_leak(struct state *s, const char *attack, const char *probe)
{
    struct run r;
    assert_null(start(s, attack, &r)); /* it may fail, or not: what counts is the other script */
    script_error_free(&r.error);
    struct run other;
    assert_null(start(s, probe, &other));
    if (strcmp(other.text, "clean") != 0)
        print_message("after: %s\ngot: %s\n", attack, other.text);
    assert_string_equal(other.text, "clean");
    script_error_free(&other.error);
}

static void one_script_cannot_change_another(void **state)
{
    struct state *s = new_state(64 << 20, true);
    no_leak(s, "string.upper = function() return 'evil' end", "return string.upper('clean') == 'CLEAN' and 'clean'");
    no_leak(s, "string.x = 1", "return string.x == nil and 'clean'");
    no_leak(s, "rawset(string, 'upper', error)", "return ('clean'):upper():lower()");
    no_leak(s, "getmetatable('').__index = { upper = error }", "return ('clean'):upper():lower()");
    no_leak(s, "getmetatable('').__index.upper = error", "return ('clean'):upper():lower()");
    no_leak(s, "setmetatable('', {})", "return ('clean'):upper():lower()");
    no_leak(s, "table.insert(table, 'x')", "return table[1] == nil and 'clean'");
    no_leak(s, "require('table.clear')(string)", "return ('clean'):upper():lower()");
    no_leak(s, "require('table.clear')(math)", "return math.floor and 'clean'");
    no_leak(s, "getmetatable(_G).__index = nil", "return math.floor and 'clean'");
    no_leak(s, "setmetatable(_G, {})", "return pcall(load('return nope')) == false and 'clean'");
    no_leak(s, "rawset(_G, 'shared', 1)", "return rawget(_G, 'shared') == nil and 'clean'");
    no_leak(s, "rawset(_G, 'math', nil) rawset(_G, 'pcall', error)", "return pcall(math.floor, 1) and 'clean'");
    no_leak(s, "tools.inner.x = 1 tools.y = 2", "return tools.inner.x == nil and tools.y == nil and 'clean'");
    no_leak(s, "coroutine.wrap = error", "return coroutine.wrap(function() return 'clean' end)()");
    no_leak(s, "package.loaded.bit = 'evil'", "return type(require 'bit') == 'table' and 'clean'");
    no_leak(s, "require('cjson').encode = error", "return require('cjson').encode{} == '{}' and 'clean'");
    no_leak(s, "require('cjson').encode_max_depth(1)", "return require('cjson').encode{{{{1}}}} and 'clean'");
    no_leak(s, "require('string.buffer').new = error", "return require('string.buffer').new() and 'clean'");
    no_leak(s, "io.open = error os.time = error", "return os.time() > 0 and io.type(1) == nil and 'clean'");
    no_leak(s, "getmetatable(io).__index = error", "return io.type(1) == nil and 'clean'");
    no_leak(s, "pcall(error, setmetatable({}, { __tostring = function() string.rep = nil end }))",
            "return string.rep('clean', 1)");
    end_state(&s);
}

static void libraries_give_no_way_to_raw_memory(void **state)
{
    struct state *s = new_state(64 << 20, true);
    expect(s,
           "local b = require('string.buffer').new() b:put('a', 1, 'b') return b.ref, b.reserve, b.commit, b.putcdata, "
           "b:tostring()",
           "nil,nil,nil,nil,a1b");
    expect(s, "return getmetatable(require('string.buffer').new()), getmetatable('')", "false,false");
    expect_error(s, "require 'ffi'", "hooks/test.lua:1: require \"ffi\": no such module");
    expect_error(s, "require 'jit.util'", "no such module");
    expect_error(s, "require 'debug'", "no such module");
    expect_error(s, "require 'thread.exdata'", "no such module");
    expect_error(s, "require 'socket'", "no such module");
    expect_error(s, "require '_lib.orders'", "require it at the top level");
    expect(s, "return require('table.new')(1, 1) and require('table.nkeys')({ a = 1 }), require 'string' == string",
           "1,true");
    expect(s, "return require('cjson.safe').decode('[')", "nil,Expected value but found T_END at character 2");
    expect(s, "return require('cjson').encode { a = { 1, 2, [4] = 'x' } }, select('#', require('cjson').decode '1')",
           "{\"a\":[1,2,null,\"x\"]},1");
    expect(s, "local a, b = require 'cjson', require 'cjson' return a == b, a == package.loaded.cjson", "true,true");
    end_state(&s);
}

/* Light userdata can be made by string.buffer's decoder: one that forges our mark may only hurt its own task. */
static void a_forged_yield_fails_its_own_task_only(void **state)
{
    struct state *s = new_state(64 << 20, true);
    expect_error(s, "coroutine.wrap(function() coroutine.yield(tools.mark) end)()", "attempt to yield from outside");
    expect_error(s, "coroutine.wrap(function() pcall(coroutine.yield, tools.mark) end)()", "attempt to yield");
    expect(s, "return 'alive'", "alive");
    end_state(&s);
}

static void files_are_regular_files(void **state)
{
    struct state *s = new_state(64 << 20, true);
    expect(s, "return io.open('/dev/zero')", "nil,/dev/zero: not a regular file,22");
    expect(s, "return io.open('/proc/self/mem', 'r+')", "nil,/proc/self/mem: not a regular file,22");
    expect(s, "return (io.open('/proc/self/environ')), (io.open('/sys/kernel/mm/transparent_hugepage/enabled'))",
           "nil,nil");
    expect(s, "return io.open('/tmp')", "nil,/tmp: not a regular file,22");
    expect(s, "local f, e = io.open('/nonexistent/x') return f, e", "nil,/nonexistent/x: No such file or directory");
    expect(s, "local f = io.open('/etc/passwd') local t = io.type(f), f:read('*l') f:close() return io.type(f)",
           "closed file");
    expect(s, "return getmetatable(io.open('/etc/passwd'))", "false");
    struct rlimit few, before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = (struct rlimit){64, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    expect(s, "for i = 1, 300 do assert(io.open('/etc/passwd'):read(1)) end return 'never closed'", "never closed");
    expect(s,
           "local t = {} for i = 1, 300 do local f, e = io.open('/etc/passwd') if not f then return e end t[i] = f end",
           "/etc/passwd: Too many open files");
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    end_state(&s);
}

/* --- modules ----------------------------------------------------------------------------------------------------- */

struct folder {
    struct sandbox_modules modules;
    struct state *s;
    struct sandbox_chunk chunk;
    int asked;
};

static void push_env(struct sandbox_modules *m, lua_State *L)
{
    lua_newtable(L);
    lua_pushliteral(L, "s3cret");
    lua_setfield(L, -2, "TOKEN");
}

static int require_module(struct sandbox_modules *m, lua_State *L, struct slice name)
{
    struct folder *f = (struct folder *)m;
    char *message = NULL;
    const char *text = NULL;
    struct sandbox_chunk chunk; /* a module may require another one */
    f->asked++;
    if (slice_equal(name, SLICE("_lib.good")))
        text = "local M = { own = _G, n = 0 } function M.bump() M.n = M.n + 1 return M.n end return M";
    else if (slice_equal(name, SLICE("_lib.outer")))
        text = "return { inner = require '_lib.good' }";
    else if (slice_equal(name, SLICE("_lib.nothing")))
        text = "local x = 1";
    else if (slice_equal(name, SLICE("_lib.bad")))
        text = "local x = 1\nerror('broken')";
    if (text == NULL) {
        lua_pushfstring(L, "no module %s", name.at);
        return -1;
    }
    if (sandbox_load(f->s, slice_of(text), "hooks/_lib/m.lua", m, &chunk, &message) != 0) {
        lua_pushstring(L, message);
        free(message);
        return -1;
    }
    f->chunk = chunk;
    return chunk.result;
}

static char *load_with_modules(struct state *s, struct folder *f, const char *text, struct sandbox_chunk *chunk)
{
    char *message = NULL;
    *f = (struct folder){{require_module, push_env}, s, {0, 0, 0}, 0};
    return sandbox_load(s, slice_of(text), "hooks/a.lua", &f->modules, chunk, &message) == 0 ? NULL : message;
}

static void run_result(struct state *s, struct sandbox_chunk *chunk, const char *expected)
{
    struct run r = {0};
    lua_rawgeti(state_lua(s), LUA_REGISTRYINDEX, chunk->result);
    assert_null(task_start(s, 0, "a", 1, DUR_S(1), note_end, &r));
    assert_string_equal(r.text, expected);
    script_error_free(&r.error);
}

static void modules_have_their_own_globals_and_are_loaded_once(void **state)
{
    struct state *s = new_state(64 << 20, true);
    struct sandbox_chunk chunk;
    struct folder f;
    assert_null(
        load_with_modules(s, &f,
                          "local m = require '_lib.good' local again = require '_lib.good'\n"
                          "return function() return m == again, m.own == _G, m.bump(), require('_lib.good') == m, "
                          "env.TOKEN, env.MISSING, require '_lib.good'.n end",
                          &chunk));
    assert_int_equal(f.asked, 1);
    run_result(s, &chunk, "true,false,1,true,s3cret,nil,1");
    sandbox_unload(s, &chunk);
    assert_null(load_with_modules(s, &f,
                                  "local o = coroutine.wrap(function() return require '_lib.outer' end)()\n"
                                  "local v = require '_lib.nothing' return function() return o.inner.bump(), v, "
                                  "pcall(require, '_lib.late') end",
                                  &chunk));
    run_result(s, &chunk,
               "1,true,false,hooks/a.lua:2: require \"_lib.late\": modules are loaded while a script loads: require it "
               "at the top level");
    sandbox_unload(s, &chunk);
    end_state(&s);
}

static void a_script_that_does_not_load_says_file_line_and_why(void **state)
{
    const struct {
        const char *text, *message;
    } cases[] = {
        {"local x =", "hooks/a.lua:1: unexpected symbol near '<eof>'"},
        {"\n\nx = 1", "hooks/a.lua:3: assignment to undeclared global 'x': declare it with local"},
        {"local m = require '_lib.bad'", "hooks/_lib/m.lua:2: broken"},
        {"\nlocal m = require '_lib.none'", "hooks/a.lua:2: no module _lib.none"},
        {"error({ detail = 'a table' })", "hooks/a.lua:1: a table"},
        {"\nerror({})", "hooks/a.lua:2: error raised with a table"},
        {"\nerror()", "hooks/a.lua:2: error raised with a nil"},
        {"error('no place', 0)", "hooks/a.lua:1: no place"},
        {"\nlocal t = {} t.x.y = 1", "hooks/a.lua:2: attempt to index field 'x' (a nil value)"},
        {"\nstring.rep()", "hooks/a.lua:2: bad argument #1 to 'rep' (string expected, got no value)"},
        {"coroutine.yield(1)", "hooks/a.lua:1: attempt to yield from outside a coroutine"},
        {"local t = {} while true do t[#t + 1] = ('x'):rep(100000) .. #t end", "hooks/a.lua: not enough memory"},
    };
    struct state *s = new_state(16 << 20, false);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sandbox_chunk chunk;
        struct folder f;
        char *message = load_with_modules(s, &f, cases[i].text, &chunk);
        assert_non_null(message);
        assert_string_equal(message, cases[i].message);
        assert_int_equal(chunk.env, LUA_NOREF);
        assert_int_equal(chunk.result, LUA_NOREF);
        free(message);
        assert_false(state_loading(s));
    }
    expect(s, "return 'alive'", "alive");
    end_state(&s);
}

/* A reload must give all of the old version back: the environment is reachable from its own closures only. */
static void an_unloaded_script_leaves_nothing(void **state)
{
    struct state *s = new_state(64 << 20, true);
    size_t before = 0;
    for (int i = 0; i < 400; i++) {
        struct sandbox_chunk chunk;
        struct folder f;
        assert_null(load_with_modules(s, &f,
                                      "local m = require '_lib.good' local big = ('x'):rep(20000) .. tostring({})\n"
                                      "local c = require 'cjson' string.own = function() return m, big end\n"
                                      "return function() return load('return 1')(), package.loaded, c end",
                                      &chunk));
        sandbox_unload(s, &f.chunk);
        sandbox_unload(s, &chunk);
        if (i == 99)
            lua_gc(state_lua(s), LUA_GCCOLLECT, 0), before = state_memory(s);
    }
    lua_gc(state_lua(s), LUA_GCCOLLECT, 0);
    assert_true(state_memory(s) < before + 64 * 1024);
    end_state(&s);
}

static void without_the_sandbox_luas_libraries_are_whole(void **state)
{
    struct error err;
    host = (struct script_host){.loop = loop_new(), .memory = 64 << 20, .sandbox = false, .jit = true};
    struct state *s = state_new(&host, open_globals, &err);
    assert_non_null(s);
    expect(s, "return type(debug.getinfo), type(os.getenv), type(require 'ffi'), type(io.popen), type(string.dump)",
           "function,function,table,function,function");
    expect(s, "return load(string.dump(function() return 5 end))()", "5");
    expect_error(s, "undeclared = 1", "assignment to undeclared global");
    expect(s, "return type(package.path), type(jit.version)", "string,string");
    end_state(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(globals_are_declared_or_an_error_in_words),
        cmocka_unit_test(what_the_sandbox_took_says_so),
        cmocka_unit_test(bytecode_is_refused),
        cmocka_unit_test(loaded_text_runs_in_the_scripts_own_environment),
        cmocka_unit_test(one_script_cannot_change_another),
        cmocka_unit_test(libraries_give_no_way_to_raw_memory),
        cmocka_unit_test(a_forged_yield_fails_its_own_task_only),
        cmocka_unit_test(files_are_regular_files),
        cmocka_unit_test(modules_have_their_own_globals_and_are_loaded_once),
        cmocka_unit_test(a_script_that_does_not_load_says_file_line_and_why),
        cmocka_unit_test(an_unloaded_script_leaves_nothing),
        cmocka_unit_test(without_the_sandbox_luas_libraries_are_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
