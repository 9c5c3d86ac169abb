/*
 * jwt.c: header, claims and signature of a compact JWS, in the order in which a verifier must look at them.
 * Owns: keys. Runs in: any thread, a key in one at a time. Fails: words.
 */
#include "crypto/jwt.h"
#include "base/panic.h"
#include "codec/base64.h"
#include "crypto/digest.h"
#include "crypto/equal.h"
#include "crypto/sign.h"
#include <stdlib.h>

struct jwt_key {
    const char *name;       /* "HS256": what a token's alg must be */
    struct digest_key *mac; /* or */
    struct sign_key *pair;
    enum sign_algorithm algorithm; /* of pair */
};

/* --- keys --------------------------------------------------------------------------------------------------------- */

struct jwt_key *jwt_key_secret(struct slice algorithm, struct slice secret, struct error *err)
{
    static const struct {
        const char *name;
        enum digest_algorithm digest;
    } known[] = {{"HS256", DIGEST_SHA256}, {"HS384", DIGEST_SHA384}, {"HS512", DIGEST_SHA512}};
    size_t i = 0;
    while (i < 3 && algorithm.len > 0 && !slice_equal(algorithm, slice_of(known[i].name)))
        i++;
    if (i == 3) {
        error_set(err, "algorithm %.*s is not for a secret: HS256, HS384 and HS512 are", SLICE_ARG(algorithm));
        return NULL;
    }
    if (secret.len == 0) {
        error_set(err, "the secret is empty");
        return NULL;
    }
    struct digest_key *mac = digest_key_new(known[i].digest, secret, err);
    if (mac == NULL)
        return NULL;
    struct jwt_key *k = need_zero(1, sizeof(*k));
    *k = (struct jwt_key){.name = known[i].name, .mac = mac};
    return k;
}

/* Takes `pair`, which may be NULL. */
static struct jwt_key *pair_take(struct slice name, struct sign_key *pair, struct error *err)
{
    if (pair == NULL)
        return NULL;
    enum sign_algorithm a = sign_key_algorithm(pair);
    /* only names that stand in RFC 7518 or 8037: sign_name gives those where there are any */
    if (name.len > 0 && (!sign_named(name, &a) || !slice_equal(name, slice_of(sign_name(a))) ||
                         a == SIGN_ECDSA_SHA256 || a == SIGN_ECDSA_SHA384)) {
        error_set(err, "algorithm %.*s is not known for a key: RS256, PS256, ES256 and EdDSA are", SLICE_ARG(name));
        sign_key_free(&pair);
        return NULL;
    }
    if (!sign_key_fits(pair, a, err)) {
        sign_key_free(&pair);
        return NULL;
    }
    struct jwt_key *k = need_zero(1, sizeof(*k));
    *k = (struct jwt_key){.name = sign_name(a), .pair = pair, .algorithm = a};
    return k;
}

struct jwt_key *jwt_key_private(struct slice algorithm, struct slice key, struct error *err)
{
    return pair_take(algorithm, sign_key_private(key, err), err);
}

struct jwt_key *jwt_key_public(struct slice algorithm, struct slice key, struct error *err)
{
    return pair_take(algorithm, sign_key_public(key, err), err);
}

void jwt_key_free(struct jwt_key **k)
{
    if (*k == NULL)
        return;
    digest_key_free(&(*k)->mac);
    sign_key_free(&(*k)->pair);
    free(*k);
    *k = NULL;
}

/* --- making ------------------------------------------------------------------------------------------------------- */

static int add_signature(struct jwt_key *k, struct slice signed_part, struct buf *out, struct error *err)
{
    unsigned char mac[DIGEST_MAX];
    struct buf signature = {0};
    if (k->mac != NULL)
        buf_add(&signature, mac, digest_hmac(k->mac, &signed_part, 1, mac));
    else if (sign_make(k->pair, k->algorithm, signed_part, &signature, err) != 0)
        return -1;
    buf_add_char(out, '.');
    base64_encode_url(buf_slice(&signature), out);
    buf_free(&signature);
    return 0;
}

int jwt_sign(struct jwt_key *k, struct slice claims, struct slice kid, struct buf *out, struct error *err)
{
    struct buf header = {0}, token = {0};
    struct json_writer w;
    json_write_begin(&w, &header);
    json_write_object(&w);
    json_write_name(&w, SLICE("alg"));
    json_write_string(&w, slice_of(k->name));
    json_write_name(&w, SLICE("typ"));
    json_write_string(&w, SLICE("JWT"));
    bool good = true;
    if (kid.len > 0) {
        json_write_name(&w, SLICE("kid"));
        good = json_write_string(&w, kid);
    }
    json_write_end(&w, '}');
    base64_encode_url(buf_slice(&header), &token);
    buf_add_char(&token, '.');
    base64_encode_url(claims, &token);
    int result = good ? 0 : error_set(err, "kid is not UTF-8");
    if (good)
        result = add_signature(k, buf_slice(&token), &token, err);
    if (result == 0)
        buf_add_slice(out, buf_slice(&token));
    buf_free(&header);
    buf_free(&token);
    return result;
}

/* --- checking ----------------------------------------------------------------------------------------------------- */

struct parts {
    struct slice header, claims, signature, signed_part;
};

static bool cut(struct slice token, struct parts *p)
{
    struct slice rest = token, more;
    if (!slice_cut(&rest, '.', &p->header) || !slice_cut(&rest, '.', &p->claims) ||
        !slice_cut(&rest, '.', &p->signature) || slice_cut(&rest, '.', &more))
        return false;
    p->signed_part = (struct slice){token.at, p->header.len + 1 + p->claims.len};
    return true;
}

