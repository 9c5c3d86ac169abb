/*
 * test_parallel.c: parts give their results in order; the first failure ends the others; nothing is left behind,
 * however they end, be they thousands. How a part leaves its task: test_leave.c.
 */
#include "harness.h"

/* Starts it and lets its parts begin. */
static struct task *begin(struct state *s, const char *body, struct run *r)
{
    struct task *t = start(s, body, r);
    passes(3);
    return t;
}

static void expect_ended(struct run *r, enum task_end end, const char *text)
{
    if (r->ended != 1 || strcmp(r->text, text) != 0)
        print_message("got: %s\n", r->text);
    assert_int_equal(r->ended, 1);
    assert_int_equal(r->end, end);
    assert_string_equal(r->text, text);
    script_error_free(&r->error);
}

static void results_come_in_the_order_of_the_functions(void **state)
{
    struct state *s = new_state(64 << 20, true);
    struct run r;
    begin(s,
          "return parallel(function() return (wait(1)) end, function() return 'two' end, function() end, "
          "function() return (wait(4)) end)",
          &r);
    assert_int_equal(wait_count, 2);
    complete(1);
    passes(1);
    assert_int_equal(r.ended, 0);
    complete(0);
    passes(1);
    expect_ended(&r, TASK_RETURNED, "1,two,nil,4");
    begin(s, "local list = parallel { function() return 1 end, function() return (wait(2)) end } return #list, list[2]",
          &r);
    complete(2);
    passes(1);
    expect_ended(&r, TASK_RETURNED, "2,2");
    expect(s, "return select('#', parallel()), #parallel {}", "0,0");
    end_state(&s);
}

static void what_is_no_list_of_functions_is_refused_by_its_place(void **state)
{
    struct state *s = new_state(64 << 20, true);
    expect_error(s, "parallel(type, 7)", "hooks/test.lua:1: parallel: argument 2 is a number");
    expect_error(s, "parallel(nil)", "argument 1 is a nil");
    expect_error(s, "parallel { type, 'x' }", "item 2 of the list is a string");
    expect_error(s, "parallel { type, f = type }", "other keys than 1 to 1");
    expect_error(s, "local t = {} for i = 1, 70000 do t[i] = type end parallel(t)", "65536 are the most");
    expect_error(s, "local t = {} for i = 1, 1001 do t[i] = type end parallel(unpack(t))", "give them as one list");
    expect_error(s, "table.sort({ 1, 2 }, function() parallel(type) end)", "cannot wait inside a callback");
    struct run r;
    begin(s, "local function deep(n) return parallel(function() return deep(n + 1) end) end return deep(0)", &r);
    passes(100);
    assert_int_equal(r.end, TASK_FAILED);
    assert_non_null(strstr(r.text, "nested more than 32 deep"));
    script_error_free(&r.error);
    end_state(&s);
}

static void the_first_failure_ends_the_others_and_is_raised_as_it_is(void **state)
{
    struct state *s = new_state(64 << 20, true);
    struct run r;
    begin(s,
          "local here = {} local ok, err = pcall(parallel, function() wait(1) end, function() wait(2) error(here) end, "
          "function() wait(3) end) return ok, err == here",
          &r);
    assert_int_equal(wait_count, 3);
    complete(1);
    assert_int_equal(cancel_count, 2);
    passes(1);
    expect_ended(&r, TASK_RETURNED, "false,true");
    /* what fails at once keeps the rest from beginning */
    begin(s, "local n = 0 local ok = pcall(parallel, function() error 'x' end, function() n = n + 1 end) return ok, n",
          &r);
    expect_ended(&r, TASK_RETURNED, "false,0");
    begin(s, "parallel(function() error { status = 422, detail = 'no' } end)", &r);
    assert_int_equal(r.error.status, 422);
    assert_true(r.error.raised_problem);
    script_error_free(&r.error);
    begin(s, "return pcall(parallel, function() return nil, 'refused' end)", &r);
    expect_ended(&r, TASK_RETURNED, "false,refused");
    begin(s, "return pcall(parallel, function() return 1, 2 end)", &r);
    expect_ended(&r, TASK_RETURNED,
                 "false,hooks/test.lua:1: parallel: function 1 returned 2 values: return one, a table for more");
    begin(s, "return pcall(parallel, wait, function() return coroutine.wrap(pcall)(type, 5) end, wait)", &r);
    expect_ended(&r, TASK_RETURNED,
                 "false,hooks/test.lua:1: parallel: function 2 returned 2 values: return one, a table for more");
    begin(s, "return pcall(parallel, wait)", &r);
    complete(wait_count - 1);
    passes(1);
    expect_ended(&r, TASK_RETURNED, "false,parallel: function 1 returned 2 values: return one, a table for more");
    begin(s, "return parallel(function() return 1, nil end)", &r);
    expect_ended(&r, TASK_RETURNED, "1");
    end_state(&s);
}

