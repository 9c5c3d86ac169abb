/*
 * test_nested.c: a script's own coroutines, wherever they stand: in a wait, in another's hands, in a part of a
 * parallel, after their task is gone. Each use works, or is an error in words; nothing is left behind.
 */
#include "harness.h"

static void expect_ended(struct run *r, enum task_end end, const char *text)
{
    if (r->ended != 1 || r->end != end || strcmp(r->text, text) != 0)
        print_message("got: %s\n", r->text);
    assert_int_equal(r->ended, 1);
    assert_int_equal(r->end, end);
    assert_string_equal(r->text, text);
    script_error_free(&r->error);
}

/* --- a script whose functions share coroutines -------------------------------------------------------------------- */

static struct sandbox_chunk shared;

static void share(struct state *s, const char *text)
{
    shared = load(s, text);
}

/* Starts the function of that name. */
static struct task *call(struct state *s, const char *name, struct run *r)
{
    lua_State *L = state_lua(s);
    *r = (struct run){0};
    lua_rawgeti(L, LUA_REGISTRYINDEX, shared.result);
    lua_getfield(L, -1, name);
    lua_remove(L, -2);
    return task_start(s, 0, name, 1, DUR_S(1), note_end, r);
}

static void expect_call(struct state *s, const char *name, const char *text)
{
    struct run r;
    assert_null(call(s, name, &r));
    expect_ended(&r, TASK_RETURNED, text);
}

static void end_shared(struct state **s)
{
    sandbox_unload(*s, &shared);
    end_state(s);
}

/* --- the tests ---------------------------------------------------------------------------------------------------- */

static void misuse_is_an_error_with_its_place(void **state)
{
    struct state *s = new_state(64 << 20, true);
    expect_error(s, "coroutine.wrap(5)", "hooks/test.lua:1: bad argument #1 to 'wrap' (function expected, got number)");
    expect_error(s, "coroutine.create()",
                 "hooks/test.lua:1: bad argument #1 to 'create' (function expected, got nothing)");
    expect_error(s, "coroutine.resume(type)", "hooks/test.lua:1: bad argument #1 to 'resume' (coroutine expected)");
    expect_error(s, "coroutine.status(nil)", "hooks/test.lua:1: bad argument #1 to 'status' (coroutine expected)");
    expect_error(s, "local w = coroutine.wrap(function() end) w()\nw()",
                 "hooks/test.lua:2: cannot resume dead coroutine");
    expect_error(s, "local w w = coroutine.wrap(function()\nw()\nend) w()",
                 "hooks/test.lua:2: cannot resume running coroutine");
    expect_error(s, "coroutine.yield(1)", "hooks/test.lua:1: attempt to yield from outside a coroutine");
    expect(s, "return coroutine.resume(coroutine.create(function(...) return select('#', ...), ... end), nil, nil)",
           "true,2,nil,nil");
    expect(s, "return select('#', coroutine.wrap(function() coroutine.yield() end)())", "0");
    end_state(&s);
}

static void generators_wait_between_the_values_that_they_yield(void **state)
{
    struct state *s = new_state(64 << 20, true);
    struct run r;
    start(s,
          "local function each() for i = 1, 3 do coroutine.yield(i, (wait(i * 10))) end return nil end\n"
          "local out = {}\n"
          "for i, got in coroutine.wrap(each) do out[#out + 1] = i + got end\n"
          "local nested = coroutine.wrap(function() for v in coroutine.wrap(each) do coroutine.yield(v) end end)\n"
          "for v in nested do out[#out + 1] = v end return table.concat(out, ' ')",
          &r);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(r.ended, 0);
        complete(i);
    }
    expect_ended(&r, TASK_RETURNED, "11 22 33 1 2 3");
    end_state(&s);
}

static void errors_after_a_wait_go_to_whoever_resumed(void **state)
{
    struct state *s = new_state(64 << 20, true);
    struct run r;
    start(s,
          "local here = {}\n"
          "local inner = coroutine.create(function() wait(1) error(here) end)\n"
          "local outer = coroutine.wrap(function() return pcall(coroutine.resume, inner) end)\n"
          "local a, b, err = outer() return a, b, err == here, coroutine.status(inner), coroutine.resume(inner)",
          &r);
    complete(0);
    expect_ended(&r, TASK_RETURNED, "true,false,true,dead,false,cannot resume dead coroutine");
    start(s, "local w = coroutine.wrap(function() wait(1) error('x', 0) end) return pcall(w)", &r);
    complete(1);
    expect_ended(&r, TASK_RETURNED, "false,x");
    start(s, "coroutine.wrap(function() wait(1) error { status = 409, detail = 'taken' } end)()", &r);
    complete(2);
    assert_int_equal(r.error.status, 409);
    script_error_free(&r.error);
    end_state(&s);
}

