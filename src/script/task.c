/*
 * task.c: from the first lua_resume to the last, and back into the pool. See task.h.
 * Owns: coroutines, anchored in the registry; the pool. Runs in: the state's thread, from the loop.
 * Fails: what the script raised goes to done; misuse by our own code is a CHECK.
 */
#include "script/task.h"
#include "base/panic.h"
#include "script/await.h"
#include "script/error.h"
#include "script/interrupt.h"
#include "script/nested.h"
#include "script/state_internal.h"
#include "script/stretch.h"
#include "script/task_internal.h"

#include <lauxlib.h>
#include <stdlib.h>

#define TIDY_PASS DUR_MS(50) /* so long whole collections may take in one pass; the next one goes on */
#define IDLE_MAX 256         /* more than so many at rest are given back: half a kilobyte each */

static void run_in_turn(struct turn *turn);

static struct task *take_idle(struct state *s)
{
    struct task *t = s->idle;

    if (t != NULL) {
        s->idle = t->next;
        s->idle_count--;
        return t;
    }
    t = need_zero(1, sizeof(*t));
    t->state = s;
    list_init(&t->link);
    list_init(&t->belongings);
    t->co = lua_newthread(s->L);
    turns_make(&t->turn, run_in_turn);
    t->anchor = luaL_ref(s->L, LUA_REGISTRYINDEX);
    return t;
}

/* One that is ready to start. */
static struct task *take(struct state *s, const char *name, uint64_t version, dur_t max_run)
{
    struct task *t = take_idle(s);

    t->magic = TASK_MAGIC;
    t->name = name;
    t->version = version;
    t->max_run = max_run;
    t->await = NULL;
    t->whole = NULL;
    t->depth = 0;
    t->left = t->traced = LUA_NOREF;
    list_add(&s->tasks, &t->link);
    s->task_count++;
    return t;
}

static void discard(struct task *t)
{
    luaL_unref(t->state->L, LUA_REGISTRYINDEX, t->anchor);
    free(t);
}

static int collect(lua_State *L)
{
    lua_gc(L, LUA_GCCOLLECT, 0);
    return 0;
}

/* Thousands of parts may meet the ceiling in one pass of the loop: not each of them is worth a whole collection. */
static bool may_collect(struct state *s)
{
    mono_t pass = s->host->loop != NULL ? loop_now(s->host->loop) : mono_now();

    if (pass.ns != s->tidied.ns)
        s->tidying.ns = 0;
    s->tidied = pass;
    return s->tidying.ns < TIDY_PASS.ns;
}

void task_tidy(struct state *s)
{
    if (s->overfull) /* most is held still: task_collect follows */
        return;
    if (s->memory.refused && may_collect(s)) {
        mono_t began = mono_now();
        s->memory.refused = false;
        if (lua_cpcall(s->L, collect, NULL) != 0)
            lua_pop(s->L, 1);
        fullness_look(s);
        s->tidying.ns += mono_since(mono_now(), began).ns;
    }
    memory_relax(&s->memory);
}

void task_collect(struct state *s)
{
    s->overfull = false;
    s->memory.refused = true;
    task_tidy(s);
}

/* What a part had is its caller's, like its result. */
static void give_belongings(struct task *t, bool returned)
{
    while (!list_empty(&t->belongings)) {
        struct task_belonging *b = CONTAINER_OF(t->belongings.next, struct task_belonging, link);
        list_remove(&b->link);
        if (returned && t->whole != NULL)
            list_add(&t->whole->belongings, &b->link);
        else
            b->ended(b, returned);
    }
}

/*
 * A coroutine that returned is ready for the next one as it is. One that failed or was abandoned goes to the collector,
 * which closes what is open in it. It is not reset: LuaJIT's lua_resetthread closes upvalues over the wrong stack when
 * called from another thread, and after a stack overflow it clears memory that it has just given back.
 */
static void give_back(struct task *t, bool returned)
{
    struct state *s = t->state;

    t->magic = 0;
    list_remove(&t->link);
    turns_cancel(&t->turn);
    s->task_count--;
    luaL_unref(s->L, LUA_REGISTRYINDEX, t->left);
    luaL_unref(s->L, LUA_REGISTRYINDEX, t->traced);
    buf_free(&t->trace);
    give_belongings(t, returned);
    if (!returned || s->idle_count >= IDLE_MAX) {
        discard(t);
        task_tidy(s);
        return;
    }
    lua_settop(t->co, 0);
    task_tidy(s);
    t->next = s->idle;
    s->idle = t;
    s->idle_count++;
}

void task_drop_wait(struct task *t)
{
    struct await *a = t->await;

    if (a == NULL)
        return;
    t->await = NULL;
    a->task = NULL;
    a->cancel(a);
}

static void end(struct task *t, enum task_end how, int count)
{
    struct state *s = t->state;
    struct task *outer = s->ending; /* a part whose end ends this one */

    s->ending = t;
    t->done(how, t->co, count, t->cookie);
    s->ending = outer;
    give_back(t, how == TASK_RETURNED);
}

/*
 * It was interrupted: the task has failed with that, whatever it made of it. (A pcall may have been its last call; a
 * wait can only have begun when it was over just then.) Leaves the error at the top of its stack.
 */
static int fail_interrupted(struct task *t, int result)
{
    lua_settop(t->co, result == 0 || result == LUA_YIELD ? 0 : -2);
    lua_pushstring(t->co, interrupt_words());
    return LUA_ERRRUN;
}