/* Reads one part, which must be the base64url (no padding) of a JSON object. */
static int read_object(struct slice part, const char *what, struct json_reader *reader, struct error *err)
{
    struct buf text = {0};
    struct json_fault fault = {.what = NULL};
    struct json_walk walk;
    struct json_token token = {.kind = JSON_NULL};
    int result = 0;
    if ((part.len > 0 && part.at[part.len - 1] == '=') || !base64_decode_url(part, &text))
        result = error_set(err, "the %s is not base64url", what);
    else if (json_parse(reader, buf_slice(&text), &fault) != 0)
        result = error_set(err, "the %s is not JSON: %s at byte %zu", what, fault.what, fault.offset + 1);
    buf_free(&text);
    if (result != 0)
        return result;
    json_walk_root(reader, &walk);
    json_next(&walk, &token);
    return token.kind == JSON_OBJECT ? 0 : error_set(err, "the %s is not a JSON object", what);
}

static bool find(const struct json_reader *reader, const char *pointer, struct json_token *token_out)
{
    struct json_walk walk;
    if (!json_walk_at(reader, slice_of(pointer), &walk))
        return false;
    json_next(&walk, token_out);
    return true;
}

static int check_header(const struct jwt_key *k, struct slice part, struct json_reader *reader, struct error *err)
{
    struct json_token token;
    if (read_object(part, "header", reader, err) != 0)
        return -1;
    if (!find(reader, "/alg", &token) || token.kind != JSON_STRING || !slice_equal(token.text, slice_of(k->name)))
        return error_set(err, "the token's algorithm is not the key's, %s", k->name);
    /* RFC 7515 4.1.11: extensions that must be understood, and none is */
    return find(reader, "/crit", &token) ? error_set(err, "the header has crit") : 0;
}

static int check_signature(struct jwt_key *k, const struct parts *p, struct error *err)
{
    unsigned char mac[DIGEST_MAX];
    struct buf given = {0};
    bool padded = p->signature.len > 0 && p->signature.at[p->signature.len - 1] == '=';
    bool good = !padded && base64_decode_url(p->signature, &given);
    if (good && k->mac != NULL) {
        size_t len = digest_hmac(k->mac, &p->signed_part, 1, mac);
        good = equal_secret(buf_slice(&given), (struct slice){(char *)mac, len});
    } else if (good) {
        good = sign_check(k->pair, k->algorithm, p->signed_part, buf_slice(&given));
    }
    buf_free(&given);
    return good ? 0 : error_set(err, "the signature is wrong");
}

/* A NumericDate (RFC 7519 2). 1: found; 0: absent; -1 with words: it is something else. */
static int find_date(const struct json_reader *reader, const char *pointer, double *seconds_out, struct error *err)
{
    struct json_token token;
    if (!find(reader, pointer, &token))
        return 0;
    if (token.kind == JSON_INT)
        *seconds_out = (double)token.i;
    else if (token.kind == JSON_UINT)
        *seconds_out = (double)token.u;
    else if (token.kind == JSON_DOUBLE)
        *seconds_out = token.d;
    else
        return error_set(err, "%s is not a number of seconds", pointer + 1);
    return 1;
}

static int check_dates(const struct json_reader *reader, const struct jwt_checks *checks, struct error *err)
{
    double exp = 0, nbf = 0, iat = 0;
    int has_exp = find_date(reader, "/exp", &exp, err), has_nbf = find_date(reader, "/nbf", &nbf, err);
    int has_iat = find_date(reader, "/iat", &iat, err);
    if (has_exp < 0 || has_nbf < 0 || has_iat < 0)
        return -1;
    if (has_exp && checks->now >= exp + checks->leeway)
        return error_set(err, "expired");
    if (has_nbf && checks->now < nbf - checks->leeway)
        return error_set(err, "not valid yet (nbf)");
    if (has_iat && checks->now < iat - checks->leeway)
        return error_set(err, "issued in the future (iat)");
    return 0;
}

/* aud is a string, or an array of strings of which one must match (RFC 7519 4.1.3). */
static bool audience_matches(const struct json_reader *reader, struct slice wanted)
{
    struct json_walk walk;
    struct json_token token;
    if (!json_walk_at(reader, SLICE("/aud"), &walk))
        return false;
    json_next(&walk, &token);
    if (token.kind == JSON_STRING)
        return slice_equal(token.text, wanted);
    if (token.kind != JSON_ARRAY)
        return false;
    for (json_next(&walk, &token); token.kind == JSON_STRING; json_next(&walk, &token)) {
        if (slice_equal(token.text, wanted))
            return true;
    }
    return false;
}

int jwt_verify(struct jwt_key *k, struct slice token, const struct jwt_checks *checks, struct json_reader *reader,
               struct error *err)
{
    struct parts parts;
    struct json_token issuer;
    if (token.len > JWT_TOKEN_MAX)
        return error_set(err, "the token is longer than %d bytes", JWT_TOKEN_MAX);
    if (!cut(token, &parts))
        return error_set(err, "not three parts with dots between them");
    if (check_header(k, parts.header, reader, err) != 0 || check_signature(k, &parts, err) != 0 ||
        read_object(parts.claims, "claims part", reader, err) != 0 || check_dates(reader, checks, err) != 0)
        return -1;
    if (checks->issuer.at != NULL &&
        (!find(reader, "/iss", &issuer) || issuer.kind != JSON_STRING || !slice_equal(issuer.text, checks->issuer)))
        return error_set(err, "another issuer (iss)");
    if (checks->audience.at != NULL && !audience_matches(reader, checks->audience))
        return error_set(err, "another audience (aud)");
    return 0;
}
