/*
 * test_storm.c: scripts made by chance (waits, parallel, coroutines, pcall, errors, leaving, callbacks, memory that
 * runs out) whose waits are completed in any order and whose tasks are cancelled at any time: each task ends once, each
 * wait is completed or cancelled, and nothing is left. The chance is always the same; $CRESCENT_SEED gives another.
 */
#include "base/list.h"
#include "base/panic.h"
#include "harness.h"

#define TASKS 3       /* of one script, side by side: they share its coroutine */
#define STEPS_MAX 400 /* then what is left is cancelled */

static uint64_t chance;

static unsigned pick(unsigned of)
{
    chance = chance * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(chance >> 33) % of;
}

/* --- waits -------------------------------------------------------------------------------------------------------- */

struct pending {
    struct await await;
    struct list link;
};

static struct list pending;
static size_t begun, completed, cancelled, pending_count;
static size_t ends[3], full, parts; /* by kind; without memory; of parallel */

static void drop_pending(struct pending *p)
{
    list_remove(&p->link);
    pending_count--;
    free(p);
}

static void pending_cancel(struct await *a)
{
    cancelled++;
    drop_pending(CONTAINER_OF(a, struct pending, await));
}

static int l_pend(lua_State *L)
{
    await_check(L, "wait");
    struct pending *p = calloc(1, sizeof(*p));
    list_init(&p->link);
    list_add(&pending, &p->link);
    begun++;
    pending_count++;
    return await_begin(L, &p->await, pending_cancel);
}

static int push_one(lua_State *co, void *cookie)
{
    if (pick(50) == 0)
        return luaL_error(co, "cannot push");
    lua_pushinteger(co, 1);
    return 1;
}

static void complete_one(void)
{
    struct list *at = pending.next;
    for (unsigned skip = pick((unsigned)pending_count); skip > 0; skip--)
        at = at->next;
    struct pending *p = CONTAINER_OF(at, struct pending, link);
    completed++;
    list_remove(&p->link);
    pending_count--;
    await_complete(&p->await, push_one, NULL);
    free(p);
}

static void open_storm(lua_State *L)
{
    open_globals(L);
    lua_pushcfunction(L, l_pend);
    lua_setfield(L, -2, "wait");
}

/* --- scripts ------------------------------------------------------------------------------------------------------ */

static void add_block(struct buf *b, int depth);

/* first: what stands before the first one. */
static void add_functions(struct buf *b, int depth, const char *first)
{
    for (unsigned i = 0, count = pick(4); i < count; i++) {
        buf_add_text(b, i > 0 ? ", " : first);
        buf_add_text(b, "function() ");
        add_block(b, depth);
        buf_add_text(b, pick(8) == 0 ? "return 1, 2 end" : "return 1 end");
    }
}

static void add_around(struct buf *b, const char *before, int depth, const char *after)
{
    buf_add_text(b, before);
    add_block(b, depth);
    buf_add_text(b, after);
}

static void add_statement(struct buf *b, int depth)
{
    unsigned kind = pick(depth > 0 ? 19 : 8);
    switch (kind) {
    case 0:
    case 1:
    case 2:
        buf_add_text(b, "wait() ");
        break;
    case 3:
        buf_add_text(b, pick(3) == 0 ? "error { status = 409 } " : pick(3) == 0 ? "error 'x' " : "pcall(error) ");
        break;
    case 4:
        buf_add_text(b, pick(4) == 0 ? "leave(1) " : pick(2) == 0 ? "pcall(wait) " : "xpcall(wait, error) ");
        break;
    case 5:
        buf_add_text(b, pick(4) == 0 ? "do return nil, 'no' end " : "if shared then coroutine.status(shared) end ");
        break;
    case 6:
        buf_add_text(b, "do local t = {} for i = 1, 40 do t[i] = ('x'):rep(1000 * i) .. i end end ");
        break;
    case 7:
        buf_add_text(b, "if shared then coroutine.resume(shared) end ");
        break;
    case 8:
    case 9:
        add_around(b, "pcall(function() ", depth - 1, "end) ");
        break;
    case 10:
        add_around(b, "xpcall(function() ", depth - 1, "end, function(e) return e end) ");
        break;
    case 11:
        add_around(b, "coroutine.wrap(function() ", depth - 1, "end)() ");
        break;
    case 12:
        add_around(b, "for v in coroutine.wrap(function() coroutine.yield(1) ", depth - 1,
                   "coroutine.yield(2) end) do ");
        add_around(b, "", depth - 1, "end ");
        break;
    case 13:
        add_around(b, "shared = coroutine.create(function() coroutine.yield() ", depth - 1, "end) ");
        break;
    case 14:
        add_around(b, "pcall(table.sort, { 2, 1 }, function(a, b) ", depth - 1, "return a < b end) ");
        break;
    case 15:
        add_around(b, "pcall(string.gsub, 'ab', '.', function() coroutine.wrap(function() ", depth - 1, "end)() end) ");
        break;
    default:
        buf_add_text(b, kind == 16 ? "pcall(parallel" : kind == 17 ? "parallel { " : "parallel(");
        add_functions(b, depth - 1, kind == 16 ? ", " : "");
        buf_add_text(b, kind == 17 ? "} " : ") ");
    }
}

