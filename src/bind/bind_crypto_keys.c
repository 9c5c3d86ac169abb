/*
 * bind_crypto_keys.c: the table of prepared keys. Sixteen are compared in less time than one SHA-256 block takes.
 * Owns, runs in, fails: see bind_crypto_keys.h.
 */
#include "bind/bind_crypto_keys.h"

void *bind_crypto_keys_find(struct bind_crypto_keys *keys, struct bind_crypto_use use, struct slice bytes)
{
    for (int i = 0; i < BIND_CRYPTO_KEYS; i++) {
        if (keys->at[i].prepared != NULL && keys->at[i].use.kind == use.kind &&
            keys->at[i].use.algorithm == use.algorithm && slice_equal(secret_slice(&keys->at[i].bytes), bytes)) {
            keys->at[i].used = ++keys->clock;
            return keys->at[i].prepared;
        }
    }
    return NULL;
}

static void drop(struct bind_crypto_keys *keys, int i)
{
    if (keys->at[i].prepared != NULL)
        keys->at[i].release(keys->at[i].prepared);
    keys->at[i].prepared = NULL;
    secret_free(&keys->at[i].bytes);
    keys->at[i].used = 0;
}

void bind_crypto_keys_put(struct bind_crypto_keys *keys, struct bind_crypto_use use, struct slice bytes, void *prepared,
                          void (*release)(void *prepared))
{
    int oldest = 0;
    for (int i = 1; i < BIND_CRYPTO_KEYS; i++) {
        if (keys->at[i].used < keys->at[oldest].used)
            oldest = i;
    }
    drop(keys, oldest);
    keys->at[oldest].use = use;
    keys->at[oldest].bytes = secret_copy(bytes);
    keys->at[oldest].prepared = prepared;
    keys->at[oldest].release = release;
    keys->at[oldest].used = ++keys->clock;
}

void bind_crypto_keys_clear(struct bind_crypto_keys *keys)
{
    for (int i = 0; i < BIND_CRYPTO_KEYS; i++)
        drop(keys, i);
}