static void the_log_shows_where_a_part_died(void **state)
{
    struct state *s = new_state(64 << 20, true);
    struct run r;
    begin(s, "local function deep() error('here') end\n parallel(function()\n deep()\n return 1 end)", &r);
    assert_non_null(strstr(buf_text(&r.error.log), "hooks/test.lua:1: here"));
    assert_non_null(strstr(buf_text(&r.error.log), "raised in a function of parallel"));
    assert_non_null(strstr(buf_text(&r.error.log), "hooks/test.lua:3:"));
    script_error_free(&r.error);
    /* another error has not that trace */
    begin(s, "pcall(parallel, function() error('a') end) error('b')", &r);
    assert_null(strstr(buf_text(&r.error.log), "raised in a function of parallel"));
    script_error_free(&r.error);
    end_state(&s);
}

static size_t occurrences(struct buf *text, const char *of)
{
    size_t count = 0;
    for (const char *at = buf_text(text); (at = strstr(at, of)) != NULL; at += strlen(of))
        count++;
    return count;
}

/* Each level of parallel has its traceback; and none has another task's, however their ends are interleaved. */
static void tracebacks_stay_with_their_task(void **state)
{
    struct state *s = new_state(64 << 20, true);
    struct run a, b;
    begin(s, "parallel(function()\n parallel(function()\n wait(1)\n error('inner', 0) end) end)", &a);
    passes(2);
    begin(s, "parallel(function()\n\n\n\n\n\n wait(2) error('inner', 0) end)", &b);
    complete(0);
    complete(1);
    passes(3);
    assert_int_equal(occurrences(&a.error.log, "raised in a function of parallel"), 2);
    assert_non_null(strstr(buf_text(&a.error.log), "hooks/test.lua:4:"));
    assert_non_null(strstr(buf_text(&a.error.log), "hooks/test.lua:2:"));
    assert_null(strstr(buf_text(&a.error.log), "hooks/test.lua:7:"));
    assert_int_equal(occurrences(&b.error.log, "raised in a function of parallel"), 1);
    assert_non_null(strstr(buf_text(&b.error.log), "hooks/test.lua:7:"));
    script_error_free(&a.error);
    script_error_free(&b.error);
    /* a problem is no fault of the script's: none */
    begin(s, "parallel(function() error { status = 400 } end)", &a);
    assert_int_equal(occurrences(&a.error.log, "traceback"), 0);
    script_error_free(&a.error);
    end_state(&s);
}

/* --- what belongs to a part --- */

static struct thing {
    struct task_belonging belonging;
    int ended;
    bool returned;
} thing;

static void thing_ended(struct task_belonging *b, bool returned)
{
    thing.ended++;
    thing.returned = returned;
}

static int l_own(lua_State *L)
{
    task_belongs(task_current(state_of(L)), &thing.belonging, thing_ended);
    return 0;
}

static void open_with_own(lua_State *L)
{
    open_globals(L);
    lua_pushcfunction(L, l_own);
    lua_setfield(L, -2, "own");
}

static void what_belongs_to_a_part_passes_to_its_caller_if_it_returns(void **state)
{
    struct state *s = new_opened_state(64 << 20, true, (dur_t){0}, open_with_own);
    struct run r;
    thing = (struct thing){0};
    struct task *t = begin(s, "parallel(function() parallel(function() own() end) wait(1) end) wait(2)", &r);
    passes(3);
    complete(0);
    passes(1);
    assert_int_equal(wait_count, 2);
    assert_int_equal(thing.ended, 0);
    complete(1);
    assert_int_equal(thing.ended, 1);
    assert_true(thing.returned);
    script_error_free(&r.error);
    /* with one that fails, or is ended, it ends at once */
    thing = (struct thing){0};
    t = begin(s, "pcall(parallel, function() own() error('x') end) wait(1)", &r);
    assert_int_equal(thing.ended, 1);
    assert_false(thing.returned);
    task_cancel(&t);
    thing = (struct thing){0};
    t = begin(s, "pcall(parallel, function() own() wait(1) end, error) wait(1)", &r);
    assert_int_equal(thing.ended, 1);
    assert_false(thing.returned);
    task_cancel(&t);
    assert_int_equal(thing.ended, 1);
    end_state(&s);
}

