/*
 * sandbox.h: what a script may touch: an allow-list of globals, one environment table per script and module, text
 * only (no bytecode), an error on undeclared globals, `require` of the script's own _lib modules and allowed libraries.
 * Runs in: the state's thread. Fails: Lua errors, with file:line.
 */
#ifndef CRESCENT_SCRIPT_SANDBOX_H
#define CRESCENT_SCRIPT_SANDBOX_H

#include "base/slice.h"
#include "script/state.h"

/* A loaded text: its environment and what its top level returned, as registry references. */
struct sandbox_chunk {
    int env;    /* LUA_NOREF: none */
    int result; /* first value returned; LUA_REFNIL: nothing or nil */
    int count;  /* how many it returned */
};

/* Gives `require "_lib.x"` its modules while a script loads, and hears what was used. */
struct sandbox_modules {
    /* The registry reference of the module's value, loading it if need be; or an error on the top of L's stack and -1.
     */
    int (*require)(struct sandbox_modules *m, lua_State *L, struct slice name);
    /* The table of `env` values for this script: pushes it [-0,+1]. */
    void (*push_env)(struct sandbox_modules *m, lua_State *L);
};

/*
 * Compiles and runs a text in a new environment. name: "hooks/github.lua" as it shall stand in messages (the chunk
 * name). Returns 0, or -1 with what was raised as a string "file:line: message" in *message_out (malloc'ed, the
 * caller frees). While it runs, state_loading is true. Runs in a stretch: the caller's, or else its own.
 */
int sandbox_load(struct state *s, struct slice text, const char *name, struct sandbox_modules *modules,
                 struct sandbox_chunk *chunk_out, char **message_out);
void sandbox_unload(struct state *s, struct sandbox_chunk *chunk);

#endif
