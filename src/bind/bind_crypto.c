/*
 * bind_crypto.c: the global crypto: digests, HMAC, comparison, random bytes, signatures, encodings.
 * Bytes are Lua strings. Where a function takes an encoding it is the form of the result: "binary", the bytes
 * themselves and the default everywhere, "hex" (small letters), "base64" or "base64url" (no padding).
 * Owns: per state, prepared keys and a scratch buf. Runs in: the state's thread.
 * Fails: misuse raises; keys and texts that are not what they should be give nil and words.
 */
#include "bind/bind_crypto.h"
#include "base/panic.h"
#include "bind/bind_arguments.h"
#include "bind/bind_crypto_internal.h"
#include "bind/bind_jwt.h"
#include "codec/base64.h"
#include "crypto/digest.h"
#include "crypto/equal.h"
#include "crypto/random.h"
#include "crypto/sign.h"
#include "script/state.h"
#include <lauxlib.h>
#include <stdlib.h>

#define RANDOM_MAX 65536
#define SCRATCH_KEPT ((size_t)64 << 10)

static const char slot; /* its address is the state's slot */

static void release(void *pointer)
{
    struct bind_crypto *c = pointer;
    bind_crypto_keys_clear(&c->keys);
    buf_free(&c->scratch);
    free(c);
}

struct bind_crypto *bind_crypto_of(lua_State *L)
{
    struct bind_crypto *c = state_pointer(state_of(L), &slot);
    CHECK(c != NULL);
    if (c->scratch.room > SCRATCH_KEPT)
        buf_free(&c->scratch);
    buf_clear(&c->scratch);
    return c;
}

int bind_crypto_fault(lua_State *L, const struct error *err)
{
    lua_pushnil(L);
    lua_pushstring(L, err->text);
    return 2;
}

static struct slice check_bytes(lua_State *L, int index)
{
    struct slice bytes;
    bytes.at = luaL_checklstring(L, index, &bytes.len);
    return bytes;
}

enum encoding { HEX, BASE64, BASE64URL, BINARY };

static enum encoding check_encoding(lua_State *L, int index)
{
    static const char *const names[] = {"hex", "base64", "base64url", "binary", NULL};
    return (enum encoding)luaL_checkoption(L, index, "binary", names);
}

static int push_encoded(lua_State *L, struct slice bytes, enum encoding encoding)
{
    struct buf *text = &bind_crypto_of(L)->scratch;
    if (encoding == HEX) {
        base64_hex(bytes, buf_reserve(text, 2 * bytes.len));
        text->len = 2 * bytes.len;
    } else if (encoding == BASE64) {
        base64_encode(bytes, text);
    } else if (encoding == BASE64URL) {
        base64_encode_url(bytes, text);
    }
    struct slice result = encoding == BINARY ? bytes : buf_slice(text);
    lua_pushlstring(L, result.at, result.len);
    return 1;
}

/* --- digests ------------------------------------------------------------------------------------------------------ */

static int push_digest(lua_State *L, enum digest_algorithm a)
{
    unsigned char out[DIGEST_MAX];
    struct slice message = check_bytes(L, 1);
    enum encoding encoding = check_encoding(L, 2);
    if (!digest_available(a))
        return luaL_error(L, "this machine's OpenSSL does not give %s", digest_name(a));
    digest_of(a, &message, 1, out);
    return push_encoded(L, (struct slice){(char *)out, digest_size(a)}, encoding);
}

/* crypto.md5(message [, encoding]) → digest, and so on. */
static int crypto_md5(lua_State *L)
{
    return push_digest(L, DIGEST_MD5);
}

static int crypto_sha1(lua_State *L)
{
    return push_digest(L, DIGEST_SHA1);
}

static int crypto_sha256(lua_State *L)
{
    return push_digest(L, DIGEST_SHA256);
}

static int crypto_sha384(lua_State *L)
{
    return push_digest(L, DIGEST_SHA384);
}

static int crypto_sha512(lua_State *L)
{
    return push_digest(L, DIGEST_SHA512);
}