/* --- thousands --- */

static double ms_since(mono_t begun)
{
    return (double)mono_since(mono_now(), begun).ns / 1e6;
}

static void ten_thousand_sleep_within_a_few_kilobytes_each(void **state)
{
    struct state *s = new_state(64 << 20, true);
    for (int round = 0; round < 3; round++) {
        struct run r;
        wait_count = cancel_count = 0;
        lua_gc(state_lua(s), LUA_GCCOLLECT, 0);
        size_t before = state_memory(s);
        mono_t begun = mono_now();
        struct task *t = start(
            s,
            "local list = {} for i = 1, 10000 do list[i] = function() return (wait(i)) end end return #parallel(list)",
            &r);
        while (wait_count < 10000)
            passes(1);
        double started = ms_since(begun);
        size_t each = (state_memory(s) - before) / 10000;
        assert_int_equal(task_count(s), 10001);
        begun = mono_now();
        if (round < 2) {
            task_cancel(&t);
            assert_int_equal(cancel_count, 10000);
        } else {
            for (size_t i = 0; i < 10000; i++)
                complete(i);
            passes(1);
            expect_ended(&r, TASK_RETURNED, "10000");
        }
        print_message("%zu bytes of Lua each; begun in %.1f ms, %s in %.1f ms\n", each, started,
                      round < 2 ? "cancelled" : "completed", ms_since(begun));
        assert_true(each < 2560); /* of 4 KiB with what is not Lua's */
        assert_int_equal(task_count(s), 0);
    }
    end_state(&s);
}

/* Coroutines are made outside of the script, where nothing but this keeps them below the ceiling. */
static void more_than_fit_are_refused_and_the_state_lives_on(void **state)
{
    struct state *s = new_state(16 << 20, true);
    for (int round = 0; round < 5; round++) {
        struct run r;
        wait_count = cancel_count = 0;
        start(s,
              "local f, list = function() wait(1) end, {} for i = 1, 65536 do list[i] = f end\n"
              "local function all() return parallel(list) end return parallel(all, all, all, all)",
              &r);
        for (int i = 0; i < 10000 && r.ended == 0; i++) {
            passes(1);
            assert_true(state_memory(s) < (17 << 20));
        }
        assert_int_equal(r.ended, 1);
        assert_int_equal(r.end, TASK_FAILED);
        assert_true(r.error.memory);
        script_error_free(&r.error);
        assert_int_equal(wait_count, cancel_count);
        assert_int_equal(task_count(s), 0);
        expect(s, "local t = {} for i = 1, 1e5 do t[i] = i end return #t", "100000");
    }
    end_state(&s);
}

static void while_a_script_loads_nothing_runs_side_by_side(void **state)
{
    struct state *s = new_state(64 << 20, true);
    struct sandbox_chunk chunk;
    char *message = NULL;
    assert_int_equal(sandbox_load(s, SLICE("\nparallel(type)"), "hooks/a.lua", NULL, &chunk, &message), -1);
    assert_string_equal(message, "hooks/a.lua:2: parallel: cannot wait while the script loads");
    free(message);
    end_state(&s);
}

/* The parts begin in slices: whoever waits for the loop has a turn between them, and may end all of it. */
static void one_is_cancelled_while_its_parts_begin(void **state)
{
    struct state *s = new_state(64 << 20, true);
    struct run r;
    struct task *t = start(s,
                           "local f = function() local n = 0 for i = 1, 3000 do n = n + #tostring(i) end wait(n) end "
                           "local list = {} for i = 1, 1000 do list[i] = f end return parallel(list)",
                           &r);
    loop_pass(host.loop, DUR_MS(0));
    assert_in_range(wait_count, 1, 999);
    task_cancel(&t);
    assert_int_equal(wait_count, cancel_count);
    size_t begun = wait_count;
    passes(5);
    assert_int_equal(wait_count, begun);
    end_state(&s);
}

