/*
 * parallel.c: the parts of a task: begun, collected, ended together. See parallel.h; the Lua part is parallel.lua.
 * Owns: for each call one struct, until its results are there or its task is cancelled; in the registry the functions,
 * which their results replace. Runs in: the state's thread, from the loop. Fails: Lua errors, raised by parallel.lua.
 */
#include "script/parallel.h"
#include "base/panic.h"
#include "script/await.h"
#include "script/embedded.h"
#include "script/error.h"
#include "script/state_internal.h"
#include "script/task_internal.h"
#include "script/turns.h"

#include <lauxlib.h>
#include <stdlib.h>

struct part {
    struct parallel *parallel;
    struct task *task; /* NULL: has not begun, or has ended */
};

struct parallel {
    struct await await; /* of the task that called */
    struct turn turn;   /* the next part is to begin, or all is over */
    struct state *state;
    struct part *parts;
    size_t count, begun, ended;
    int items;  /* registry reference: functions, then results, by position */
    int raised; /* registry reference: what the first failure raised; LUA_NOREF: none yet */
    bool list;
    bool *gone; /* set when this struct goes while parts begin */
};

/* --- the end ------------------------------------------------------------------------------------------------------ */

/* Garbage that is owed a collection is collected when all of it is there: not by the first of them. */
static void end_parts(struct parallel *p)
{
    struct memory *m = &p->state->memory;
    bool refused = m->refused;

    m->refused = false;
    for (size_t i = 0; i < p->begun; i++)
        task_cancel(&p->parts[i].task);
    m->refused = refused;
}

static void drop(struct parallel *p)
{
    lua_State *L = p->state->L;

    end_parts(p);
    turns_cancel(&p->turn);
    luaL_unref(L, LUA_REGISTRYINDEX, p->items);
    luaL_unref(L, LUA_REGISTRYINDEX, p->raised);
    if (p->gone != NULL)
        *p->gone = true;
    free(p->parts);
    free(p);
}

static void cancel(struct await *a)
{
    drop(CONTAINER_OF(a, struct parallel, await));
}

static int push_results(lua_State *L, void *cookie)
{
    struct parallel *p = cookie;

    luaL_checkstack(L, p->list ? 4 : (int)p->count + 4, "results");
    lua_pushboolean(L, p->raised != LUA_NOREF);
    if (p->raised != LUA_NOREF) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, p->raised);
        return 2;
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, p->items);
    if (p->list)
        return 2;
    for (size_t i = 1; i <= p->count; i++)
        lua_rawgeti(L, 2, (int)i);
    lua_remove(L, 2);
    return (int)p->count + 1;
}

static void complete(struct parallel *p)
{
    struct await *a = &p->await;

    turns_cancel(&p->turn); /* a part that runs on in here cannot come back to it */
    await_complete(a, push_results, p);
    drop(p);
}

/* --- a part ends -------------------------------------------------------------------------------------------------- */

/* The value at the top of `from` is what the call raises. */
static void fail(struct parallel *p, lua_State *from)
{
    lua_State *L = p->state->L;

    if (from != L)
        lua_xmove(from, L, 1);
    p->raised = luaL_ref(L, LUA_REGISTRYINDEX);
    end_parts(p);
    task_tidy(p->state); /* the caller goes on, and needs memory for it */
}

/* The whole task ends with it, at once: the part has left it, or met a limit, which nobody may catch for it. */
static void end_whole(struct parallel *p, lua_State *co, enum task_end how)
{
    struct task *whole = p->await.task;

    whole->await = NULL;
    p->await.task = NULL;
    lua_settop(whole->co, 0);
    lua_xmove(co, whole->co, 1);
    drop(p);
    task_stop(whole, how);
}

/* What it returned cannot be its result: in words that begin with its place. */
static void fail_values(struct parallel *p, int position, int count)
{
    lua_State *L = p->state->L;
    lua_Debug at;

    lua_rawgeti(L, LUA_REGISTRYINDEX, p->items);
    lua_rawgeti(L, -1, position);
    lua_remove(L, -2);
    lua_getinfo(L, ">S", &at);
    if (at.linedefined > 0)
        lua_pushfstring(L, "%s:%d: parallel: function %d returned %d values: return one, a table for more",
                        at.short_src, at.linedefined, position, count);
    else
        lua_pushfstring(L, "parallel: function %d returned %d values: return one, a table for more", position, count);
    fail(p, L);
}

/* Its one result; `nil, err` and more than one fail. */
static void take(struct parallel *p, struct part *part, lua_State *co, int count)
{
    lua_State *L = p->state->L;
    int position = (int)(part - p->parts) + 1;

    while (count > 1 && lua_isnil(co, count))
        count--;
    if (count > 1 && lua_isnil(co, 1)) {
        lua_settop(co, 2);
        fail(p, co);
        return;
    }
    if (count > 1) {
        fail_values(p, position, count);
        return;
    }
    lua_settop(co, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, p->items);
    lua_xmove(co, L, 1);
    lua_rawseti(L, -2, position);
    lua_pop(L, 1);
}

