/*
 * bind_json.h: the global json, and JSON text to Lua values and back for the other bindings.
 * How values meet: null is json.null, a light userdata of NULL; arrays carry a mark (a metatable), so that an empty one
 * stays an array; any other empty table is an object; integers beyond 2^53 are json.integer objects with every digit.
 * Runs in: the state's thread. Fails: see each.
 */
#ifndef CRESCENT_BIND_BIND_JSON_H
#define CRESCENT_BIND_BIND_JSON_H

#include "base/buf.h"
#include "base/error.h"
#include "codec/json.h"
#include <lua.h>

/* The longest text that the encoder makes, whatever the buf's own limit: shared tables can unfold without end. */
#define BIND_JSON_TEXT_MAX ((size_t)64 << 20)

/* Pushes the table json. Once per state, before anything else here. [-0,+1,m] */
void bind_json_open(lua_State *L);
/* The state's reader: what was parsed stays until the next json_parse by anyone, a script's json.decode included. */
struct json_reader *bind_json_reader(lua_State *L);
/* The same for texts that bind_json_encode has made: they are within its bound, and limits.json_depth is for others. */
struct json_reader *bind_json_reader_deep(lua_State *L);
/*
 * Pushes the value of a walk that has not begun. Null at its top is nil if null_is_nil, else json.null; within tables
 * it is always json.null. Nothing to release if it raises. [-0,+1,m]
 */
void bind_json_push_walk(lua_State *L, struct json_walk *w, bool null_is_nil);
/*
 * Appends the value at `index` as JSON text. 0, or -1 with words that name the place by Lua's keys ("at /items/3: ...":
 * the third), `out` then holding a part of the text. Never raises, calls no metamethod. [-0,+0,-]
 */
int bind_json_encode_protected(lua_State *L, int index, struct buf *out, struct error *err);
/* As bind_json_encode_protected, but raises: `out` must be owned by what outlives the error. [-0,+0,v] */
void bind_json_encode(lua_State *L, int index, struct buf *out);
/* Is the value at `index` a json.integer? Then its digits, borrowed from it. [-0,+0,-] */
bool bind_json_integer(lua_State *L, int index, struct slice *digits_out);

#endif
