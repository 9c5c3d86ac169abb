/*
 * test_table.c: option tables: every message names the function, the option and what was expected, with the place.
 */
#include "harness.h"
#include "script/table.h"

static const char *const known[] = {"name", "on", "count", "wait", "size", NULL};

static int l_options(lua_State *L)
{
    struct table_reader t;
    struct slice name = SLICE("-");
    bool on = false;
    long long count = 0;
    dur_t wait = {0};
    size_t size = 0;
    char text[128];
    table_begin(&t, L, -1, "thing", known, lua_toboolean(L, lua_upvalueindex(1)));
    table_string(&t, "name", &name);
    table_bool(&t, "on", &on);
    table_integer(&t, "count", 1, 10, &count);
    table_duration(&t, "wait", &wait);
    table_size(&t, "size", &size);
    snprintf(text, sizeof(text), "%.*s %d %lld %lld %zu", SLICE_ARG(name), on, count, (long long)(wait.ns / 1000000),
             size);
    lua_pushstring(L, text);
    return 1;
}

static void open_options(lua_State *L)
{
    lua_pushboolean(L, false);
    lua_pushcclosure(L, l_options, 1);
    lua_setfield(L, -2, "options");
    lua_pushboolean(L, true);
    lua_pushcclosure(L, l_options, 1);
    lua_setfield(L, -2, "list");
}

static void options_are_read_or_refused_in_words(void **state)
{
    const struct {
        const char *call, *result; /* result NULL: fault */
        const char *fault;
    } cases[] = {
        {"options {}", "- 0 0 0 0", NULL},
        {"options { name = 'a', on = true, count = 3, wait = '1.5s', size = '1KiB' }", "a 1 3 1500 1024", NULL},
        {"options { wait = 2, size = 7 }", "- 0 0 2000 7", NULL},
        {"list { 'x', 'y', on = true }", "- 1 0 0 0", NULL},
        {"options { nmae = 'a' }", NULL, "t.lua:1: thing: unknown option 'nmae' (did you mean 'name'?)"},
        {"options { zzzzz = 'a' }", NULL, "t.lua:1: thing: unknown option 'zzzzz'"},
        {"options { 'x' }", NULL, "t.lua:1: thing: a number is not a name of an option"},
        {"list { [1.5] = 'x' }", NULL, "thing: a number is not a name of an option"},
        {"options { [true] = 1 }", NULL, "thing: a boolean is not a name of an option"},
        {"options 'x'", NULL, "t.lua:1: thing: expected a table of options, got string"},
        {"options { name = 5 }", NULL, "thing: name: expected a string, got number"},
        {"options { on = 1 }", NULL, "thing: on: expected true or false, got number"},
        {"options { count = 11 }", NULL, "thing: count: expected a whole number from 1 to 10"},
        {"options { count = 1.5 }", NULL, "thing: count: expected a whole number from 1 to 10"},
        {"options { count = 0/0 }", NULL, "thing: count: expected a whole number from 1 to 10"},
        {"options { count = '3' }", NULL, "thing: count: expected a whole number, got string"},
        {"options { wait = -1 }", NULL, "thing: wait: expected a duration"},
        {"options { wait = 0/0 }", NULL, "thing: wait: expected a duration"},
        {"options { wait = 'soon' }", NULL, "thing: wait: expected a duration"},
        {"options { wait = {} }", NULL, "thing: wait: expected a duration"},
        {"options { size = 1.5 }", NULL, "thing: size: expected a size"},
        {"options { size = '1KB' }", NULL, "thing: size: expected a size"},
    };
    struct script_host here = {.memory = 16 << 20, .sandbox = true, .jit = true};
    struct error err;
    struct state *s = state_new(&here, open_options, &err);
    assert_non_null(s);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[256];
        struct sandbox_chunk chunk;
        char *message = NULL;
        snprintf(text, sizeof(text), "return (%s)", cases[i].call);
        int result = sandbox_load(s, slice_of(text), "t.lua", NULL, &chunk, &message);
        assert_int_equal(result, cases[i].result != NULL ? 0 : -1);
        if (result == 0) {
            lua_rawgeti(state_lua(s), LUA_REGISTRYINDEX, chunk.result);
            assert_string_equal(lua_tostring(state_lua(s), -1), cases[i].result);
            lua_pop(state_lua(s), 1);
            sandbox_unload(s, &chunk);
        } else {
            assert_non_null(strstr(message, cases[i].fault));
            free(message);
        }
    }
    state_free(&s);
}

/* list(t): its length, or raises; gaps(t): the same where positions may be missing. */
static int l_list(lua_State *L)
{
    struct table_reader t = {.L = L, .index = 1, .what = "thing"};
    lua_pushinteger(L, (lua_Integer)table_list(&t, "list", -1));
    return 1;
}

static int l_gaps(lua_State *L)
{
    size_t length;
    struct error err;
    if (!table_is_list_with_gaps(L, 1, &length, &err))
        return luaL_error(L, "%s", err.text);
    lua_pushinteger(L, (lua_Integer)length);
    return 1;
}

static int l_whole(lua_State *L)
{
    long long value = 0;
    lua_pushinteger(L, table_whole(L, 1, 300, 599, &value) ? (lua_Integer)value : -1);
    return 1;
}

