/*
 * equal.c: constant-time comparison, by OpenSSL's.
 * Owns nothing. Runs in: any thread. Never fails.
 */
#include "crypto/equal.h"
#include <openssl/crypto.h>

bool equal_secret(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || CRYPTO_memcmp(a.at, b.at, a.len) == 0);
}
