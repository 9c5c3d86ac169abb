/*
 * memory.c: counts, refuses, and hurries the collector. See memory.h.
 * Owns: the chunks of small objects. Runs in: the state's thread, inside Lua's own code: no Lua call that allocates or
 * raises.
 */
#include "script/memory.h"
#include "base/leave.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define RESERVE ((size_t)4 << 20)
#define CHUNK ((size_t)32 << 10)
#define PAUSE_CALM 800 /* percent of what lives: a collection marks every library, a request leaves one kilobyte */
#define PAUSE_EAGER 110
#define STEP_CALM 200
#define STEP_EAGER 400

void memory_init(struct memory *m, size_t ceiling)
{
    *m = (struct memory){.ceiling = ceiling, .press_at = ceiling / 2};
    memory_inside(m, false);
}

void memory_inside(struct memory *m, bool inside)
{
    size_t most = inside || m->used < m->ceiling ? m->ceiling : m->used; /* beyond the ceiling after memory_load */

    m->allowed = inside || most > SIZE_MAX - RESERVE ? most : most + RESERVE;
}

void memory_load(struct memory *m)
{
    size_t share = m->ceiling / 4;

    m->allowed = m->used > m->ceiling - share && m->used <= SIZE_MAX - share ? m->used + share : m->ceiling;
}

/* These three only set numbers of the collector, so they are safe even within an allocation. */
static void press(struct memory *m)
{
    m->press_at = SIZE_MAX;
    lua_gc(m->L, LUA_GCSETPAUSE, PAUSE_EAGER);
    lua_gc(m->L, LUA_GCSETSTEPMUL, STEP_EAGER);
    lua_gc(m->L, LUA_GCRESTART, 0); /* the next step is due now */
}

/* Under a sanitizer every object is its own, so that a use after its end is seen. */
static bool small(size_t size)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return false;
#else
    return size <= MEMORY_SMALL && size > 0;
#endif
}

static size_t list_of(size_t size)
{
    return (size - 1) / MEMORY_STEP;
}

/* Cuts one off the newest chunk; what is left of a chunk that is too short for it is at most one object. */
static void *cut(struct memory *m, size_t size)
{
    if (m->fresh_len < size) {
        char *chunk = malloc(CHUNK);
        if (chunk == NULL)
            return NULL;
        *(void **)chunk = m->chunks;
        m->chunks = chunk;
        m->fresh = chunk + MEMORY_STEP;
        m->fresh_len = CHUNK - MEMORY_STEP;
    }
    void *at = m->fresh;
    m->fresh += size;
    m->fresh_len -= size;
    return at;
}

/* LuaJIT keeps the addresses of some of its arrays with an offset: to the leak sanitizer they seem to be lost. */
static void *kept(void *at)
{
    leave_behind(at);
    return at;
}

static void *take(struct memory *m, size_t size)
{
    if (!small(size))
        return kept(malloc(size));
    void **list = &m->freed[list_of(size)];
    void *at = *list;
    if (at == NULL)
        return cut(m, (list_of(size) + 1) * MEMORY_STEP);
    *list = *(void **)at;
    __builtin_prefetch(*list); /* it was freed long ago, by a collection: its link would be waited for the next time */
    return at;
}

static void give(struct memory *m, void *at, size_t size)
{
    if (!small(size)) {
        free(at);
        return;
    }
    void **list = &m->freed[list_of(size)];
    *(void **)at = *list;
    *list = at;
}

static void *resize(struct memory *m, void *old, size_t old_size, size_t new_size)
{
    if (!small(old_size) && !small(new_size))
        return kept(realloc(old, new_size));
    if (small(old_size) && small(new_size) && list_of(old_size) == list_of(new_size))
        return old;
    void *at = take(m, new_size);
    if (at == NULL)
        return NULL;
    memcpy(at, old, old_size < new_size ? old_size : new_size);
    give(m, old, old_size);
    return at;
}

void memory_free(struct memory *m)
{
    while (m->chunks != NULL) {
        void *next = *(void **)m->chunks;
        free(m->chunks);
        m->chunks = next;
    }
    m->fresh_len = 0;
}

void *memory_allocate(void *ud, void *old, size_t old_size, size_t new_size)
{
    struct memory *m = ud;
    void *at;

    if (new_size == 0) {
        if (old != NULL)
            give(m, old, old_size);
        m->used -= old_size;
        return NULL;
    }
    if (old == NULL)
        old_size = 0;
    if (new_size > old_size && new_size - old_size > m->allowed - (m->used < m->allowed ? m->used : m->allowed)) {
        m->refused = true;
        memory_trace_settle(&m->trace);
        return NULL;
    }
    if (m->trace.global != NULL && m->trace.word == 0)
        memory_trace_watch(&m->trace);
    at = old == NULL ? take(m, new_size) : resize(m, old, old_size, new_size);
    if (at == NULL) {
        memory_trace_settle(&m->trace);
        return NULL;
    }
    m->used = m->used - old_size + new_size;
    if (m->used > m->press_at && m->L != NULL)
        press(m);
    return at;
}

bool memory_full(struct memory *m)
{
    if (m->used < m->ceiling)
        return false;
    m->refused = true;
    return true;
}

void memory_relax(struct memory *m)
{
    if (m->press_at != SIZE_MAX || m->used > m->ceiling / 3)
        return;
    m->press_at = m->ceiling / 2;
    lua_gc(m->L, LUA_GCSETPAUSE, PAUSE_CALM);
    lua_gc(m->L, LUA_GCSETSTEPMUL, STEP_CALM);
}