static const char *const kept =
    "local co, wrapped = nil, nil\n"
    "return {\n"
    "  begin = function() co = coroutine.create(function() return (wait(7)) end) return coroutine.resume(co) end,\n"
    "  wrapped = function() wrapped = coroutine.wrap(function() co = coroutine.running() wait(8) return 8 end)\n"
    "    return coroutine.wrap(function() return wrapped() end)() end,\n"
    "  part = function() parallel(function() co = coroutine.create(wait) coroutine.resume(co, 9) end) end,\n"
    "  resume = function() return coroutine.resume(co) end,\n"
    "  call = function() return pcall(function() local got = wrapped() return got end) end,\n"
    "  status = function() return coroutine.status(co) end,\n"
    "  collect = function() co, wrapped = nil, nil end,\n"
    "}";

static void one_in_a_wait_is_resumed_by_nobody_else(void **state)
{
    struct state *s = new_state(64 << 20, true);
    struct run a;
    share(s, kept);
    assert_non_null(call(s, "begin", &a));
    expect_call(s, "status", "normal");
    expect_call(s, "resume", "false,cannot resume a coroutine that is waiting");
    complete(0);
    expect_ended(&a, TASK_RETURNED, "true,7");
    expect_call(s, "status", "dead");
    assert_non_null(call(s, "wrapped", &a));
    expect_call(s, "call", "false,hooks/test.lua:8: cannot resume a coroutine that is waiting");
    expect_call(s, "resume", "false,cannot resume a coroutine that is waiting");
    complete(1);
    expect_ended(&a, TASK_RETURNED, "8");
    end_shared(&s);
}

static void one_whose_wait_was_cancelled_is_dead(void **state)
{
    static const char *const ways[] = {"begin", "wrapped", "part"};
    struct state *s = new_state(64 << 20, true);
    struct run a;
    share(s, kept);
    for (size_t i = 0; i < 3; i++) {
        wait_count = cancel_count = 0;
        struct task *t = call(s, ways[i], &a);
        passes(2);
        assert_int_equal(wait_count, 1);
        expect_call(s, "status", "normal");
        task_cancel(&t);
        assert_int_equal(cancel_count, 1);
        expect_call(s, "status", "dead");
        expect_call(s, "resume", "false,cannot resume a coroutine whose wait was cancelled");
        if (i == 1)
            expect_call(s, "call", "false,hooks/test.lua:8: cannot resume a coroutine whose wait was cancelled");
        expect_call(s, "collect", "");
        lua_gc(state_lua(s), LUA_GCCOLLECT, 0);
        assert_int_equal(a.ended, 0);
    }
    end_shared(&s);
}

static void one_at_rest_goes_with_whoever_resumes_it(void **state)
{
    struct state *s = new_state(64 << 20, true);
    struct run a, b;
    share(s, "local co = coroutine.create(function() for i = 1, 9 do coroutine.yield((wait(i))) end end)\n"
             "return { step = function() return coroutine.resume(co) end, status = function() return "
             "coroutine.status(co) end }");
    call(s, "step", &a);
    complete(0);
    expect_ended(&a, TASK_RETURNED, "true,1");
    expect_call(s, "status", "suspended");
    struct task *t = call(s, "step", &b); /* another task's now */
    complete(1);
    expect_ended(&b, TASK_RETURNED, "true,2");
    t = call(s, "step", &a);
    task_cancel(&t);
    expect_call(s, "status", "dead");
    expect_call(s, "step", "false,cannot resume a coroutine whose wait was cancelled");
    end_shared(&s);
}

static void parts_of_a_parallel_are_outermost_for_their_scripts(void **state)
{
    struct state *s = new_state(64 << 20, true);
    struct run r;
    start(s,
          "return parallel(function() return tostring(coroutine.running()) .. tostring(coroutine.isyieldable()) end)",
          &r);
    passes(2);
    expect_ended(&r, TASK_RETURNED, "nilfalse");
    /* not the coroutine that called parallel: that one waits */
    start(s, "local w = coroutine.wrap(function() parallel(function() coroutine.yield(1) end) end) return pcall(w)",
          &r);
    passes(2);
    expect_ended(&r, TASK_RETURNED, "false,hooks/test.lua:1: attempt to yield from outside a coroutine");
    start(s,
          "local w w = coroutine.create(function() return parallel(function() return coroutine.status(w) .. ' ' .. "
          "select(2, coroutine.resume(w)) end) end) return coroutine.resume(w)",
          &r);
    passes(2);
    expect_ended(&r, TASK_RETURNED, "true,normal cannot resume a coroutine that is waiting");
    /* two parts and one generator: one takes it up, the other is told */
    wait_count = 0;
    start(s,
          "local w = coroutine.wrap(function() while true do coroutine.yield((wait(1))) end end)\n"
          "local a, b = parallel(function() return w() end, function() return tostring(select(2, pcall(w))) end) "
          "return a, b, w()",
          &r);
    passes(2);
    complete(0);
    passes(2);
    complete(1);
    expect_ended(&r, TASK_RETURNED, "1,cannot resume a coroutine that is waiting,1");
    end_state(&s);
}

