/*
 * bind_crypto_keys.h: keys that scripts name by their bytes, prepared once: a small table of the ones used last.
 * Owns: the prepared keys and a copy of the bytes, wiped when they leave. Runs in: the state's thread.
 * Fails: memory by NEED.
 */
#ifndef CRESCENT_BIND_BIND_CRYPTO_KEYS_H
#define CRESCENT_BIND_BIND_CRYPTO_KEYS_H

#include "base/slice.h"
#include "crypto/secret.h"
#include <stdint.h>

#define BIND_CRYPTO_KEYS 16

/* What a key was prepared for. */
struct bind_crypto_use {
    char kind;     /* 'm' HMAC, 's' signing, 'v' verifying, 'h' 'p' 'q' JWT secret, private, public */
    int algorithm; /* of HMAC; of JWT 1 and on: which name was asked for */
};

struct bind_crypto_keys {
    struct {
        struct bind_crypto_use use;
        struct secret bytes;
        void *prepared; /* NULL: free */
        void (*release)(void *prepared);
        uint64_t used; /* the clock at the last use */
    } at[BIND_CRYPTO_KEYS];
    uint64_t clock;
};

/* The prepared key, borrowed until the next bind_crypto_keys_put; NULL: not here. */
void *bind_crypto_keys_find(struct bind_crypto_keys *keys, struct bind_crypto_use use, struct slice bytes);
/* Keeps a prepared key, in the place of the one that was used longest ago when there is no other. */
void bind_crypto_keys_put(struct bind_crypto_keys *keys, struct bind_crypto_use use, struct slice bytes, void *prepared,
                          void (*release)(void *prepared));
void bind_crypto_keys_clear(struct bind_crypto_keys *keys);

#endif
