/*
 * holdings.h: what the variables of each script and module hold, found by walking from what is loaded: environment,
 * what its text returned, functions and their upvalues, tables, their metatables. A module comes before the scripts
 * that required it, so what hangs on it is counted as its own. What lives on the stacks of coroutines is not counted,
 * and sizes are those of Lua's objects, to within a fifth.
 * Owns: the list of what is loaded. Runs in: the state's thread, outside of scripts. Fails: a walk without memory, or
 * over its bound, tells less.
 */
#ifndef CRESCENT_SCRIPT_HOLDINGS_H
#define CRESCENT_SCRIPT_HOLDINGS_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

/* So many objects are looked at: a tenth of a second. */
#define HOLDINGS_OBJECTS ((size_t)1 << 19)

struct holdings_list {             /* born as {0}; lives in the state */
    struct holdings_chunk *chunks; /* by the reference of their environment; those without a name are not there */
    int size;
};

struct holdings {
    size_t all;       /* bytes that scripts and modules hold */
    const char *most; /* the file that holds most of it, until it is unloaded; NULL: nothing is loaded */
    size_t most_bytes;
    bool cut; /* the bound was reached, in `most` */
};

/*
 * A text has been loaded: name as in messages, copied; env, result: registry references (script/sandbox); module:
 * others required it.
 */
void holdings_add(struct holdings_list *l, const char *name, int env, int result, bool module);
/* It is unloaded: the one with this environment, if there is one. */
void holdings_remove(struct holdings_list *l, int env);
void holdings_free(struct holdings_list *l);
/*
 * shared: registry reference of what every script is given: nobody's holdings. Never raises; takes a little memory, so
 * only outside of scripts.
 */
void holdings_walk(const struct holdings_list *l, lua_State *L, int shared, struct holdings *out);

#endif
