/*
 * sign.h: signatures with key pairs: RSA (PKCS #1 v1.5 and PSS, RFC 8017), ECDSA on P-256 and P-384 (FIPS 186-5),
 * Ed25519 (RFC 8032). A key is read once and used many times.
 * Owns: keys. Runs in: any thread, a key in one at a time. Fails: words for a key that is none, or does not fit.
 */
#ifndef CRESCENT_CRYPTO_SIGN_H
#define CRESCENT_CRYPTO_SIGN_H

#include "base/buf.h"
#include "base/error.h"

enum sign_algorithm {
    SIGN_RS256, /* RSA PKCS #1 v1.5 with SHA-256; and so on */
    SIGN_RS384,
    SIGN_RS512,
    SIGN_PS256, /* RSA PSS, MGF1 with the same digest, salt as long as the digest (RFC 7518 3.5) */
    SIGN_PS384,
    SIGN_PS512,
    SIGN_ES256, /* P-256 with SHA-256, the signature r and s side by side (RFC 7518 3.4) */
    SIGN_ES384,
    SIGN_ECDSA_SHA256, /* the same, the signature as DER (RFC 3279 2.2.3) */
    SIGN_ECDSA_SHA384,
    SIGN_ED25519,
    SIGN_COUNT
};

/*
 * The names of RFC 7518 and 8037 ("RS256", "EdDSA"), and in small letters "rsa-sha256", "rsa-pss-sha256",
 * "ecdsa-sha256" (DER), "ed25519". False on anything else.
 */
bool sign_named(struct slice name, enum sign_algorithm *algorithm_out);
/* The name in RFC 7518 or 8037; of the DER forms the small one. */
const char *sign_name(enum sign_algorithm a);

struct sign_key;

/* A private key: PEM (PKCS #8, PKCS #1, SEC 1; not encrypted), or the 32 bytes of an Ed25519 seed. NULL with words. */
struct sign_key *sign_key_private(struct slice key, struct error *err);
/* A public key: PEM (a key, or a certificate, whose dates are not looked at), DER (SubjectPublicKeyInfo), or the 32
 * bytes of Ed25519. NULL with words. */
struct sign_key *sign_key_public(struct slice key, struct error *err);
void sign_key_free(struct sign_key **k);
/* The algorithm of RFC 7518 and 8037 that a key of this kind is for when nothing else is said. */
enum sign_algorithm sign_key_algorithm(const struct sign_key *k);
/* Whether the key is of the kind that the algorithm needs; else words. RSA keys below 2048 bits are for none. */
bool sign_key_fits(const struct sign_key *k, enum sign_algorithm a, struct error *err);

/* Appends the signature of the message. 0, or -1 with words: a public key, or one that does not fit. */
int sign_make(struct sign_key *k, enum sign_algorithm a, struct slice message, struct buf *out, struct error *err);
/* Is it the message's signature? False too for a signature that is none, and for a key that does not fit. */
bool sign_check(struct sign_key *k, enum sign_algorithm a, struct slice message, struct slice signature);

#endif
