/*
 * bind_http_sign.h: signatures of outgoing webhooks. The one scheme is "standard": Standard Webhooks 1.0 with symmetric
 * keys, headers webhook-id, webhook-timestamp, webhook-signature (github.com/standard-webhooks/standard-webhooks).
 * Owns: prepared keys while a request is under way. Runs in: the state's thread. Fails: misuse raises.
 */
#ifndef CRESCENT_BIND_BIND_HTTP_SIGN_H
#define CRESCENT_BIND_BIND_HTTP_SIGN_H

#include "base/buf.h"
#include "base/time.h"
#include "crypto/digest.h"
#include <lua.h>

#define BIND_HTTP_SIGN_SECRETS 8
#define BIND_HTTP_SIGN_ID 128
#define BIND_HTTP_SIGN_HEADERS 3

/* webhook-id, webhook-timestamp, webhook-signature */
extern const char *const bind_http_sign_headers[BIND_HTTP_SIGN_HEADERS];

struct bind_http_sign {                              /* born as {0} */
    struct digest_key *keys[BIND_HTTP_SIGN_SECRETS]; /* of every secret: a receiver may know the old one or the new */
    size_t count;                                    /* 0: not signed */
    char id[BIND_HTTP_SIGN_ID + 1];                  /* the same at every attempt */
};

/* Reads { scheme, secret, id } at the top of the stack. s is emptied first; it must outlive a raise. [-0,+0,v] */
void bind_http_sign_read(lua_State *L, const char *what, struct bind_http_sign *s);
/* Appends id, timestamp and signatures for these bytes now, and gives the places of the headers' values: good until
 * `out` changes. */
void bind_http_sign_make(struct bind_http_sign *s, struct slice body, wall_t now, struct buf *out,
                         struct slice values_out[BIND_HTTP_SIGN_HEADERS]);
void bind_http_sign_free(struct bind_http_sign *s);

#endif