static void release_mac(void *prepared)
{
    struct digest_key *key = prepared;
    digest_key_free(&key);
}

/* crypto.hmac(algorithm, key, message [, encoding]) → code; algorithm: md5 sha1 sha256 sha384 sha512. */
static int crypto_hmac(lua_State *L)
{
    enum digest_algorithm a;
    struct error err;
    unsigned char out[DIGEST_MAX];
    struct slice name = check_bytes(L, 1), bytes = check_bytes(L, 2), message = check_bytes(L, 3);
    enum encoding encoding = check_encoding(L, 4);
    if (!digest_named(name, &a))
        return luaL_argerror(L, 1, "unknown algorithm: md5, sha1, sha256, sha384 and sha512 are known");
    struct bind_crypto *c = bind_crypto_of(L);
    struct bind_crypto_use use = {'m', (int)a};
    struct digest_key *key = bind_crypto_keys_find(&c->keys, use, bytes);
    if (key == NULL) {
        key = digest_key_new(a, bytes, &err);
        if (key == NULL)
            return luaL_error(L, "crypto.hmac: %s", err.text);
        bind_crypto_keys_put(&c->keys, use, bytes, key, release_mac);
    }
    return push_encoded(L, (struct slice){(char *)out, digest_hmac(key, &message, 1, out)}, encoding);
}

/* crypto.equals(a, b) → boolean, in a time that does not tell where they differ. nil equals nothing, not even nil. */
static int crypto_equals(lua_State *L)
{
    luaL_checkany(L, 2);
    bind_arguments(L, 0, 2, "crypto.equals");
    bool both = !lua_isnil(L, 1) && !lua_isnil(L, 2);
    lua_pushboolean(L, both && equal_secret(check_bytes(L, 1), check_bytes(L, 2)));
    return 1;
}

/* crypto.random(n [, encoding]): n random bytes, 1 to 65536. */
static int crypto_random(lua_State *L)
{
    unsigned char few[256];
    lua_Number n = luaL_checknumber(L, 1);
    enum encoding encoding = check_encoding(L, 2);
    if (!(n >= 1 && n <= RANDOM_MAX) || n != (lua_Number)(size_t)n)
        return luaL_argerror(L, 1, "expected a whole number of bytes from 1 to 65536");
    size_t len = (size_t)n;
    unsigned char *bytes = len <= sizeof(few) ? few : lua_newuserdata(L, len);
    random_fill(bytes, len);
    return push_encoded(L, (struct slice){(char *)bytes, len}, encoding);
}

/* --- signatures --------------------------------------------------------------------------------------------------- */

static void release_pair(void *prepared)
{
    struct sign_key *key = prepared;
    sign_key_free(&key);
}

static enum sign_algorithm check_algorithm(lua_State *L, int index)
{
    enum sign_algorithm a = SIGN_RS256;
    if (!sign_named(check_bytes(L, index), &a))
        luaL_argerror(L, index,
                      "unknown algorithm: rsa-sha256, rsa-pss-sha256, ecdsa-sha256 (and 384, 512), ed25519, and the "
                      "names of RFC 7518 (RS256, PS256, ES256, EdDSA) are known");
    return a;
}

/* A prepared key, or NULL with words. */
static struct sign_key *pair_of(struct bind_crypto *c, bool is_private, struct slice bytes, struct error *err)
{
    struct bind_crypto_use use = {is_private ? 's' : 'v', 0};
    struct sign_key *key = bind_crypto_keys_find(&c->keys, use, bytes);
    if (key != NULL)
        return key;
    key = is_private ? sign_key_private(bytes, err) : sign_key_public(bytes, err);
    if (key != NULL)
        bind_crypto_keys_put(&c->keys, use, bytes, key, release_pair);
    return key;
}

/*
 * crypto.sign(algorithm, key, message [, encoding]) → signature, or nil and words when the key is none or
 * does not fit. key: a private key in PEM, or an Ed25519 seed of 32 bytes.
 */
