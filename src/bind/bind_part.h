/*
 * bind_part.h: req:files(), and the parts of a multipart form as scripts see them: name, filename, filename_raw, type,
 * size, data, :save(path). A part is a place in its request's body: it is good as long as req is, and copies its bytes
 * only when data is asked for.
 * Owns: per state, what was parsed last, under the request's id, until that request ends.
 * Runs in: the state's thread. Fails: a body that is no such form raises a problem 400 that says where, or 415.
 */
#ifndef CRESCENT_BIND_BIND_PART_H
#define CRESCENT_BIND_BIND_PART_H

#include "bind/bind_req.h"
#include "codec/form.h"

/* Puts the type of parts into the registry; once per state. [-0,+0,m] */
void bind_part_register(lua_State *L);
/* req:files() → list of the parts that are files, in the order sent. */
int bind_part_files(lua_State *L);
/* Whether a Content-Type is multipart/form-data. */
bool bind_part_is_type(struct slice content_type);
/*
 * Argument 1 is a req with such a body: its fields that are no files, as pairs that the state owns until its request
 * ends; the values lie in the body. [-0,+0,v]
 */
const struct form_pairs *bind_part_fields(lua_State *L);
/* The request has ended: what was parsed of its body goes. */
void bind_part_forget(struct state *s, const struct uuid *id);

#endif
