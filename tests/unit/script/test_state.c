/*
 * test_state.c: past its ceiling a request fails and the state lives on; slots for C pointers; protected calls.
 */
#include "harness.h"

static void past_the_ceiling_the_request_fails_and_the_state_lives_on(void **state)
{
    const char *bodies[] = {
        "local t = {} while true do t[#t + 1] = {} end",
        "local s = 'x' while true do s = s .. s end",
        "return ('x'):rep(1e9)",
        "local t = {} for i = 1, 1e9 do t[i] = coroutine.wrap(function() end) end",
        "local function f(...) return f(1, ...) end f()",
        "local b = require 'string.buffer'.new() while true do b:put(('x'):rep(1e5)) end",
        /* from compiled code, whose frame LuaJIT has not brought up to date: it used to end the process */
        "local t = {} while true do t[#t + 1] = (tostring(#t) .. 'x'):rep(10000) end",
        "local t = {} while true do pcall(function() while true do t[#t + 1] = {} end end) error(t) end",
    };
    for (int jit = 0; jit < 2; jit++) {
        struct state *s = new_state(16 << 20, jit);
        for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
            struct run r;
            assert_null(start(s, bodies[i], &r));
            assert_int_equal(r.end, TASK_FAILED);
            assert_int_equal(r.error.status, 500);
            assert_true(r.error.memory || i == 4 || i == 7);
            script_error_free(&r.error);
            assert_true(state_memory(s) < (20 << 20));
            expect(s, "local t = {} for i = 1, 1e4 do t[i] = { i } end return #t", "10000");
        }
        assert_true(state_memory(s) < (8 << 20)); /* what they left has been collected */
        end_state(&s);
    }
}

/* [fact] LuaJIT has no emergency collection: with its usual pause this fails although two thirds are garbage. */
static void garbage_does_not_count_against_the_ceiling(void **state)
{
    struct state *s = new_state(32 << 20, true);
    struct sandbox_chunk chunk = load(s, "local live = {} for i = 1, 150 do live[i] = ('x'):rep(100000) .. i end\n"
                                         "return function() for i = 1, 2000 do local g = ('y'):rep(50000) .. i end "
                                         "return #live end");
    struct run r = {0};
    for (int i = 0; i < 5; i++) {
        lua_rawgeti(state_lua(s), LUA_REGISTRYINDEX, chunk.result);
        assert_null(task_start(s, 0, "t", 1, DUR_S(1), note_end, &r));
        assert_string_equal(r.text, "150");
    }
    sandbox_unload(s, &chunk);
    end_state(&s);
}

static void a_ceiling_too_small_for_lua_itself_is_words(void **state)
{
    struct script_host tiny = {.memory = 4096, .sandbox = true, .jit = true};
    struct error err = {{0}};
    for (size_t memory = 0; memory < (400u << 10); memory += 20000) {
        tiny.memory = memory;
        struct state *s = state_new(&tiny, open_globals, &err);
        if (s == NULL)
            assert_true(strlen(err.text) > 0);
        state_free(&s);
    }
}

static int released;
static void release(void *pointer)
{
    released += *(int *)pointer;
}

static void pointers_are_kept_by_key_and_released(void **state)
{
    static const char a, b;
    int one = 1, two = 2;
    struct state *s = new_state(64 << 20, true);
    released = 0;
    assert_null(state_pointer(s, &a));
    state_set_pointer(s, &a, &one, release);
    state_set_pointer(s, &b, &two, release);
    state_set_pointer(s, &a, &two, release);
    assert_ptr_equal(state_pointer(s, &a), &two);
    assert_ptr_equal(state_pointer(s, &b), &two);
    assert_ptr_equal(state_of(state_lua(s)), s);
    end_state(&s);
    assert_int_equal(released, 4);
}

static void raise(lua_State *L, void *cookie)
{
    lua_pushinteger(L, 1);
    luaL_error(L, "%s", (const char *)cookie);
}

static void raise_table(lua_State *L, void *cookie)
{
    lua_newtable(L);
    lua_error(L);
}

static void protected_calls_give_words(void **state)
{
    struct state *s = new_state(64 << 20, true);
    struct error err;
    char why[] = "why";
    int top = lua_gettop(state_lua(s));
    assert_int_equal(state_protected(s, raise, why, &err), -1);
    assert_string_equal(err.text, "why");
    assert_int_equal(state_protected(s, raise_table, NULL, &err), -1);
    assert_int_equal(lua_gettop(state_lua(s)), top);
    end_state(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(past_the_ceiling_the_request_fails_and_the_state_lives_on),
        cmocka_unit_test(garbage_does_not_count_against_the_ceiling),
        cmocka_unit_test(a_ceiling_too_small_for_lua_itself_is_words),
        cmocka_unit_test(pointers_are_kept_by_key_and_released),
        cmocka_unit_test(protected_calls_give_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
