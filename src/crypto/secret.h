/*
 * secret.h: memory for keys: wiped when freed, kept out of core dumps where the kernel allows it.
 * Runs in: any thread. Fails: memory by NEED.
 */
#ifndef CRESCENT_CRYPTO_SECRET_H
#define CRESCENT_CRYPTO_SECRET_H

#include "base/slice.h"

struct secret {
    char *at;
    size_t len;
};

struct secret secret_copy(struct slice bytes);
void secret_free(struct secret *s);
static inline struct slice secret_slice(const struct secret *s)
{
    return (struct slice){s->at, s->len};
}
/* Overwrites bytes in a way that the compiler keeps. */
void secret_wipe(void *bytes, size_t len);

#endif
