/*
 * digest.h: digests and HMAC (RFC 2104) over OpenSSL's EVP interface; a key is prepared once and used many times.
 * Owns: prepared keys, wiped when freed. Runs in: any thread; one digest_key by one thread at a time.
 * Fails: memory by NEED; an algorithm that OpenSSL will not give is a returned error.
 */
#ifndef CRESCENT_CRYPTO_DIGEST_H
#define CRESCENT_CRYPTO_DIGEST_H

#include "base/error.h"
#include "base/slice.h"

#define DIGEST_MAX 64

enum digest_algorithm { DIGEST_MD5, DIGEST_SHA1, DIGEST_SHA256, DIGEST_SHA384, DIGEST_SHA512, DIGEST_COUNT };

/* "sha256" and the like to an algorithm; false on anything else. */
bool digest_named(struct slice name, enum digest_algorithm *algorithm_out);
const char *digest_name(enum digest_algorithm a);
size_t digest_size(enum digest_algorithm a);
/* False where OpenSSL will not give it: MD5 under a FIPS policy. */
bool digest_available(enum digest_algorithm a);
/* The digest of the parts, one after the other, into out (digest_size bytes). The algorithm must be available. */
void digest_of(enum digest_algorithm a, const struct slice *parts, size_t count, unsigned char out[DIGEST_MAX]);

struct digest_key; /* a prepared HMAC key */
/* The key's bytes are not kept. NULL with words when OpenSSL refuses. */
struct digest_key *digest_key_new(enum digest_algorithm a, struct slice key, struct error *err);
void digest_key_free(struct digest_key **k);
/* HMAC of the parts, one after the other; returns its length. */
size_t digest_hmac(struct digest_key *k, const struct slice *parts, size_t count, unsigned char out[DIGEST_MAX]);

#endif
