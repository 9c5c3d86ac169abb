/*
 * bind_verify.h: verify.github{...} → an immutable verifier userdata; callable in scripts: local ok, reason = v(req).
 * Runs in: the state's thread.
 */
#ifndef CRESCENT_BIND_BIND_VERIFY_H
#define CRESCENT_BIND_BIND_VERIFY_H

#include "bind/bind_req.h"
#include "policy/verify.h"

/*
 * Makes a verifier of the value at `index`: a verifier, a function, a list of these (all must pass). "none" and nil are
 * the caller's. Returns a new hold, or NULL with words; never raises. [-0,+0]
 * A verifier with Lua functions keeps them in the registry until it is released.
 */
struct verifier *bind_verify_make(lua_State *L, int index, struct error *err);
/*
 * Pushes the function and arguments of a task that evaluates v for this request, Lua functions included (they may
 * wait). The task returns true | false, reason-name; auth goes to r->auth. Returns nargs for task_start.
 * [-0,+nargs+1,m]
 */
int bind_verify_push_task(lua_State *L, struct verifier *v, struct bind_req *r);
/* Pushes the global `verify`. Once per state, while it is opened. [-0,+1,e] */
void bind_verify_open(lua_State *L);
/* From now on a missing secret is no error in this state: its verifier refuses everything, with no_secret. [-0,+0,m] */
void bind_verify_no_secrets(lua_State *L, bool on);
/* Whether that is so. [-0,+0] */
bool bind_verify_secrets_optional(lua_State *L);
/*
 * Pushes a verifier object that holds nothing yet, and gives the place for its hold: created before the C resource, so
 * that nothing can be lost between the two. [-0,+1,m]
 */
struct verifier **bind_verify_box(lua_State *L);
/* The verifier of the object at `index`; NULL when that is something else. Borrowed. */
struct verifier *bind_verify_read(lua_State *L, int index);
/* A reference to the value at the top, which it pops, with what gives it back. [-1,+0,m] */
struct verify_function bind_verify_ref(lua_State *L);
/* Reads that task's results. PASS, or REFUSE with the reason. */
enum verdict bind_verify_result(lua_State *co, int count, enum reason *reason_out);

#endif
