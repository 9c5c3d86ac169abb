/*
 * bind_body.h: the body readers of req: json, pick, form, data. A body is parsed once however often it is read: the
 * state keeps what it parsed last, under the request's id, until that request ends. Owns: per state, a JSON reader and
 * the pairs of the last form. Runs in: the state's thread. Fails: a body that does not parse raises a problem 400 that
 * says where; one of another type a 415.
 */
#ifndef CRESCENT_BIND_BIND_BODY_H
#define CRESCENT_BIND_BIND_BODY_H

#include "bind/bind_req.h"

/* Methods of req; argument 1 is the object. */
int bind_body_json(lua_State *L); /* req:json() → the value; JSON's null is json.null */
int bind_body_pick(lua_State *L); /* req:pick(pointer, ...) → a value each; missing and null are nil */
int bind_body_form(lua_State *L); /* req:form() → name → first value; and name → list of all values */
/* req:data() → by content type: as json; as form, and the files of a multipart one behind it; else the body's bytes */
int bind_body_data(lua_State *L);

struct bind_body_fault {
    int status;
    char words[200];
};

/*
 * The body as JSON, as the methods above read it (a form's payload included), parsed at most once for all who ask.
 * Runs no Lua. Good until another request's body is parsed in this state; NULL: it is none, and why.
 */
const struct json_reader *bind_body_reader(struct state *s, struct bind_req *r, struct bind_body_fault *fault_out);

/* The request has ended: what was parsed of its body goes, and with it what the parsers hold above 1 MiB. */
void bind_body_forget(struct state *s, const struct uuid *id);

/*
 * Pushes name → value of urlencoded text, kept until the next call here, and a second table name → list if `lists`.
 * what: "query string", for the 400. [-0,+1|2,v]
 */
void bind_body_push_pairs(lua_State *L, struct slice text, const char *what, bool lists);
/* Pushes name → value of a Cookie header. [-0,+1,v] */
void bind_body_push_cookies(lua_State *L, struct slice header);

#endif
