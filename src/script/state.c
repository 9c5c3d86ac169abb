/*
 * state.c: birth and death of a Lua universe. See state.h.
 * Owns: the lua_State, its allocator, the slots for C pointers. Runs in: one thread.
 * Fails: at creation with words. An error that nobody catches is our own fault: a panic.
 */
#include "script/state.h"
#include "base/log.h"
#include "base/panic.h"
#include "script/embedded.h"
#include "script/interrupt.h"
#include "script/nested.h"
#include "script/sandbox_globals.h"
#include "script/state_internal.h"
#include "script/task_internal.h"

#include <lauxlib.h>
#include <luajit.h>
#include <lualib.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

static int at_panic(lua_State *L)
{
    const char *text = lua_tostring(L, -1);

    PANIC("Lua error outside of a protected call: %s", text != NULL ? text : "(not a string)");
    return 0;
}

/*
 * A quarter of the thread's stack stays free for what recurses in C without asking: it is bounded by one Lua stack of
 * 65,500 slots (0.2-2 KB of C stack for each call there).
 */
static char *find_stack_limit(void)
{
    pthread_attr_t attributes;
    void *lowest;
    size_t size;

    if (pthread_getattr_np(pthread_self(), &attributes) != 0)
        return NULL;
    NEED(pthread_attr_getstack(&attributes, &lowest, &size) == 0);
    pthread_attr_destroy(&attributes);
    return (char *)lowest + size / 4;
}

/* LuaJIT's generator starts the same in every state: scripts expect their own numbers. */
static void seed_random(lua_State *L)
{
    uint32_t seed = 0;

    if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
        return;
    lua_getglobal(L, "math");
    lua_getfield(L, -1, "randomseed");
    lua_pushnumber(L, seed);
    lua_call(L, 1, 0);
    lua_pop(L, 1);
}

static int open_state(lua_State *L)
{
    struct state *s = state_of(L);
    void (**open)(lua_State *) = lua_touserdata(L, 1);

    lua_settop(L, 0);
    if (s->host->sandbox) { /* LUA_PATH and LUA_CPATH are not for scripts */
        lua_pushboolean(L, true);
        lua_setfield(L, LUA_REGISTRYINDEX, "LUA_NOENV");
    }
    luaL_openlibs(L);
    bool compiler = s->host->jit;
    if (compiler && !memory_trace_find(L, &s->memory.trace)) {
        log_at(LOG_WARN, "scripts run without LuaJIT's compiler: what memory errors need to know of it was not found");
        compiler = false;
    }
    if (s->host->max_run.ns > 0 && !interrupt_open(L, compiler)) {
        log_at(LOG_WARN, "scripts run without LuaJIT's compiler: a compiled loop could not be interrupted");
        compiler = false;
    }
    luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | (compiler ? LUAJIT_MODE_ON : LUAJIT_MODE_OFF));
    seed_random(L);
    nested_open(L);
    script_embedded_load(L, "globals");
    s->check_globals = luaL_ref(L, LUA_REGISTRYINDEX);
    sandbox_globals_open(L, *open);
    return 0;
}

/* --- collecting what a script leaves --- */

#define COLLECT_CYCLES 2 /* what was marked before it became garbage is found by the second */
#define COLLECT_SLICE DUR_MS(1)

static int collect_a_little(lua_State *L)
{
    struct state *s = state_of(L);
    mono_t until = mono_add(mono_now(), COLLECT_SLICE);

    while (s->cycles > 0 && mono_before(mono_now(), until))
        if (lua_gc(L, LUA_GCSTEP, 0) == 1)
            s->cycles--;
    return 0;
}

static void go_on_collecting(struct loop_later *later)
{
    struct state *s = CONTAINER_OF(later, struct state, collect);

    s->memory.allowed = SIZE_MAX;                      /* the collector itself must never meet the ceiling */
    if (lua_cpcall(s->L, collect_a_little, NULL) != 0) /* a finalizer raised: the cycle goes on behind it */
        lua_pop(s->L, 1);
    memory_inside(&s->memory, false);
    if (s->cycles > 0)
        loop_later(s->host->loop, &s->collect);
}

void state_collect(struct state *s)
{
    if (s->host->loop == NULL)
        return;
    s->cycles = COLLECT_CYCLES;
    loop_later(s->host->loop, &s->collect);
}

/* --- birth and death --- */

