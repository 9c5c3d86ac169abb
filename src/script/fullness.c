/*
 * fullness.c: see fullness.h.
 */
#include "script/fullness.h"
#include "script/holdings.h"
#include "script/state_internal.h"

#define COLLECT_MOST 6

void fullness_loaded(struct state *s)
{
    s->fullness.least = s->memory.used;
}

void fullness_note(struct state *s, uint64_t version, bool met)
{
    struct fullness *f = &s->fullness;

    if (s->memory.used < f->least)
        f->least = s->memory.used;
    if (!met) {
        f->row = 0;
        f->turns = 0;
        return;
    }
    f->turns += f->row > 0 && f->version != version;
    f->version = version;
    f->row++;
}

/* kept: bytes that stay when the tasks under way have ended. */
static bool is_full(const struct state *s, size_t kept, size_t used)
{
    const struct fullness *f = &s->fullness;
    size_t ceiling = s->memory.ceiling;

    if (used < ceiling / 2)
        return false;
    return (used >= FULLNESS_HELD(ceiling) && kept >= ceiling / 2) ||
           (kept > f->least && kept - f->least >= FULLNESS_GROWN(ceiling)) ||
           (f->row >= FULLNESS_ROW && f->turns >= FULLNESS_TURNS);
}

static int collect(lua_State *L)
{
    lua_gc(L, LUA_GCCOLLECT, 0);
    return 0;
}

/* LuaJIT's buffer for new strings, which one of them may have filled, is halved by each collection. */
static void collect_on(struct state *s)
{
    size_t before, little = s->memory.ceiling / 64;

    for (int i = 0; i < COLLECT_MOST; i++) {
        before = s->memory.used;
        if (lua_cpcall(s->L, collect, NULL) != 0)
            lua_pop(s->L, 1);
        if (s->memory.used + little > before)
            return;
    }
}

void fullness_look(struct state *s)
{
    struct fullness *f = &s->fullness;
    size_t ceiling = s->memory.ceiling, used = s->memory.used;
    struct holdings h;

    if (s->host->full == NULL || mono_before(mono_now(), f->next) || !is_full(s, used, used))
        return;
    collect_on(s);
    used = s->memory.used;
    holdings_walk(&s->loaded, s->L, s->globals, &h);
    bool full_up = is_full(s, s->task_count == 0 || h.cut ? used : h.all, used);
    f->next = mono_add(mono_now(), full_up ? FULLNESS_PAUSE : FULLNESS_DOUBT);
    if (!full_up)
        return;
    const struct host_full full = {
        .held = used, .most = h.cut || h.most_bytes >= ceiling / 4 ? h.most : NULL, .most_bytes = h.most_bytes};
    s->host->full(s->host->owner, &full);
}
