/*
 * bind_sleep.c: sleep(seconds) or sleep "250ms": suspends the coroutine, never the loop.
 * Owns: one struct per sleep, freed when it fires or is cancelled. Runs in: the state's thread, on its loop.
 */
#include "bind/bind_sleep.h"
#include "base/duration.h"
#include "base/panic.h"
#include "bind/bind_arguments.h"
#include "io/timeout.h"
#include "script/await.h"
#include <lauxlib.h>
#include <stdlib.h>

#define SLEEP_MAX_S 86400

struct sleep {
    struct await await;
    struct timeout timeout;
};

/* The argument as a span; raises on anything that is none. */
static dur_t check_duration(lua_State *L)
{
    dur_t d = {0};
    if (lua_type(L, 1) == LUA_TNUMBER) {
        double seconds = lua_tonumber(L, 1);
        luaL_argcheck(L, seconds >= 0 && seconds <= SLEEP_MAX_S, 1, "expected seconds from 0 to 86400");
        d.ns = (int64_t)(seconds * 1e9);
        return d;
    }
    struct slice text;
    text.at = luaL_checklstring(L, 1, &text.len);
    luaL_argcheck(L, duration_parse(text, &d), 1, "expected a duration such as \"250ms\", \"5s\" or \"2m\"");
    luaL_argcheck(L, d.ns <= DUR_S(SLEEP_MAX_S).ns, 1, "expected at most 24h");
    return d;
}

static int push_nothing(lua_State *co, void *cookie)
{
    return 0;
}

static void fired(struct timeout *t)
{
    struct sleep *s = CONTAINER_OF(t, struct sleep, timeout);
    await_complete(&s->await, push_nothing, NULL);
    free(s);
}

static void cancel(struct await *a)
{
    struct sleep *s = CONTAINER_OF(a, struct sleep, await);
    timeout_clear(&s->timeout);
    free(s);
}

static int bind_sleep(lua_State *L)
{
    dur_t d = check_duration(L);
    bind_arguments(L, 0, 1, "sleep");
    await_check(L, "sleep");
    struct loop *loop = state_host(state_of(L))->loop;
    struct sleep *s = need_zero(1, sizeof(*s));
    timeout_set(loop, &s->timeout, mono_add(mono_now(), d), fired);
    return await_begin(L, &s->await, cancel);
}

void bind_sleep_open(lua_State *L)
{
    lua_pushcfunction(L, bind_sleep);
}
