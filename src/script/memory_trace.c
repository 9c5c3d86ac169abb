/*
 * memory_trace.c: see memory_trace.h. What is known of LuaJIT's memory (LJ_GC64): a lua_State begins with a link, four
 * bytes, the global state at 16, and base and top of its frame at 32 and 40. memory_trace_find checks all of it.
 */
#include "script/memory_trace.h"

#include "base/panic.h"

#include <lauxlib.h>
#include <luajit.h>
#include <stdint.h>

#define GLOBAL_AT 2 /* in words of a lua_State */
#define BASE_AT 4
#define TOP_AT 5

/* Allocates in each of its turns; compiled after some fifty. */
static const char loop[] = "local t = {}\n"
                           "for i = 1, 400 do t[i % 8] = ('x'):rep(i + 300) end\n";

static void **words_of(lua_State *L)
{
    return (void **)L;
}

/* Whether the frame's place is where it is thought to be: it has as many values as we push. */
static bool frame_is_there(lua_State *L)
{
    for (int pushed = 0; pushed < 3; pushed++) {
        char *base = words_of(L)[BASE_AT], *top = words_of(L)[TOP_AT];

        if (base == NULL || top - base != (ptrdiff_t)lua_gettop(L) * 8)
            return false;
        lua_pushnil(L);
    }
    lua_pop(L, 3);
    return true;
}

void memory_trace_watch(struct memory_trace *t)
{
    for (size_t i = 1; i < MEMORY_TRACE_WORDS; i++) {
        char *value = t->global[i], *base = words_of(t->runs)[BASE_AT];

        if (!t->compiling)
            t->used[i] = t->used[i] || value != NULL;
        else if (!t->used[i] && value != NULL)
            /* the word before it is the running coroutine; the frame lies on that one's stack, near its last one */
            t->found[i] = t->global[i - 1] == (void *)t->runs && ((uintptr_t)value & 7) == 0 && value > base - 65536 &&
                          value < base + 65536;
    }
}

static bool run_loop(lua_State *L, struct memory_trace *t)
{
    t->runs = lua_newthread(L);
    if (luaL_loadbuffer(t->runs, loop, sizeof(loop) - 1, "=crescent/memory_trace") != 0)
        return false;
    t->global = words_of(L)[GLOBAL_AT];
    bool ended = lua_pcall(t->runs, 0, 0, 0) == 0;
    t->global = NULL;
    lua_pop(L, 1);
    return ended;
}

bool memory_trace_find(lua_State *L, struct memory_trace *t)
{
    size_t count = 0, word = 0;

    *t = (struct memory_trace){.word = 0};
    if (!frame_is_there(L))
        return false;
    luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
    bool ran = run_loop(L, t);
    luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_ON);
    t->compiling = true;
    ran = ran && run_loop(L, t);
    for (size_t i = 1; i < MEMORY_TRACE_WORDS; i++)
        if (t->found[i]) {
            word = i;
            count++;
        }
    if (!ran || count != 1)
        return false;
    t->word = word;
    t->global = words_of(L)[GLOBAL_AT];
    return true;
}

void memory_trace_settle(const struct memory_trace *t)
{
    if (t->word == 0 || t->global[t->word] == NULL)
        return; /* not in compiled code */
    words_of(t->global[t->word - 1])[BASE_AT] = t->global[t->word];
}