/* It has been left: whatever else it did then, or made of what was raised, does not count. */
static void end_left(struct task *t)
{
    lua_sethook(t->state->L, NULL, 0, 0);
    task_drop_wait(t);
    NEED(lua_checkstack(t->co, LUA_MINSTACK));
    lua_settop(t->co, 0);
    lua_rawgeti(t->co, LUA_REGISTRYINDEX, t->left);
    end(t, TASK_LEFT, 1);
}

/* The only lua_resume. Returns whether the task goes on later. */
static bool run(struct task *t, int count)
{
    struct state *s = t->state;
    int result;
    bool interrupted;

    CHECK(s->current == NULL && s->loading == 0);
    s->current = t;
    s->no_wait = false;
    memory_inside(&s->memory, true);
    stretch_begin(s, t->name, t->version, t->max_run, false);
    result = lua_resume(t->co, count);
    interrupted = stretch_end(s);
    memory_inside(&s->memory, false);
    s->current = NULL;
    if (t->left != LUA_NOREF) {
        end_left(t);
        return false;
    }
    if (interrupted)
        result = fail_interrupted(t, result);
    if (result == LUA_YIELD && t->await != NULL)
        return true;
    task_drop_wait(t);
    if (result == LUA_YIELD) { /* not by one of our waits: a forged mark, or a yield behind the libraries' back */
        lua_settop(t->co, 0);
        lua_pushliteral(t->co, "attempt to yield from outside a coroutine");
    }
    s->interrupted = interrupted;
    s->overfull = result == LUA_ERRMEM;
    if (result == LUA_ERRMEM || (result == 0 && t->whole == NULL))
        fullness_note(s, t->version, result == LUA_ERRMEM);
    end(t, result == 0 ? TASK_RETURNED : TASK_FAILED, result == 0 ? lua_gettop(t->co) : 1);
    s->interrupted = false;
    if (s->overfull)
        task_collect(s);
    return false;
}

struct task *task_start(struct state *s, int nargs, const char *name, uint64_t version, dur_t max_run,
                        task_done_fn *done, void *cookie)
{
    struct task *t;

    CHECK(s->current == NULL);
    t = take(s, name, version, max_run);
    t->done = done;
    t->cookie = t->labels = cookie;
    NEED(lua_checkstack(t->co, nargs + LUA_MINSTACK));
    lua_xmove(s->L, t->co, nargs + 1);
    return run(t, nargs) ? t : NULL;
}

struct task *task_start_part(struct task *whole, task_done_fn *done, void *cookie)
{
    struct state *s = whole->state;
    struct task *t;

    CHECK(s->current == NULL && whole->magic == TASK_MAGIC && whole->await != NULL);
    t = take(s, whole->name, whole->version, whole->max_run);
    t->done = done;
    t->cookie = cookie;
    t->labels = whole->labels;
    t->whole = whole;
    t->depth = whole->depth + 1;
    NEED(lua_checkstack(t->co, LUA_MINSTACK));
    lua_xmove(s->L, t->co, 1);
    return run(t, 0) ? t : NULL;
}

const struct task *task_whole(const struct task *t)
{
    while (t != NULL && t->whole != NULL)
        t = t->whole;
    return t;
}

static void on_leaving(lua_State *L, lua_Debug *ar)
{
    lua_pushliteral(L, "the task has been left");
    lua_error(L);
}

/*
 * What cannot yield raises, and each instruction of the script's raises again until it has unwound itself. Nothing of
 * it is in compiled code now: it called us.
 */
int task_leave(lua_State *L, const char *name)
{
    struct state *s = state_of(L);
    struct task *t = s->current;

    if (s->loading > 0 || t == NULL)
        script_error_words(L, "%s: cannot be called while the script loads", name);
    int left = luaL_ref(L, LUA_REGISTRYINDEX);
    luaL_unref(L, LUA_REGISTRYINDEX, t->left);
    t->left = left;
    if (!s->no_wait && lua_isyieldable(L))
        return nested_yield(L, 0);
    lua_sethook(L, on_leaving, LUA_MASKCOUNT, 1);
    lua_pushliteral(L, "the task has been left");
    return lua_error(L);
}

void task_resume(struct task *t, int count)
{
    CHECK(t->magic == TASK_MAGIC && t->await == NULL);
    if (turns_at_once(t->state)) {
        run(t, count);
        return;
    }
    t->values = count;
    turns_add(t->state, &t->turn);
}

static void run_in_turn(struct turn *turn)
{
    struct task *t = CONTAINER_OF(turn, struct task, turn);

    run(t, t->values);
}

void task_stop(struct task *t, enum task_end how)
{
    CHECK(t->magic == TASK_MAGIC && t->await == NULL && t->state->current == NULL);
    end(t, how, 1);
}

void task_cancel(struct task **t)
{
    struct task *it = *t;

    if (it == NULL)
        return;
    CHECK(it->magic == TASK_MAGIC && it->state->current != it && (it->await != NULL || turns_waits(&it->turn)));
    *t = NULL;
    task_drop_wait(it);
    give_back(it, false);
}

void task_belongs(struct task *t, struct task_belonging *b, void (*ended)(struct task_belonging *b, bool returned))
{
    CHECK(t->magic == TASK_MAGIC);
    task_belongs_not(b);
    b->ended = ended;
    list_init(&b->link);
    list_add(&t->belongings, &b->link);
}

void task_belongs_not(struct task_belonging *b)
{
    if (b->ended != NULL)
        list_remove(&b->link);
}

struct task *task_current(const struct state *s)
{
    return s->current;
}

size_t task_count(const struct state *s)
{
    return s->task_count;
}

void task_free_idle(struct state *s)
{
    while (s->idle != NULL) {
        struct task *t = s->idle;
        s->idle = t->next;
        discard(t);
    }
    s->idle_count = 0;
}