static void ended(enum task_end end, lua_State *co, int count, void *cookie)
{
    struct part *part = cookie;
    struct parallel *p = part->parallel;

    part->task = NULL;
    p->ended++;
    if (end == TASK_FAILED)
        script_error_keep_trace(co, p->await.task);
    if (end == TASK_LEFT || p->state->interrupted || p->state->overfull) {
        end_whole(p, co, end);
        return;
    }
    if (end == TASK_FAILED) {
        fail(p, co);
    } else {
        take(p, part, co, count);
    }
    if (p->raised != LUA_NOREF || p->ended == p->count)
        turns_add(p->state, &p->turn);
}

/* --- the beginning ------------------------------------------------------------------------------------------------ */

/* Coroutines are made outside of the script, where the ceiling does not hold: thousands would pass it unseen. True: it
 * has ended the whole task, and with it this call. */
static bool is_full(struct parallel *p)
{
    struct state *s = p->state;

    if (!memory_full(&s->memory))
        return false;
    s->overfull = true;
    lua_pushliteral(s->L, "not enough memory");
    end_whole(p, s->L, TASK_FAILED);
    task_collect(s);
    return true;
}

/* False: it has ended the whole task, and with it this call. */
static bool begin_part(struct parallel *p)
{
    lua_State *L = p->state->L;
    struct part *part = &p->parts[p->begun++];
    bool gone = false;

    lua_rawgeti(L, LUA_REGISTRYINDEX, p->items);
    lua_rawgeti(L, -1, (int)p->begun);
    lua_remove(L, -2);
    p->gone = &gone;
    struct task *task = task_start_part(p->await.task, ended, part);
    if (gone)
        return false;
    p->gone = NULL;
    part->task = task;
    return true;
}

/* One part in a turn: parts of other calls, and what is due besides, have theirs. */
static void go_on(struct turn *turn)
{
    struct parallel *p = CONTAINER_OF(turn, struct parallel, turn);

    if (p->begun < p->count && p->raised == LUA_NOREF && (is_full(p) || !begin_part(p)))
        return;
    if (p->raised != LUA_NOREF || p->ended == p->count)
        complete(p);
    else if (p->begun < p->count)
        turns_add(p->state, &p->turn);
}

/* The functions at positions 1 to `count` of the stack, as the table at its top. */
static void gather_arguments(lua_State *L, int count)
{
    if (count > PARALLEL_ARGUMENTS_MAX)
        script_error_words(L, "parallel: more than %d functions: give them as one list", PARALLEL_ARGUMENTS_MAX);
    lua_createtable(L, count, 0);
    for (int i = 1; i <= count; i++) {
        if (!lua_isfunction(L, i))
            script_error_words(L, "parallel: argument %d is a %s, expected a function", i, luaL_typename(L, i));
        lua_pushvalue(L, i);
        lua_rawseti(L, -2, i);
    }
}

/* The same of the list at position 1, which stays the script's. Returns how many. */
static size_t gather_list(lua_State *L)
{
    size_t count = lua_objlen(L, 1), seen = 0;

    if (count > PARALLEL_LIST_MAX)
        script_error_words(L, "parallel: a list of %zu functions: %d are the most", count, PARALLEL_LIST_MAX);
    lua_createtable(L, (int)count, 0);
    for (size_t i = 1; i <= count; i++) {
        lua_rawgeti(L, 1, (int)i);
        if (!lua_isfunction(L, -1))
            script_error_words(L, "parallel: item %zu of the list is a %s, expected a function", i,
                               luaL_typename(L, -1));
        lua_rawseti(L, -2, (int)i);
    }
    for (lua_pushnil(L); lua_next(L, 1) != 0; lua_pop(L, 1))
        seen++;
    if (seen != count)
        script_error_words(L, "parallel: expected a list of functions: this table has other keys than 1 to %zu", count);
    return count;
}

/* wait(...): see parallel.lua. */
static int parallel_wait(lua_State *L)
{
    struct state *s = state_of(L);
    bool list = lua_gettop(L) == 1 && lua_istable(L, 1);
    size_t count = (size_t)lua_gettop(L);

    await_check(L, "parallel");
    if (s->current->depth >= PARALLEL_DEPTH_MAX)
        script_error_words(L, "parallel: nested more than %d deep", PARALLEL_DEPTH_MAX);
    if (list)
        count = gather_list(L);
    else
        gather_arguments(L, (int)count);
    if (count == 0) {
        lua_pushboolean(L, false);
        lua_insert(L, -2); /* below the empty list */
        lua_settop(L, list ? -1 : -2);
        return list ? 2 : 1;
    }
    int items = luaL_ref(L, LUA_REGISTRYINDEX);
    struct parallel *p = need_zero(1, sizeof(*p));
    p->state = s;
    p->count = count;
    p->list = list;
    p->items = items;
    p->raised = LUA_NOREF;
    p->parts = need_zero(count, sizeof(*p->parts));
    for (size_t i = 0; i < count; i++)
        p->parts[i].parallel = p;
    turns_make(&p->turn, go_on);
    turns_add(s, &p->turn);
    return await_begin(L, &p->await, cancel);
}

void parallel_open(lua_State *L)
{
    script_embedded_load(L, "parallel");
    lua_pushcfunction(L, parallel_wait);
    lua_call(L, 1, 1);
}
