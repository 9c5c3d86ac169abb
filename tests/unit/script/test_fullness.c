/*
 * test_fullness.c: what scripts hold is found; a state that they have filled is told of, one that is only busy is not.
 */
#include "harness.h"
#include "script/state_internal.h"
#include <time.h>

static struct {
    int count;
    size_t held, most_bytes;
    char most[64];
} told;

static void on_full(void *owner, const struct host_full *full)
{
    assert_ptr_equal(owner, &told);
    told.count++;
    told.held = full->held;
    told.most_bytes = full->most_bytes;
    snprintf(told.most, sizeof(told.most), "%s", full->most != NULL ? full->most : "nobody");
}

static struct state *new_told_state(size_t memory)
{
    struct state *s = new_state(memory, true);
    memset(&told, 0, sizeof(told));
    host.full = on_full;
    host.owner = &told;
    return s;
}

static struct sandbox_chunk load_as(struct state *s, const char *name, const char *text)
{
    struct sandbox_chunk chunk;
    char *message = NULL;
    if (sandbox_load(s, slice_of(text), name, NULL, &chunk, &message) != 0)
        fail_msg("%s", message);
    return chunk;
}

/* Runs the function that the text returned; version tells scripts apart. */
static enum task_end run(struct state *s, const struct sandbox_chunk *chunk, uint64_t version)
{
    struct run r = {0};
    lua_rawgeti(state_lua(s), LUA_REGISTRYINDEX, chunk->result);
    assert_null(task_start(s, 0, "test", version, DUR_S(10), note_end, &r));
    assert_int_equal(r.ended, 1);
    if (r.end == TASK_FAILED)
        assert_true(r.error.memory);
    script_error_free(&r.error);
    return r.end;
}

/* --- holdings ----------------------------------------------------------------------------------------------------- */

static const struct {
    const char *text;
    size_t least, most;
} kept[] = {
    {"local t = {} for i = 1, 100 do t[i] = ('x'):rep(10000) .. i end return function() return t end", 1000000,
     1200000},
    {"local t = {} for i = 1, 20000 do t[i] = { i } end return { handle = function() return t end }", 1200000, 2500000},
    /* Reached by its nodes alone, each holding the next; and each the one before. */
    {"local t for i = 1, 50000 do t = { t } end return function() return t end", 3500000, 6000000},
    {"local t = {} for i = 1, 20000 do local n = { before = t } t.next = n t = n end return function() return t end",
     1500000, 4500000},
    {"local t = { ('k'):rep(100000) } t[('l'):rep(100000)] = t return setmetatable({}, { __index = t })", 200000,
     250000},
    {"local function f() local up = ('u'):rep(300000) return function() return function() return up end end end\n"
     "return f()",
     300000, 350000},
    {"string.mine = ('s'):rep(400000) return 1", 400000, 450000},
    {"return 1", 0, 20000},
};

static void each_holds_what_it_keeps(void **state)
{
    struct state *s = new_told_state(64 << 20);
    struct sandbox_chunk chunks[sizeof(kept) / sizeof(kept[0])];
    struct holdings h;
    holdings_walk(&s->loaded, s->L, s->globals, &h);
    assert_null(h.most);
    assert_int_equal(h.all, 0);
    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
        chunks[i] = load_as(s, "hooks/one.lua", kept[i].text);
        holdings_walk(&s->loaded, s->L, s->globals, &h);
        if (h.all < kept[i].least || h.all > kept[i].most)
            fail_msg("%s\n%zu", kept[i].text, h.all);
        assert_string_equal(h.most, "hooks/one.lua");
        assert_false(h.cut);
        sandbox_unload(s, &chunks[i]);
    }
    size_t sum = 0;
    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
        char name[32];
        snprintf(name, sizeof(name), "hooks/%zu.lua", i);
        chunks[i] = load_as(s, name, kept[i].text);
        sum += kept[i].least;
    }
    size_t before = state_memory(s);
    holdings_walk(&s->loaded, s->L, s->globals, &h);
    assert_true(h.all >= sum);
    assert_string_equal(h.most, "hooks/2.lua");
    assert_in_range(h.most_bytes, kept[2].least, kept[2].most);
    lua_gc(s->L, LUA_GCCOLLECT, 0);
    assert_true(state_memory(s) <= before);
    assert_int_equal(lua_gettop(s->L), 0);
    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
        sandbox_unload(s, &chunks[i]);
    end_state(&s);
}

static void a_walk_has_a_bound_and_says_where_it_was_reached(void **state)
{
    struct state *s = new_told_state(512 << 20);
    struct sandbox_chunk a = load_as(s, "hooks/a.lua", "local t = {} for i = 1, 1000 do t[i] = {} end return { t }");
    struct sandbox_chunk b = load_as(s, "hooks/b.lua", "local t = {} for i = 1, 1.2e6 do t[i] = {} end return { t }");
    struct sandbox_chunk c = load_as(s, "hooks/c.lua", "return ('x'):rep(1e8)");
    struct holdings h;
    clock_t began = clock();
    holdings_walk(&s->loaded, s->L, s->globals, &h);
    print_message("%.1f ms\n", (double)(clock() - began) / CLOCKS_PER_SEC * 1000);
    assert_true(h.cut);
    assert_string_equal(h.most, "hooks/b.lua");
    sandbox_unload(s, &b);
    holdings_walk(&s->loaded, s->L, s->globals, &h);
    assert_false(h.cut);
    assert_string_equal(h.most, "hooks/c.lua");
    sandbox_unload(s, &a);
    sandbox_unload(s, &c);
    end_state(&s);
}

/* --- fullness ----------------------------------------------------------------------------------------------------- */

