/*
 * key.h: the one kind of key that policies sort requests by: "ip", "auth", "body", "header:X", "query:X", "param:X", a
 * JSON pointer, or a function of the script, which is called by whoever runs Lua and hands over what it gave.
 * Owns: its name, its hold on the function. Runs in: the worker; parsing: any process. Fails: a key that cannot be is
 * words; a request without the key has none. What is there and empty counts as not there.
 */
#ifndef CRESCENT_POLICY_KEY_H
#define CRESCENT_POLICY_KEY_H

#include "base/buf.h"
#include "base/error.h"
#include "policy/verify.h"

struct json_reader;

enum key_kind { KEY_IP, KEY_AUTH, KEY_BODY, KEY_HEADER, KEY_QUERY, KEY_PARAM, KEY_POINTER, KEY_FUNCTION };

struct key { /* born as {0}, which is "ip" */
    enum key_kind kind;
    char *name;                      /* of HEADER (in lower case), QUERY, PARAM; POINTER: the pointer; else NULL */
    struct verify_function function; /* of FUNCTION */
};

/* 0, or -1 and what is wrong: "'hedaer:x' is no key (did you mean 'header:'?)". */
int key_parse(struct slice text, struct key *key_out, struct error *err);
/* Lets go of what it holds; leaves {0}. */
void key_free(struct key *key);
/* "ip", "header:x-api-key", "/a/b", "function": what key_parse reads, but for the function. Appends. */
void key_describe(const struct key *key, struct buf *out);
/* One word for the kind: "ip", "header", "pointer". Static. */
const char *key_kind_name(enum key_kind kind);

/* Where a key is read. What a request has not is NULL or 0. */
struct key_source {
    const struct http_request *http;
    const struct verify_auth *auth;
    const struct slice *param_names, *param_values;
    size_t param_count;
    const struct json_reader *json; /* the body, parsed, for a POINTER */
};

/*
 * The key's bytes, SLICE_NONE where the request has none. They lie in the request, in the reader, or in `room`, which
 * is emptied first. A number in JSON is its text, true and false are words; null, arrays and objects are none.
 * A FUNCTION has none here.
 */
struct slice key_read(const struct key *key, const struct key_source *from, struct buf *room);
/* The bytes of the client's address, in network order: four, or of IPv6 the eight of its network, for that is what one
 * client has; a word for a client without an address. Lies in http. */
struct slice key_read_ip(const struct http_request *http);

#endif
