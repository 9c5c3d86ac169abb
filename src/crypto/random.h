/*
 * random.h: bytes fit for keys, or a panic.
 * Runs in: any thread.
 */
#ifndef CRESCENT_CRYPTO_RANDOM_H
#define CRESCENT_CRYPTO_RANDOM_H

#include <stddef.h>

void random_fill(void *bytes_out, size_t len);

#endif
