/*
 * bind_save.h: :save(path, opts) of whatever has bytes: the request, a part of it. The bytes go to a helper thread
 * piece by piece, each copied while what they lie in is certain to be there, so that no thread ever looks into a
 * request. Runs in: the state's thread; the writing on helper threads. Fails: misuse raises; the rest is nil, err.
 */
#ifndef CRESCENT_BIND_BIND_SAVE_H
#define CRESCENT_BIND_BIND_SAVE_H

#include "base/slice.h"
#include <lua.h>
#include <stdbool.h>

/*
 * A method: the object at 1 (checked already; its userdata stays where it is), the path at 2, options at 3. Waits, then
 * gives the path, or nil and an error. what: "req:save". bytes: the object's bytes now, all the same ones each time;
 * false: what they lay in has ended.
 */
int bind_save(lua_State *L, const char *what, bool (*bytes)(void *object, struct slice *bytes_out));

#endif
