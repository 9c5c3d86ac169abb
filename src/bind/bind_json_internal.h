/*
 * bind_json_internal.h: what the three files of bind_json share.
 * Runs in: the state's thread.
 */
#ifndef CRESCENT_BIND_BIND_JSON_INTERNAL_H
#define CRESCENT_BIND_BIND_JSON_INTERNAL_H

#include "bind/bind_json.h"

/* One per state. The metatables are anchored in the registry, under the addresses of these fields. */
struct bind_json {
    struct json_reader *reader;           /* bounded by the setting */
    struct json_reader *deep;             /* of texts that the encoder made: as deep as it goes */
    struct buf text, indented;            /* json.encode's, kept between calls */
    const void *array, *object, *integer; /* the marks and the type, as lua_topointer gives them */
};

struct bind_json *bind_json_of(lua_State *L);
/* The state's room for a text, empty: what is made there is lost to nobody when something raises. Trim it afterwards: a
 * large one is given back. */
struct buf *bind_json_text(lua_State *L);
void bind_json_text_trim(lua_State *L);
/* Pushes the metatable kept under `slot`, the address of one of the fields. No allocation. [-0,+1,-] */
void bind_json_push_meta(lua_State *L, const void *slot);

/* Creates the type json.integer; leaves its metatable on the stack. [-0,+1,m] */
void bind_json_integer_open(lua_State *L);
/* Pushes an integer with these digits; `meta` is the stack index of the type. [-0,+1,m] */
void bind_json_integer_push(lua_State *L, struct slice digits, int meta);

#endif
