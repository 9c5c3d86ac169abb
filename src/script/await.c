/*
 * await.c: a wait begins, and is completed once. See await.h; task.c cancels.
 * Owns: nothing: the wait lives in its operation. Runs in: the state's thread.
 * Fails: results that cannot be pushed (memory) end the task with that error.
 */
#include "script/await.h"
#include "base/panic.h"
#include "script/error.h"
#include "script/nested.h"
#include "script/state_internal.h"
#include "script/task_internal.h"

#include <lauxlib.h>

void await_check(lua_State *L, const char *name)
{
    struct state *s = state_of(L);

    if (s->loading > 0 || s->current == NULL || s->host->loop == NULL)
        script_error_words(L, "%s: cannot wait while the script loads", name);
    if (s->no_wait || !lua_isyieldable(L))
        script_error_words(L, "%s: cannot wait inside a callback of table.sort, string.gsub or the like", name);
}

int await_begin(lua_State *L, struct await *a, void (*cancel)(struct await *a))
{
    struct task *t = state_of(L)->current;

    CHECK(t != NULL);
    task_drop_wait(t); /* one that a coroutine of the script began, and failed before it could hand it outwards */
    a->task = t;
    a->cancel = cancel;
    t->await = a;
    t->wait = ++t->state->wait_count;
    return nested_yield(L, t->wait);
}

struct pushing {
    int (*push)(lua_State *co, void *cookie);
    void *cookie;
};

static int push_results(lua_State *L)
{
    struct pushing *p = lua_touserdata(L, 1);

    lua_settop(L, 0);
    return p->push(L, p->cookie);
}

/* The results are made on the main thread, which can catch an error, and moved. */
void await_complete(struct await *a, int (*push)(lua_State *co, void *cookie), void *cookie)
{
    struct task *t = a->task;
    struct pushing p = {push, cookie};
    lua_State *L;
    int before, result;

    CHECK(t != NULL && t->magic == TASK_MAGIC && t->await == a && t->state->current == NULL);
    t->await = NULL;
    a->task = NULL;
    L = t->state->L;
    before = lua_gettop(L);
    lua_pushcfunction(L, push_results);
    lua_pushlightuserdata(L, &p);
    memory_inside(&t->state->memory, true);
    result = lua_pcall(L, 1, LUA_MULTRET, 0);
    memory_inside(&t->state->memory, false);
    int count = lua_gettop(L) - before;
    NEED(lua_checkstack(t->co, count + LUA_MINSTACK));
    lua_settop(t->co, 0);
    lua_xmove(L, t->co, count);
    if (result == 0)
        task_resume(t, count);
    else
        task_stop(t, TASK_FAILED);
}