#define LEAK "local kept = {} return function() kept[#kept + 1] = ('x'):rep(100000) .. #kept end"
#define NEEDY "return function() local t = {} for i = 1, 20 do t[i] = ('y'):rep(100000) .. i end end"

static void a_leak_is_told_of_again_and_again_but_not_all_the_time(void **state)
{
    struct state *s = new_told_state(8 << 20);
    struct sandbox_chunk leak = load_as(s, "hooks/leak.lua", LEAK), other = load_as(s, "hooks/other.lua", NEEDY);
    int rounds = 0;
    while (run(s, &leak, 1) == TASK_RETURNED)
        assert_in_range(rounds++, 0, 100);
    assert_int_equal(told.count, 1);
    assert_string_equal(told.most, "hooks/leak.lua");
    assert_in_range(told.held, (8 << 20) / 2, 8 << 20);
    assert_in_range(told.most_bytes, (8 << 20) / 2, told.held);
    for (int i = 0; i < 5; i++)
        assert_int_equal(run(s, &other, 2), TASK_FAILED);
    assert_int_equal(told.count, 1);
    s->fullness.next = (mono_t){0}; /* the pause is over */
    assert_int_equal(run(s, &other, 2), TASK_FAILED);
    assert_int_equal(told.count, 2);
    sandbox_unload(s, &leak); /* a version that does not leak has come */
    lua_gc(s->L, LUA_GCCOLLECT, 0);
    s->fullness.next = (mono_t){0};
    assert_int_equal(run(s, &other, 2), TASK_RETURNED);
    assert_int_equal(told.count, 2);
    sandbox_unload(s, &other);
    end_state(&s);
}

/* It asks for more than there is; what others keep is no reason. */
static void a_script_that_needs_too_much_is_not(void **state)
{
    struct state *s = new_told_state(8 << 20);
    struct sandbox_chunk table =
        load_as(s, "hooks/table.lua", "local t = {} for i = 1, 50 do t[i] = ('x'):rep(100000) .. i end return { t }");
    struct sandbox_chunk greedy = load_as(s, "hooks/greedy.lua", "return function() return ('x'):rep(1e8) end");
    struct sandbox_chunk modest = load_as(s, "hooks/modest.lua", "return function() return { 1 } end");
    for (int i = 0; i < 50; i++) {
        assert_int_equal(run(s, &greedy, 1), TASK_FAILED);
        s->fullness.next = (mono_t){0};
    }
    assert_int_equal(told.count, 0);
    for (unsigned i = 0; i < 3; i++) { /* one of another script has the same fault */
        assert_int_equal(run(s, &greedy, 2), TASK_FAILED);
        s->fullness.next = (mono_t){0};
    }
    assert_int_equal(told.count, 0);
    assert_int_equal(run(s, &modest, 3), TASK_RETURNED);
    for (unsigned i = 0; i < 40; i++) { /* two of the kind, and others between them */
        assert_int_equal(run(s, i % 5 == 4 ? &modest : &greedy, i % 5), i % 5 == 4 ? TASK_RETURNED : TASK_FAILED);
        s->fullness.next = (mono_t){0};
    }
    assert_int_equal(told.count, 0);
    for (unsigned i = 0; i < FULLNESS_ROW; i++) /* no others: it may be a leak that the walk does not see */
        assert_int_equal(run(s, &greedy, i), TASK_FAILED);
    assert_int_equal(told.count, 1);
    sandbox_unload(s, &table);
    sandbox_unload(s, &greedy);
    sandbox_unload(s, &modest);
    end_state(&s);
}

static void what_tasks_under_way_hold_is_not(void **state)
{
    struct state *s = new_told_state(8 << 20);
    struct sandbox_chunk needy = load_as(s, "hooks/needy.lua", NEEDY);
    struct run r[4];
    struct task *t[4];
    for (int i = 0; i < 4; i++) {
        char body[160];
        snprintf(body, sizeof(body),
                 "local t = {} for i = 1, 19 do t[i] = ('z'):rep(100000) .. '%d' .. i end wait() return #t", i);
        t[i] = start(s, body, &r[i]);
    }
    assert_non_null(t[3]);
    assert_true(state_memory(s) > 7 << 20);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(run(s, &needy, 1), TASK_FAILED);
        s->fullness.next = (mono_t){0};
    }
    assert_int_equal(told.count, 0);
    for (int i = 0; i < 4; i++)
        task_cancel(&t[i]);
    lua_gc(s->L, LUA_GCCOLLECT, 0);
    assert_int_equal(run(s, &needy, 1), TASK_RETURNED);
    assert_int_equal(told.count, 0);
    sandbox_unload(s, &needy);
    end_state(&s);
}

/* While others wait, what scripts hold must be looked for. */
static void a_leak_beside_tasks_that_wait_is(void **state)
{
    struct state *s = new_told_state(8 << 20);
    struct sandbox_chunk leak = load_as(s, "hooks/leak.lua", LEAK);
    struct run r;
    struct task *t = start(s, "wait()", &r);
    while (run(s, &leak, 1) == TASK_RETURNED) {
    }
    assert_int_equal(told.count, 1);
    assert_string_equal(told.most, "hooks/leak.lua");
    task_cancel(&t);
    sandbox_unload(s, &leak);
    end_state(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_holds_what_it_keeps),
        cmocka_unit_test(a_walk_has_a_bound_and_says_where_it_was_reached),
        cmocka_unit_test(a_leak_is_told_of_again_and_again_but_not_all_the_time),
        cmocka_unit_test(a_script_that_needs_too_much_is_not),
        cmocka_unit_test(what_tasks_under_way_hold_is_not),
        cmocka_unit_test(a_leak_beside_tasks_that_wait_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
