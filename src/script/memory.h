/*
 * memory.h: the allocator of a Lua state, with a ceiling. Past half of the ceiling the collector is made eager,
 * because LuaJIT has no emergency collection: with its usual pause, 20 MB live and some garbage fail under 32 MB.
 * Small objects come from lists of freed ones of their size: a request makes and drops dozens.
 * Owns: the chunks that small objects are cut from. Runs in: the state's thread. Fails: NULL, which Lua raises as "not
 * enough memory".
 */
#ifndef CRESCENT_SCRIPT_MEMORY_H
#define CRESCENT_SCRIPT_MEMORY_H

#include "script/memory_trace.h"

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#define MEMORY_STEP 16   /* small sizes are rounded up to a multiple of it */
#define MEMORY_SMALL 256 /* the largest small one */
#define MEMORY_SIZES (MEMORY_SMALL / MEMORY_STEP)

struct memory {
    size_t used;
    size_t ceiling;            /* what a script may use */
    size_t allowed;            /* the ceiling, and outside of scripts a reserve above it */
    size_t press_at;           /* from here on the collector is eager; SIZE_MAX: it is already */
    bool refused;              /* something did not fit since this was last cleared */
    lua_State *L;              /* NULL until there is a collector */
    void *freed[MEMORY_SIZES]; /* lists: each begins with the pointer to the next */
    void *chunks;              /* list of all, likewise */
    char *fresh;               /* of the newest chunk: not yet cut */
    size_t fresh_len;
    struct memory_trace trace;
};

/* ceiling: bytes. Born outside of scripts. */
void memory_init(struct memory *m, size_t ceiling);
/* After lua_close: gives the chunks back. */
void memory_free(struct memory *m);
/* lua_Alloc; ud begins with a struct memory. */
void *memory_allocate(void *ud, void *old, size_t old_size, size_t new_size);
/*
 * Scripts run under the ceiling. What our own C code does outside of them (pushing the next request) may use a
 * reserve above it, because an error there has nobody to catch it.
 */
void memory_inside(struct memory *m, bool inside);
/*
 * A script loads, inside: where others have filled the state, it gets a quarter of the ceiling beyond what is used, or
 * the version that mends a leak could never take the place of the one that leaks. memory_inside ends it.
 */
void memory_load(struct memory *m);
/* Whether the ceiling is reached, which counts as a refusal then: for what is made outside of scripts. */
bool memory_full(struct memory *m);
/* Between two stretches: makes the collector calm again when enough has been freed. Never raises. */
void memory_relax(struct memory *m);

#endif