static void add_block(struct buf *b, int depth)
{
    for (unsigned i = 0, count = 1 + pick(3); i < count && b->len < 20000; i++)
        add_statement(b, depth);
}

/* --- one round ---------------------------------------------------------------------------------------------------- */

static struct slot {
    struct task *task;
    int ended;
} slots[TASKS];

static void slot_ended(enum task_end end, lua_State *co, int count, void *cookie)
{
    struct slot *slot = cookie;
    struct script_error e;
    slot->task = NULL;
    slot->ended++;
    ends[end]++;
    if (end == TASK_FAILED) {
        script_error_read(co, &e);
        assert_true(e.log.len > 0);
        full += e.memory;
        script_error_free(&e);
    }
}

static void cancel_one(struct slot *slot)
{
    if (slot->task == NULL)
        return;
    task_cancel(&slot->task);
    slot->ended++;
}

static void run_all(struct state *s, const struct sandbox_chunk *chunk)
{
    for (int i = 0; i < TASKS; i++) {
        lua_rawgeti(state_lua(s), LUA_REGISTRYINDEX, chunk->result);
        slots[i] = (struct slot){0};
        struct task *t = task_start(s, 0, "storm", 1, DUR_S(10), slot_ended, &slots[i]);
        slots[i].task = t;
        assert_true((t == NULL) == (slots[i].ended == 1));
    }
    for (int step = 0; step < STEPS_MAX; step++) {
        loop_pass(host.loop, DUR_MS(0));
        parts += task_count(s) > TASKS;
        if (pending_count > 0 && pick(4) > 0)
            complete_one();
        if (pick(40) == 0)
            cancel_one(&slots[pick(TASKS)]);
        if (task_count(s) == 0)
            break;
    }
    for (int i = 0; i < TASKS; i++) {
        cancel_one(&slots[i]);
        assert_int_equal(slots[i].ended, 1);
    }
    assert_int_equal(task_count(s), 0);
    assert_int_equal(pending_count, 0);
    assert_int_equal(begun, completed + cancelled);
}

static void one_round(struct state *s)
{
    struct buf text = {0};
    struct sandbox_chunk chunk;
    char *message = NULL;
    buf_add_text(&text, "local shared\nreturn function() ");
    add_block(&text, 4);
    buf_add_text(&text, "end");
    if (sandbox_load(s, buf_slice(&text), "hooks/storm.lua", NULL, &chunk, &message) == 0) {
        run_all(s, &chunk);
        sandbox_unload(s, &chunk);
    } else if (strstr(message, "memory") == NULL) {
        fail_msg("%s\n%s", message, buf_text(&text));
    }
    free(message);
    buf_free(&text);
}

static void storm(size_t memory, dur_t max_run, int rounds)
{
    struct state *s = new_opened_state(memory, true, max_run, open_storm);
    lua_State *L = state_lua(s);
    const char *seed = getenv("CRESCENT_SEED");
    size_t before = 0;
    chance = seed != NULL ? strtoull(seed, NULL, 10) : 1;
    list_init(&pending);
    begun = completed = cancelled = pending_count = full = parts = ends[0] = ends[1] = ends[2] = 0;
    for (int round = 0; round < rounds; round++) {
        one_round(s);
        if (round != rounds / 2 && round != rounds - 1)
            continue;
        for (int i = 0; i < 20; i++) /* what sandbox_unload leaves is collected in passes */
            loop_pass(host.loop, DUR_MS(0));
        lua_gc(L, LUA_GCCOLLECT, 0);
        lua_gc(L, LUA_GCCOLLECT, 0);
        if (round == rounds / 2)
            before = state_memory(s);
    }
    print_message("%zu waits begun, %zu completed, %zu cancelled; %zu returned, %zu failed (%zu of memory), %zu left; "
                  "%zu steps with parts; %zu, then %zu bytes\n",
                  begun, completed, cancelled, ends[TASK_RETURNED], ends[TASK_FAILED], full, ends[TASK_LEFT], parts,
                  before, state_memory(s));
    assert_true(begun > (size_t)rounds && completed > 0 && cancelled > 0 && parts > 0);
    assert_true(ends[TASK_RETURNED] > 0 && ends[TASK_FAILED] > 0 && ends[TASK_LEFT] > 0);
    assert_true((full > 0) == (memory <= 1 << 20));
    assert_true(state_memory(s) < before + 65536);
    while (loop_pass(host.loop, DUR_MS(0)), task_count(s) > 0) {
    }
    end_state(&s);
}

static void scripts_made_by_chance_end_as_they_must(void **state)
{
    storm(64 << 20, (dur_t){0}, 3000);
    storm(64 << 20, DUR_S(10), 1000);
}

static void where_memory_runs_out_as_well(void **state)
{
    storm(1 << 20, (dur_t){0}, 3000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scripts_made_by_chance_end_as_they_must),
        cmocka_unit_test(where_memory_runs_out_as_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
