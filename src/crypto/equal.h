/*
 * equal.h: comparison whose time does not depend on the bytes (it may on the lengths).
 * Runs in: any thread. Never fails.
 */
#ifndef CRESCENT_CRYPTO_EQUAL_H
#define CRESCENT_CRYPTO_EQUAL_H

#include "base/slice.h"

bool equal_secret(struct slice a, struct slice b);

#endif
