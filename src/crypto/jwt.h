/*
 * jwt.h: JSON Web Tokens (RFC 7519) in the compact form of JWS (RFC 7515): made, and checked. The algorithm belongs to
 * the key: a token that names another one, or none, is refused before its signature is looked at (RFC 8725 3.1).
 * Owns: keys. Runs in: any thread, a key in one at a time. Fails: words, of which a token's are for logs.
 */
#ifndef CRESCENT_CRYPTO_JWT_H
#define CRESCENT_CRYPTO_JWT_H

#include "base/buf.h"
#include "base/error.h"
#include "codec/json.h"

#define JWT_TOKEN_MAX (64 * 1024)

struct jwt_key;

/* HMAC. algorithm: "HS256", "HS384", "HS512"; empty: HS256. The secret is not kept. NULL with words. */
struct jwt_key *jwt_key_secret(struct slice algorithm, struct slice secret, struct error *err);
/*
 * A key pair's half, as sign.h reads it. algorithm: "RS256" to "RS512", "PS256" to "PS512", "ES256", "ES384", "EdDSA";
 * empty: RS256, ES256, ES384 or EdDSA, by the kind of key. NULL with words.
 */
struct jwt_key *jwt_key_private(struct slice algorithm, struct slice key, struct error *err);
struct jwt_key *jwt_key_public(struct slice algorithm, struct slice key, struct error *err);
void jwt_key_free(struct jwt_key **k);

/* Appends the token of these claims, a JSON object; kid may be empty. 0, or -1 with words. */
int jwt_sign(struct jwt_key *k, struct slice claims, struct slice kid, struct buf *out, struct error *err);

struct jwt_checks {
    double now;                    /* seconds since 1970 */
    double leeway;                 /* seconds, for exp, nbf and iat */
    struct slice issuer, audience; /* at == NULL: not checked */
};

/*
 * 0 when the signature is the key's, exp, nbf and iat hold where they are present, and iss and aud are as wanted: then
 * `reader` holds the claims, an object, as json_parse left them. Else -1 with words ("expired").
 */
int jwt_verify(struct jwt_key *k, struct slice token, const struct jwt_checks *checks, struct json_reader *reader,
               struct error *err);

#endif
