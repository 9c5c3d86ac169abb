/*
 * await.h: the contract of everything that waits. The operation's own struct holds a struct await; a C function called
 * by Lua begins it with a cancel function and yields; the operation completes it once, from the loop, with the values
 * that the Lua call then returns. A deadline, a gone client or shutdown cancels it instead, once. Runs in: the state's
 * thread.
 */
#ifndef CRESCENT_SCRIPT_AWAIT_H
#define CRESCENT_SCRIPT_AWAIT_H

#include "script/state.h"

struct task;

struct await {
    struct task *task;               /* NULL: not waiting */
    void (*cancel)(struct await *a); /* undo the operation; frees its struct; must not touch Lua */
};

/*
 * Raises unless waiting is possible here: "cannot wait while the script loads", or inside a table.sort or string.gsub
 * callback. name: the global's, for the message. Call it before anything is acquired. [-0,+0,v]
 */
void await_check(lua_State *L, const char *name);
/* Begins: to be returned by the C function: `return await_begin(L, &op->await, cancel);` */
int await_begin(lua_State *L, struct await *a, void (*cancel)(struct await *a));
/*
 * Completes: push(co, cookie) pushes the results (and returns how many; may raise), then the task goes on, inside this
 * call, or in its turn where the pass has no time left (script/turns). Call it from the loop, never from the C function
 * that began. The await may be freed by then: copy first.
 */
void await_complete(struct await *a, int (*push)(lua_State *co, void *cookie), void *cookie);

#endif
