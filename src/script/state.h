/*
 * state.h: one Lua universe: allocator with a ceiling, allowed libraries, and the globals it is given by bind/.
 * Owns: the lua_State and all in it. Runs in: one thread. Fails: at creation with words; afterwards Lua errors.
 */
#ifndef CRESCENT_SCRIPT_STATE_H
#define CRESCENT_SCRIPT_STATE_H

#include "base/error.h"
#include "script/host.h"
#include <lua.h>

struct state;

/* open puts the script-visible globals (bind_open) on the table at the top of the stack; may raise. */
struct state *state_new(const struct script_host *host, void (*open)(lua_State *L), struct error *err);
/* All tasks must be gone. Leaves NULL. */
void state_free(struct state **s);
lua_State *state_lua(struct state *s);
/* From any coroutine of it, in a few instructions. */
struct state *state_of(lua_State *L);
const struct script_host *state_host(const struct state *s);
size_t state_memory(const struct state *s);
/* True while a script's top level runs (sandbox_load): what waits or touches the world is an error then. */
bool state_loading(const struct state *s);
/* The name of the script that runs, or loads, now: for the log. NULL: none. Borrowed until it ends. */
const char *state_script(const struct state *s);
/* Whose the lines are that the running task logs: how many fields. */
size_t state_labels(const struct state *s, struct host_labels *labels);
/* The traceparent for whom the running task calls; false: its request named none. */
bool state_trace(const struct state *s, char text_out[HOST_TRACE]);
/* When the running task is cancelled for having taken too long; MONO_NEVER: it is not. */
mono_t state_deadline(const struct state *s);
/* A slot per module for a C pointer, e.g. JSON parser memory: key is the address of a static. */
void state_set_pointer(struct state *s, const void *key, void *pointer, void (*release)(void *));
void *state_pointer(const struct state *s, const void *key);
/* Runs fn(L, cookie) protected, [-0,+0]; 0, or -1 with the error's text. */
int state_protected(struct state *s, void (*fn)(lua_State *L, void *cookie), void *cookie, struct error *err);

#endif