static void open_lists(lua_State *L)
{
    lua_pushcfunction(L, l_list);
    lua_setfield(L, -2, "list");
    lua_pushcfunction(L, l_gaps);
    lua_setfield(L, -2, "gaps");
    lua_pushcfunction(L, l_whole);
    lua_setfield(L, -2, "whole");
}

static void a_list_has_positions_and_nothing_else(void **state)
{
    static const struct {
        const char *call, *result; /* result NULL: fault */
        const char *fault;
    } cases[] = {
        {"list {}", "0", NULL},
        {"list { 'a', 'b', 'c' }", "3", NULL},
        {"list(setmetatable({ 'a' }, { __tostring = function() return 'mine' end }))", "1", NULL},
        {"list(setmetatable({ 'a' }, { __index = function() error 'asked' end }))", NULL,
         "its metatable has an __index"},
        {"list { 'a', nmae = 'b' }", NULL, "t.lua:1: thing: list: 'nmae' is no position of a list"},
        {"list { nmae = 'b' }", NULL, "'nmae' is no position of a list"},
        {"list { 'a', [0] = 'b' }", NULL, "0 is no position of a list"},
        {"list { 'a', [-1] = 'b' }", NULL, "-1 is no position of a list"},
        {"list { 'a', 'b', [1.5] = 'c' }", NULL, "1.5 is no position of a list"},
        {"list { 'a', [1e300] = 'c' }", NULL, "1e+300 is no position of a list"},
        {"list { 'a', [1/0] = 'c' }", NULL, "inf is no position of a list"},
        {"list { 'a', [2^31] = 'c' }", NULL, "2147483648 is no position of a list"},
        {"list { 'a', [2^31 - 1] = 'c' }", NULL, "position 2 of the list is nil"},
        {"list { 'a', [true] = 'c' }", NULL, "a boolean is no position of a list"},
        {"list { 'a', [{}] = 'c' }", NULL, "a table is no position of a list"},
        {"list { nil, 'b' }", NULL, "position 1 of the list is nil"},
        {"list { 'a', nil, 'c', nil, 'e' }", NULL, "position 2 of the list is nil"},
        {"list { 'a', nil, 'c', x = 1 }", NULL, "'x' is no position of a list"},
        {"gaps { 'a', nil, 'c' }", "3", NULL},
        {"gaps {}", "0", NULL},
        {"gaps { 'a', nil, 'c', x = 1 }", NULL, "'x' is no position of a list"},
        {"whole(300)", "300", NULL},
        {"whole(599)", "599", NULL},
        {"whole(429.9)", "-1", NULL},
        {"whole(299)", "-1", NULL},
        {"whole(600)", "-1", NULL},
        {"whole(0/0)", "-1", NULL},
        {"whole('400')", "-1", NULL},
        {"whole(nil)", "-1", NULL},
    };
    struct script_host here = {.memory = 16 << 20, .sandbox = true, .jit = true};
    struct error err;
    struct state *s = state_new(&here, open_lists, &err);
    assert_non_null(s);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[256];
        struct sandbox_chunk chunk;
        char *message = NULL;
        snprintf(text, sizeof(text), "return (%s)", cases[i].call);
        int result = sandbox_load(s, slice_of(text), "t.lua", NULL, &chunk, &message);
        if (result != (cases[i].result != NULL ? 0 : -1))
            fail_msg("%s: %s", cases[i].call, message != NULL ? message : "nothing raised");
        if (result == 0) {
            lua_rawgeti(state_lua(s), LUA_REGISTRYINDEX, chunk.result);
            assert_string_equal(lua_tostring(state_lua(s), -1), cases[i].result);
            lua_pop(state_lua(s), 1);
            sandbox_unload(s, &chunk);
        } else if (strstr(message, cases[i].fault) == NULL) {
            fail_msg("%s raised: %s", cases[i].call, message);
        }
        free(message);
    }
    state_free(&s);
}

static void a_number_as_text_keeps_its_digits(void **state)
{
    static const struct {
        double n;
        const char *text;
    } cases[] = {{0, "0"},
                 {-0.0, "0"},
                 {7, "7"},
                 {-42, "-42"},
                 {1732797219123456, "1732797219123456"},
                 {-9007199254740993, "-9007199254740992"}, /* the double next to it */
                 {0.1 + 0.2, "0.3"},
                 {1e300, "1e+300"}};
    struct script_host here = {.memory = 16 << 20, .sandbox = true, .jit = true};
    struct error err;
    struct state *s = state_new(&here, open_options, &err);
    lua_State *L = state_lua(s);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        lua_pushnumber(L, cases[i].n);
        lua_pushboolean(L, true);
        struct slice text = table_text(L, -2);
        assert_int_equal(lua_type(L, -2), LUA_TSTRING);
        assert_true(lua_tostring(L, -2) == text.at);
        assert_string_equal(text.at, cases[i].text);
        lua_pop(L, 2);
    }
    lua_pushliteral(L, "a\0b");
    assert_int_equal(table_text(L, lua_gettop(L)).len, 3);
    lua_pushboolean(L, true);
    assert_null(table_text(L, -1).at);
    lua_pop(L, 2);
    state_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_has_positions_and_nothing_else),
        cmocka_unit_test(a_number_as_text_keeps_its_digits),
        cmocka_unit_test(options_are_read_or_refused_in_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
