/*
 * failure.h: what the world did, for a script: `nil, err`, where tostring(err) is words and err.code is stable.
 * Runs in: the state's thread.
 */
#ifndef CRESCENT_SCRIPT_FAILURE_H
#define CRESCENT_SCRIPT_FAILURE_H

#include "base/slice.h"
#include <lua.h>
#include <stdbool.h>

/* Pushes nil and an error value, and returns 2: `return failure_push(L, "no_space", words);` [-0,+2,m] */
int failure_push(lua_State *L, const char *code, const char *words);
/*
 * The same, with more to it: the table at the top of the stack becomes the error value, with what is in it; a `code`
 * that is there stays. optional: names of fields, with a space between, that may be nil without being misspelt. Pops
 * the table. [-1,+2,m]
 */
int failure_push_with(lua_State *L, const char *code, const char *words, const char *optional);
/* The words of the value at `index`, if that is one of ours; they live as long as it does. [-0,+0] */
bool failure_words(lua_State *L, int index, struct slice *words_out);

#endif