struct state *state_new(const struct script_host *host, void (*open)(lua_State *L), struct error *err)
{
    struct state *s = need_zero(1, sizeof(*s));

    memory_init(&s->memory, host->memory);
    s->magic = STATE_MAGIC;
    list_init(&s->tasks);
    turns_init(&s->turns);
    loop_later_init(&s->collect, go_on_collecting);
    s->host = host;
    s->stretch_limit = host->max_run;
    s->stack_limit = find_stack_limit();
    s->L = lua_newstate(memory_allocate, s);
    if (s->L == NULL) {
        error_set(err, "a Lua state does not fit into lua_memory (%zu bytes)", host->memory);
        free(s);
        return NULL;
    }
    s->memory.L = s->L;
    s->load_on = s->L;
    lua_atpanic(s->L, at_panic);
    if (lua_cpcall(s->L, open_state, &open) != 0) {
        const char *text = lua_tostring(s->L, -1);
        error_set(err, "cannot set up the Lua state: %s", text != NULL ? text : "an error that is not a string");
        state_free(&s);
        return NULL;
    }
    return s;
}

void state_free(struct state **s)
{
    struct state *it = *s;

    if (it == NULL)
        return;
    CHECK(it->magic == STATE_MAGIC && it->task_count == 0);
    task_free_idle(it);
    if (it->host->max_run.ns > 0)
        interrupt_close(it->L);
    lua_close(it->L);
    loop_later_cancel(&it->collect);
    loop_later_cancel(&it->turns.next);
    while (it->pointer_count > 0) {
        it->pointer_count--;
        if (it->pointers[it->pointer_count].release != NULL && it->pointers[it->pointer_count].pointer != NULL)
            it->pointers[it->pointer_count].release(it->pointers[it->pointer_count].pointer);
    }
    memory_free(&it->memory);
    holdings_free(&it->loaded);
    it->magic = 0;
    free(it);
    *s = NULL;
}

lua_State *state_lua(struct state *s)
{
    return s->L;
}

struct state *state_of(lua_State *L)
{
    void *ud;

    lua_getallocf(L, &ud);
    return ud;
}

const struct script_host *state_host(const struct state *s)
{
    return s->host;
}

size_t state_memory(const struct state *s)
{
    return s->memory.used;
}

bool state_loading(const struct state *s)
{
    return s->loading > 0;
}

const char *state_script(const struct state *s)
{
    return s->current != NULL ? s->current->name : s->load_name;
}

size_t state_labels(const struct state *s, struct host_labels *labels)
{
    return s->current != NULL && s->host->labels != NULL ? s->host->labels(s->current->labels, labels) : 0;
}

bool state_trace(const struct state *s, char text_out[HOST_TRACE])
{
    return s->current != NULL && s->host->trace != NULL && s->host->trace(s->current->labels, text_out);
}

mono_t state_deadline(const struct state *s)
{
    return s->current != NULL && s->host->deadline != NULL ? s->host->deadline(s->current->labels) : MONO_NEVER;
}

void state_set_pointer(struct state *s, const void *key, void *pointer, void (*release)(void *))
{
    size_t i = 0;

    while (i < s->pointer_count && s->pointers[i].key != key)
        i++;
    CHECK(i < STATE_POINTERS_MAX);
    s->pointers[i].key = key;
    s->pointers[i].pointer = pointer;
    s->pointers[i].release = release;
    if (i == s->pointer_count)
        s->pointer_count++;
}

void *state_pointer(const struct state *s, const void *key)
{
    for (size_t i = 0; i < s->pointer_count; i++)
        if (s->pointers[i].key == key)
            return s->pointers[i].pointer;
    return NULL;
}

struct call {
    void (*fn)(lua_State *L, void *cookie);
    void *cookie;
};

static int call_protected(lua_State *L)
{
    struct call *call = lua_touserdata(L, 1);

    lua_settop(L, 0);
    call->fn(L, call->cookie);
    return 0;
}

int state_protected(struct state *s, void (*fn)(lua_State *L, void *cookie), void *cookie, struct error *err)
{
    struct call call = {fn, cookie};
    int result = 0;

    if (lua_cpcall(s->L, call_protected, &call) != 0) {
        const char *text = lua_type(s->L, -1) == LUA_TSTRING ? lua_tostring(s->L, -1) : NULL;
        result = error_set(err, "%s", text != NULL ? text : "an error that is not a string");
        lua_pop(s->L, 1);
    }
    return result;
}
