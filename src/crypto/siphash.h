/*
 * siphash.h: SipHash-2-4 (Aumasson, Bernstein, 2012): a short hash under a secret key, for tables whose keys strangers
 * choose. Who does not know the key finds no two texts that fall together. Not a signature: 64 bits.
 * Runs in: any thread, pure. Never fails.
 */
#ifndef CRESCENT_CRYPTO_SIPHASH_H
#define CRESCENT_CRYPTO_SIPHASH_H

#include "base/slice.h"
#include <stdint.h>

struct siphash_key {
    uint64_t half[2]; /* the key's 16 bytes as two little-endian numbers */
};

uint64_t siphash_of(struct siphash_key key, struct slice bytes);

#endif
