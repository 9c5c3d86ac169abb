/*
 * holdings.c: see holdings.h. Depth first in C, up to DEPTH; what lies deeper (a list linked by its own nodes) waits on
 * the stack of a coroutine, and is walked from there.
 */
#include "script/holdings.h"
#include "base/panic.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH 64
#define SLOTS 8         /* of the Lua stack for each level */
#define WAITING 6000    /* values; below what lua_checkstack gives */
#define FIRST_SEEN 1024 /* a power of two */

/* Of LuaJIT's objects with 64-bit pointers. */
#define STRING_BYTES 25
#define TABLE_BYTES 64
#define NODE_BYTES 24
#define FUNCTION_BYTES 48
#define UPVALUE_BYTES 48
#define USERDATA_BYTES 48

struct holdings_chunk {
    char *name;
    int result;
    bool module;
};

void holdings_add(struct holdings_list *l, const char *name, int env, int result, bool module)
{
    if (env >= l->size) {
        int size = env < 64 ? 64 : env * 2;

        l->chunks = need_realloc(l->chunks, (size_t)size * sizeof(*l->chunks));
        memset(l->chunks + l->size, 0, (size_t)(size - l->size) * sizeof(*l->chunks));
        l->size = size;
    }
    CHECK(env > 0 && l->chunks[env].name == NULL);
    l->chunks[env] = (struct holdings_chunk){need_strdup(name), result, module};
}

void holdings_remove(struct holdings_list *l, int env)
{
    if (env < 0 || env >= l->size)
        return;
    free(l->chunks[env].name);
    l->chunks[env].name = NULL;
}

void holdings_free(struct holdings_list *l)
{
    for (int env = 0; env < l->size; env++)
        free(l->chunks[env].name);
    free(l->chunks);
    *l = (struct holdings_list){0};
}

/* --- the walk ----------------------------------------------------------------------------------------------------- */

struct walk {
    const struct holdings_list *list;
    struct holdings *out;
    lua_State *waiting; /* values that lie too deep */
    const void **seen;  /* open addressing, by address */
    size_t seen_size, seen_count;
    size_t bytes; /* of the chunk that is walked */
    int shared;
};

static size_t place_of(const struct walk *w, const void *at)
{
    size_t i = (size_t)(((uintptr_t)at >> 4) * 0x9e3779b97f4a7c15u) & (w->seen_size - 1);

    while (w->seen[i] != NULL && w->seen[i] != at)
        i = (i + 1) & (w->seen_size - 1);
    return i;
}

static void grow(struct walk *w)
{
    const void **old = w->seen;
    size_t old_size = w->seen_size;

    w->seen_size = old_size * 2;
    w->seen = need_zero(w->seen_size, sizeof(*w->seen));
    for (size_t i = 0; i < old_size; i++)
        if (old[i] != NULL)
            w->seen[place_of(w, old[i])] = old[i];
    free(old);
}

/* Whether this object is new to the walk, and within its bound. */
static bool note(struct walk *w, const void *at)
{
    size_t i = place_of(w, at);

    if (w->seen[i] != NULL)
        return false;
    if (w->seen_count == HOLDINGS_OBJECTS) {
        w->out->cut = true;
        return false;
    }
    w->seen[i] = at;
    if (++w->seen_count > w->seen_size / 2)
        grow(w);
    return true;
}

static void visit(struct walk *w, lua_State *L, int depth);

static void visit_table(struct walk *w, lua_State *L, int depth)
{
    int at = lua_gettop(L);

    w->bytes += TABLE_BYTES;
    if (lua_getmetatable(L, at))
        visit(w, L, depth);
    for (lua_pushnil(L); lua_next(L, at) != 0;) {
        w->bytes += NODE_BYTES;
        visit(w, L, depth);
        lua_pushvalue(L, -1);
        visit(w, L, depth);
    }
}

static void visit_function(struct walk *w, lua_State *L, int depth)
{
    int at = lua_gettop(L);

    w->bytes += FUNCTION_BYTES;
    lua_getfenv(L, at);
    visit(w, L, depth);
    for (int i = 1; lua_getupvalue(L, at, i) != NULL; i++) {
        w->bytes += UPVALUE_BYTES;
        visit(w, L, depth);
    }
}

static void visit_userdata(struct walk *w, lua_State *L, int depth)
{
    w->bytes += USERDATA_BYTES + lua_objlen(L, -1);
    if (lua_getmetatable(L, -1))
        visit(w, L, depth);
}

/* Takes the value from the top of the stack. */
static void visit(struct walk *w, lua_State *L, int depth)
{
    int type = lua_type(L, -1), top = lua_gettop(L);

    if (type == LUA_TSTRING) {
        if (note(w, lua_tostring(L, -1)))
            w->bytes += STRING_BYTES + lua_objlen(L, -1);
    } else if ((type == LUA_TTABLE || type == LUA_TFUNCTION || type == LUA_TUSERDATA) && depth >= DEPTH) {
        if (lua_gettop(w->waiting) < WAITING) {
            lua_pushvalue(L, -1);
            lua_xmove(L, w->waiting, 1);
        }
    } else if ((type == LUA_TTABLE || type == LUA_TFUNCTION || type == LUA_TUSERDATA) &&
               note(w, lua_topointer(L, -1))) {
        if (type == LUA_TTABLE)
            visit_table(w, L, depth + 1);
        else if (type == LUA_TFUNCTION)
            visit_function(w, L, depth + 1);
        else
            visit_userdata(w, L, depth + 1);
    }
    lua_settop(L, top - 1);
}

static void visit_reference(struct walk *w, lua_State *L, int reference)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, reference);
    visit(w, L, 0);
    while (lua_gettop(w->waiting) > 0) {
        lua_xmove(w->waiting, L, 1);
        visit(w, L, 0);
    }
}

/* What every script is given, and Lua's own libraries: they are nobody's. */
static void visit_shared(struct walk *w, lua_State *L)
{
    lua_pushvalue(L, LUA_GLOBALSINDEX);
    visit(w, L, 0);
    visit_reference(w, L, w->shared);
}

static void visit_chunk(struct walk *w, lua_State *L, int env)
{
    const struct holdings_chunk *chunk = &w->list->chunks[env];
    struct holdings *out = w->out;

    w->bytes = 0;
    visit_reference(w, L, env);
    visit_reference(w, L, chunk->result);
    out->all += w->bytes;
    if (out->most == NULL || w->bytes > out->most_bytes || out->cut) {
        out->most = chunk->name;
        out->most_bytes = w->bytes;
    }
}

static int walk_all(lua_State *L)
{
    struct walk *w = lua_touserdata(L, 1);

    w->waiting = lua_newthread(L);
    if (!lua_checkstack(L, (DEPTH + 2) * SLOTS) || !lua_checkstack(w->waiting, WAITING + LUA_MINSTACK))
        return 0;
    visit_shared(w, L);
    for (int modules = 1; modules >= 0; modules--)
        for (int env = 0; env < w->list->size && !w->out->cut; env++)
            if (w->list->chunks[env].name != NULL && w->list->chunks[env].module == (modules == 1))
                visit_chunk(w, L, env);
    return 0;
}

void holdings_walk(const struct holdings_list *l, lua_State *L, int shared, struct holdings *out)
{
    struct walk w = {.list = l, .out = out, .shared = shared, .seen_size = FIRST_SEEN};

    *out = (struct holdings){0};
    w.seen = need_zero(w.seen_size, sizeof(*w.seen));
    if (lua_cpcall(L, walk_all, &w) != 0) /* no memory for the stacks */
        lua_pop(L, 1);
    free(w.seen);
}
