/*
 * test_parallel.c: parts give their results in order; the first failure ends the others; nothing is left behind,
 * however they end. And leaving a task, which nothing of its script holds up.
 */
#include "harness.h"

static void passes(int count)
{
    for (int i = 0; i < count; i++)
        loop_pass(host.loop, DUR_MS(0));
}

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

static void leaving_ends_the_whole_task_through_everything(void **state)
{
    struct state *s = new_state(64 << 20, true);
    struct run r;
    static const char *const bodies[] = {
        "leave 'gone' return 1",
        "pcall(leave, 'gone') return 1",
        "xpcall(function() leave 'gone' end, function() return 2 end) return 1",
        "coroutine.wrap(function() pcall(function() coroutine.wrap(function() leave 'gone' end)() end) end)() return 1",
        "local t = setmetatable({}, { __index = function() leave 'gone' end }) return t.x",
        "pcall(parallel, function() wait(1) end, function() leave 'gone' end, function() wait(2) end) return 1",
        "pcall(parallel, function() pcall(parallel, function() pcall(leave, 'gone') end, function() wait(1) end) end, "
        "function() wait(2) end) return 1",
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        wait_count = cancel_count = 0;
        begin(s, bodies[i], &r);
        passes(3);
        expect_ended(&r, TASK_LEFT, "gone");
        assert_int_equal(wait_count, cancel_count);
        assert_int_equal(task_count(s), 0);
        expect(s, "return 'alive'", "alive");
    }
    begin(s, "wait(1) local x = wait(2) leave(x)", &r);
    complete(wait_count - 1);
    complete(wait_count - 1);
    expect_ended(&r, TASK_LEFT, "2");
    expect_error(s, "table.sort({ 1, 2 }, function() leave 'x' end)", "leave: cannot wait inside a callback");
    end_state(&s);
}

static void a_thousand_rounds_leave_no_memory_behind(void **state)
{
    struct state *s = new_state(64 << 20, true);
    size_t before = 0;
    for (int round = 0; round < 1000; round++) {
        struct run r;
        wait_count = cancel_count = 0;
        struct task *t = begin(s,
                               round % 2 ? "local f = function() wait(1) end parallel(f, f, function() leave(1) end)"
                                         : "local f = function() wait(1) end parallel { f, f, f }",
                               &r);
        if (round % 2 == 0)
            task_cancel(&t);
        assert_int_equal(task_count(s), 0);
        script_error_free(&r.error);
        if (round % 100 == 99) {
            lua_gc(state_lua(s), LUA_GCCOLLECT, 0);
            lua_gc(state_lua(s), LUA_GCCOLLECT, 0);
            if (round == 199)
                before = state_memory(s);
            assert_true(before == 0 || state_memory(s) < before + 16384);
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
        cmocka_unit_test(leaving_ends_the_whole_task_through_everything),
        cmocka_unit_test(a_thousand_rounds_leave_no_memory_behind),
        cmocka_unit_test(an_interrupted_part_ends_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
