/*
 * parallel.h: parallel(f, g, ...) → the functions' results, in their order; parallel { f, g, ... } → a list of them.
 * Each function is a part of the task that calls: a task of its own, which waits for itself. They begin in their order,
 * and take turns at waits. The first one that fails ends all others where they stand (those that have not begun never
 * do), and what it raised is raised in the caller. A function gives one result, which may be nil (a hole in the list);
 * `nil, err` is a failure with err. Where its task is cancelled or left, so are all parts, the innermost first.
 * Runs in: the state's thread. Fails: Lua errors.
 */
#ifndef CRESCENT_SCRIPT_PARALLEL_H
#define CRESCENT_SCRIPT_PARALLEL_H

#include <lua.h>

#define PARALLEL_LIST_MAX 65536     /* functions of one list */
#define PARALLEL_ARGUMENTS_MAX 1000 /* given one by one */
#define PARALLEL_DEPTH_MAX 32       /* within each other: each level is one more of C when they are cancelled */

/* Pushes the function. [-0,+1,e] */
void parallel_open(lua_State *L);

#endif