static void a_part_waits_within_coroutines_of_its_own(void **state)
{
    struct state *s = new_state(64 << 20, true);
    struct run r;
    start(s,
          "local function part(n) return function() local sum = 0\n"
          "for v in coroutine.wrap(function() coroutine.yield((wait(n))) coroutine.yield((wait(n * 10))) end) do sum = "
          "sum "
          "+ v end return sum end end\n"
          "return coroutine.wrap(function() return parallel(part(1), part(2)) end)()",
          &r);
    passes(2);
    assert_int_equal(wait_count, 2);
    complete(1);
    complete(0);
    complete(2);
    complete(3);
    passes(2);
    expect_ended(&r, TASK_RETURNED, "11,22");
    end_state(&s);
}

/* [bug] LuaJIT made the words with half a frame, and without memory for them the process ended. */
static void what_cannot_be_resumed_is_an_error_without_memory_too(void **state)
{
    static const char *const bodies[] = {
        "local co co = coroutine.create(function() fill() return coroutine.resume(co) end) return coroutine.resume(co)",
        "local co = coroutine.create(type) pcall(coroutine.resume, co) fill() return coroutine.resume(co)",
    };
    char text[400];
    for (size_t memory = 200; memory < 260; memory++) {
        struct state *s = new_state(memory << 10, true);
        for (size_t i = 0; i < 20; i++) {
            struct run r;
            snprintf(
                text, sizeof(text),
                "local t = {} local function fill() pcall(function() while true do t[#t + 1] = ('x'):rep(20) .. #t end "
                "end) pcall(function() while true do t[#t + 1] = {} end end) end %s",
                bodies[i % 2]);
            assert_null(start(s, text, &r));
            assert_int_equal(r.ended, 1);
            script_error_free(&r.error);
        }
        end_state(&s);
    }
}

/* Cancelled, failed and left in the middle of waits, at three levels. */
static void a_thousand_rounds_leave_no_memory_behind(void **state)
{
    static const char *const bodies[] = {
        "local w = coroutine.wrap w(function() w(function() w(function() pcall(wait, 1) end)() end)() end)()",
        "local co = coroutine.create(function() coroutine.wrap(wait)(1) end) coroutine.resume(co)",
        "parallel(function() coroutine.wrap(function() wait(1) end)() end, function() coroutine.wrap(error)('x') end)",
        "parallel(function() coroutine.wrap(wait)(1) end, function() coroutine.wrap(leave)('x') end)",
        "for i = 1, 50 do coroutine.wrap(function() coroutine.yield(i) end)() end wait(1)",
    };
    struct state *s = new_state(64 << 20, true);
    lua_State *L = state_lua(s);
    size_t before = 0, references = 0;
    for (int round = 0; round < 1000; round++) {
        struct run r;
        wait_count = cancel_count = 0;
        struct task *t = start(s, bodies[round % 5], &r);
        passes(3);
        if (r.ended == 0)
            task_cancel(&t);
        script_error_free(&r.error);
        assert_int_equal(wait_count, cancel_count);
        assert_int_equal(task_count(s), 0);
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
        cmocka_unit_test(misuse_is_an_error_with_its_place),
        cmocka_unit_test(generators_wait_between_the_values_that_they_yield),
        cmocka_unit_test(errors_after_a_wait_go_to_whoever_resumed),
        cmocka_unit_test(one_in_a_wait_is_resumed_by_nobody_else),
        cmocka_unit_test(one_whose_wait_was_cancelled_is_dead),
        cmocka_unit_test(one_at_rest_goes_with_whoever_resumes_it),
        cmocka_unit_test(parts_of_a_parallel_are_outermost_for_their_scripts),
        cmocka_unit_test(a_part_waits_within_coroutines_of_its_own),
        cmocka_unit_test(what_cannot_be_resumed_is_an_error_without_memory_too),
        cmocka_unit_test(a_thousand_rounds_leave_no_memory_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
