/*
 * memory.c: counts, refuses, and hurries the collector. See memory.h.
 * Owns: nothing. Runs in: the state's thread, inside Lua's own code: no Lua call that allocates or raises.
 */
#include "script/memory.h"

#include <stdint.h>
#include <stdlib.h>

#define RESERVE ((size_t)4 << 20)
#define PAUSE_CALM 200
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
    m->allowed = inside || m->ceiling > SIZE_MAX - RESERVE ? m->ceiling : m->ceiling + RESERVE;
}

/* These three only set numbers of the collector, so they are safe even within an allocation. */
static void press(struct memory *m)
{
    m->press_at = SIZE_MAX;
    lua_gc(m->L, LUA_GCSETPAUSE, PAUSE_EAGER);
    lua_gc(m->L, LUA_GCSETSTEPMUL, STEP_EAGER);
    lua_gc(m->L, LUA_GCRESTART, 0); /* the next step is due now */
}

void *memory_allocate(void *ud, void *old, size_t old_size, size_t new_size)
{
    struct memory *m = ud;
    void *at;

    if (new_size == 0) {
        free(old);
        m->used -= old_size;
        return NULL;
    }
    if (old == NULL)
        old_size = 0;
    if (new_size > old_size && new_size - old_size > m->allowed - (m->used < m->allowed ? m->used : m->allowed)) {
        m->refused = true;
        return NULL;
    }
    at = realloc(old, new_size);
    if (at == NULL)
        return NULL;
    m->used = m->used - old_size + new_size;
    if (m->used > m->press_at && m->L != NULL)
        press(m);
    return at;
}

void memory_relax(struct memory *m)
{
    if (m->press_at != SIZE_MAX || m->used > m->ceiling / 3)
        return;
    m->press_at = m->ceiling / 2;
    lua_gc(m->L, LUA_GCSETPAUSE, PAUSE_CALM);
    lua_gc(m->L, LUA_GCSETSTEPMUL, STEP_CALM);
}
