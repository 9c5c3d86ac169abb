/*
 * nested.c: what nested.lua is given: the mark, the way in and out of a coroutine, the check of the C stack.
 * Owns: nothing (state->no_wait is set here). Runs in: the state's thread. Fails: Lua errors.
 */
#include "script/nested.h"
#include "base/panic.h"
#include "script/embedded.h"
#include "script/error.h"
#include "script/interrupt.h"
#include "script/state_internal.h"
#include "script/task_internal.h"

#include <lauxlib.h>

/* Its address is the mark: no script can make a light userdata of it, and one that did would only fail its own task. */
static const char mark;

void nested_push_mark(lua_State *L)
{
    lua_pushlightuserdata(L, (void *)&mark);
}

int nested_yield(lua_State *L, uint64_t wait)
{
    nested_push_mark(L);
    lua_pushnumber(L, (lua_Number)wait);
    return lua_yield(L, 2);
}

static void check_stack(lua_State *L, const struct state *s, const char *here)
{
    if (__builtin_expect(here < s->stack_limit, 0))
        script_error_words(L, "stack overflow: coroutines are nested too deeply");
}

/*
 * A level is the address of a frame: those at or below this one have ended, however they did, and stand no more; the
 * stack grows downwards, whichever coroutine runs.
 */
void nested_check_stack(lua_State *L)
{
    struct state *s = state_of(L);
    const char *here = __builtin_frame_address(0);

    check_stack(L, s, here);
    while (s->level_count > 0 && s->levels[s->level_count - 1] <= here)
        s->level_count--;
    if (s->level_count == STATE_LEVELS)
        script_error_words(L,
                           "stack overflow: functions called back by string.gsub, table.sort, string.format and the "
                           "like are nested more than %d deep",
                           STATE_LEVELS);
    s->levels[s->level_count++] = here;
}

static int nested_check(lua_State *L)
{
    nested_check_stack(L);
    return 0;
}

/* Before a coroutine is resumed: whether one around it cannot let a wait pass. Returns what leave shall restore. */
static int nested_enter(lua_State *L)
{
    struct state *s = state_of(L);

    check_stack(L, s, __builtin_frame_address(0));
    lua_pushboolean(L, s->no_wait);
    if (!lua_isyieldable(L))
        s->no_wait = true;
    return 1;
}

static int nested_leave(lua_State *L)
{
    state_of(L)->no_wait = lua_toboolean(L, 1);
    return 0;
}

static int nested_is_outermost(lua_State *L)
{
    struct state *s = state_of(L);

    lua_pushboolean(L, L == s->L || (s->current != NULL && L == s->current->co));
    return 1;
}

/* Whether what is raised now ends the whole task. */
static int nested_unwinds(lua_State *L)
{
    struct state *s = state_of(L);

    lua_pushboolean(L, interrupt_under_way() || (s->current != NULL && s->current->left != LUA_NOREF));
    return 1;
}

/* Whether a task stands in the wait with this number. Looked for: only misuse and a look at a status ask. */
static int nested_waits(lua_State *L)
{
    struct state *s = state_of(L);
    lua_Number wait = lua_tonumber(L, 1);
    bool found = false;

    for (struct list *at = s->tasks.next; !found && at != &s->tasks; at = at->next) {
        const struct task *t = CONTAINER_OF(at, struct task, link);
        found = t->await != NULL && (lua_Number)t->wait == wait;
    }
    lua_pushboolean(L, found);
    return 1;
}

static const luaL_Reg given[] = {
    {"check", nested_check},
    {"enter", nested_enter},
    {"leave", nested_leave},
    {"is_outermost", nested_is_outermost},
    {"unwinds", nested_unwinds},
    {"waits", nested_waits},
    {NULL, NULL},
};

void nested_open(lua_State *L)
{
    script_embedded_load(L, "nested");
    lua_newtable(L);
    luaL_setfuncs(L, given, 0);
    nested_push_mark(L);
    lua_setfield(L, -2, "mark");
    lua_call(L, 1, 0);
}