static void cancelling_ends_all_parts_at_every_depth(void **state)
{
    struct state *s = new_state(64 << 20, true);
    struct run r;
    struct task *t = begin(s,
                           "local function two() return parallel(function() wait(1) end, function() wait(2) end) end "
                           "pcall(parallel, two, function() coroutine.wrap(two)() end, function() wait(3) end)",
                           &r);
    passes(3);
    assert_int_equal(wait_count, 5);
    task_cancel(&t);
    assert_int_equal(cancel_count, 5);
    assert_int_equal(task_count(s), 0);
    assert_int_equal(r.ended, 0);
    /* before its parts have begun */
    t = start(s, "parallel(function() wait(1) end)", &r);
    task_cancel(&t);
    passes(2);
    assert_int_equal(wait_count, 5);
    expect(s, "return 'alive'", "alive");
    end_state(&s);
}

static void a_thousand_rounds_leave_no_memory_behind(void **state)
{
    struct state *s = new_state(64 << 20, true);
    lua_State *L = state_lua(s);
    static const char *const bodies[] = {
        "local f = function() wait(1) end parallel { f, f, f }",
        "local f = function() wait(1) end parallel(f, f, function() leave(1) end)",
        "local f = function() wait(1) end parallel(f, f, function() error({}) end)",
        "local f = function() wait(1) end pcall(parallel, f, function() pcall(parallel, f, error) return 1, 2 end)",
        "local list = {} for i = 1, 100 do list[i] = function() return i end end return #parallel(list)",
    };
    size_t before = 0, references = 0;
    for (int round = 0; round < 1000; round++) {
        struct run r;
        wait_count = cancel_count = 0;
        struct task *t = begin(s, bodies[round % 5], &r);
        passes(3);
        if (r.ended == 0)
            task_cancel(&t);
        assert_int_equal(wait_count, cancel_count);
        assert_int_equal(task_count(s), 0);
        script_error_free(&r.error);
        if (round % 100 == 99) {
            lua_gc(L, LUA_GCCOLLECT, 0);
            lua_gc(L, LUA_GCCOLLECT, 0);
            if (round == 199) {
                before = state_memory(s);
                references = lua_objlen(L, LUA_REGISTRYINDEX);
            }
            assert_true(before == 0 || state_memory(s) < before + 16384);
            assert_true(before == 0 || lua_objlen(L, LUA_REGISTRYINDEX) < references + REFERENCES_SPARE);
        }
    }
    end_state(&s);
}

static void an_interrupted_part_ends_the_whole(void **state)
{
#ifdef __SANITIZE_THREAD__
    skip(); /* it holds signals back until a system call */
#endif
    struct state *s = new_bounded_state(64 << 20, true, DUR_MS(50));
    struct run r;
    begin(s, "pcall(parallel, function() wait(1) end, function() while true do end end) return 'held'", &r);
    assert_int_equal(r.end, TASK_FAILED);
    assert_true(r.error.interrupted);
    assert_int_equal(cancel_count, 1);
    script_error_free(&r.error);
    expect(s, "return 'alive'", "alive");
    end_state(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_come_in_the_order_of_the_functions),
        cmocka_unit_test(what_is_no_list_of_functions_is_refused_by_its_place),
        cmocka_unit_test(the_first_failure_ends_the_others_and_is_raised_as_it_is),
        cmocka_unit_test(the_log_shows_where_a_part_died),
        cmocka_unit_test(cancelling_ends_all_parts_at_every_depth),
        cmocka_unit_test(tracebacks_stay_with_their_task),
        cmocka_unit_test(what_belongs_to_a_part_passes_to_its_caller_if_it_returns),
        cmocka_unit_test(ten_thousand_sleep_within_a_few_kilobytes_each),
        cmocka_unit_test(more_than_fit_are_refused_and_the_state_lives_on),
        cmocka_unit_test(while_a_script_loads_nothing_runs_side_by_side),
        cmocka_unit_test(one_is_cancelled_while_its_parts_begin),
        cmocka_unit_test(a_thousand_rounds_leave_no_memory_behind),
        cmocka_unit_test(an_interrupted_part_ends_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