static int crypto_sign(lua_State *L)
{
    struct error err;
    enum sign_algorithm a = check_algorithm(L, 1);
    struct slice bytes = check_bytes(L, 2), message = check_bytes(L, 3);
    enum encoding encoding = check_encoding(L, 4);
    struct bind_crypto *c = bind_crypto_of(L);
    struct sign_key *key = pair_of(c, true, bytes, &err);
    if (key == NULL || sign_make(key, a, message, &c->scratch, &err) != 0)
        return bind_crypto_fault(L, &err);
    lua_pushlstring(L, c->scratch.at, c->scratch.len);
    if (encoding == BINARY)
        return 1;
    return push_encoded(L, check_bytes(L, -1), encoding);
}

/*
 * crypto.verify(algorithm, key, message, signature) → true or false, or nil and words when the key is none or does not
 * fit. key: a public key or certificate in PEM, DER, or 32 bytes of Ed25519. signature: bytes.
 */
static int crypto_verify(lua_State *L)
{
    struct error err;
    enum sign_algorithm a = check_algorithm(L, 1);
    struct slice bytes = check_bytes(L, 2), message = check_bytes(L, 3), signature = check_bytes(L, 4);
    struct sign_key *key = pair_of(bind_crypto_of(L), false, bytes, &err);
    if (key == NULL || !sign_key_fits(key, a, &err))
        return bind_crypto_fault(L, &err);
    lua_pushboolean(L, sign_check(key, a, message, signature));
    return 1;
}

/* --- encodings ---------------------------------------------------------------------------------------------------- */

/* crypto.hex(bytes) → text; so base64 and base64url (without padding). */
static int crypto_hex(lua_State *L)
{
    return push_encoded(L, check_bytes(L, 1), HEX);
}

static int crypto_base64(lua_State *L)
{
    return push_encoded(L, check_bytes(L, 1), BASE64);
}

static int crypto_base64url(lua_State *L)
{
    return push_encoded(L, check_bytes(L, 1), BASE64URL);
}

static int push_decoded(lua_State *L, bool (*decode)(struct slice text, struct buf *out), const char *what)
{
    struct slice text = check_bytes(L, 1);
    struct buf *bytes = &bind_crypto_of(L)->scratch;
    if (!decode(text, bytes)) {
        lua_pushnil(L);
        lua_pushfstring(L, "not %s", what);
        return 2;
    }
    lua_pushlstring(L, bytes->at, bytes->len);
    return 1;
}

/* crypto.unhex(text) → bytes, or nil and words; so base64_decode and base64url_decode (padding whole or absent). */
static int crypto_unhex(lua_State *L)
{
    return push_decoded(L, base64_unhex, "hex");
}

static int crypto_base64_decode(lua_State *L)
{
    return push_decoded(L, base64_decode, "base64");
}

static int crypto_base64url_decode(lua_State *L)
{
    return push_decoded(L, base64_decode_url, "base64url");
}

static const luaL_Reg functions[] = {{"hmac", crypto_hmac},
                                     {"md5", crypto_md5},
                                     {"sha1", crypto_sha1},
                                     {"sha256", crypto_sha256},
                                     {"sha384", crypto_sha384},
                                     {"sha512", crypto_sha512},
                                     {"equals", crypto_equals},
                                     {"random", crypto_random},
                                     {"sign", crypto_sign},
                                     {"verify", crypto_verify},
                                     {"hex", crypto_hex},
                                     {"unhex", crypto_unhex},
                                     {"base64", crypto_base64},
                                     {"base64_decode", crypto_base64_decode},
                                     {"base64url", crypto_base64url},
                                     {"base64url_decode", crypto_base64url_decode},
                                     {NULL, NULL}};

void bind_crypto_open(lua_State *L)
{
    state_set_pointer(state_of(L), &slot, need_zero(1, sizeof(struct bind_crypto)), release);
    lua_createtable(L, 0, 20);
    luaL_setfuncs(L, functions, 0);
    bind_jwt_open(L);
    lua_setfield(L, -2, "jwt");
}
