/*
 * bind_jwt.c: crypto.jwt: sign and verify.
 * Options, of both: one of `secret` (HMAC) and `key` (PEM, or 32 bytes of Ed25519); `algorithm`, which is the key's and
 * never the token's (HS256, or the usual one of the key's kind). Of sign: `kid`. Of verify: `issuer`, `audience`,
 * `leeway` (a duration, 0 unless given, for exp, nbf and iat).
 * Owns: keys, in the state's table of prepared ones. Runs in: the state's thread.
 * Fails: misuse raises; a token or a key that will not do gives nil and words.
 */
#include "bind/bind_jwt.h"
#include "bind/bind_crypto_internal.h"
#include "bind/bind_json.h"
#include "crypto/jwt.h"
#include "script/table.h"
#include <lauxlib.h>

/* The names that a prepared key may have been asked for by; its place here is the use's algorithm. */
static const char *const algorithm_names[] = {"",      "HS256", "HS384", "HS512", "RS256", "RS384", "RS512",
                                              "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"};

static void release_key(void *prepared)
{
    struct jwt_key *key = prepared;
    jwt_key_free(&key);
}

static int check_algorithm(struct table_reader *options)
{
    struct slice name;
    if (!table_string(options, "algorithm", &name))
        return 0;
    for (size_t i = 1; i < sizeof(algorithm_names) / sizeof(algorithm_names[0]); i++) {
        if (slice_equal(name, slice_of(algorithm_names[i])))
            return (int)i;
    }
    return table_fault(options, "algorithm", "expected HS256, RS256, PS256 (or 384, 512), ES256, ES384 or EdDSA");
}

/* The key of the options, prepared; NULL with words when it will not do. Raises when there is none, or two. */
static struct jwt_key *key_of(lua_State *L, struct table_reader *options, bool signing, struct error *err)
{
    struct slice secret, pair;
    bool has_secret = table_string(options, "secret", &secret), has_pair = table_string(options, "key", &pair);
    int algorithm = check_algorithm(options);
    if (has_secret == has_pair)
        table_fault(options, "secret", "expected either secret or key");
    struct bind_crypto_use use = {has_secret ? 'h' : signing ? 'p' : 'q', algorithm};
    struct slice bytes = has_secret ? secret : pair, name = slice_of(algorithm_names[algorithm]);
    struct bind_crypto_keys *keys = &bind_crypto_of(L)->keys;
    struct jwt_key *key = bind_crypto_keys_find(keys, use, bytes);
    if (key != NULL)
        return key;
    if (has_secret)
        key = jwt_key_secret(name, bytes, err);
    else
        key = signing ? jwt_key_private(name, bytes, err) : jwt_key_public(name, bytes, err);
    if (key != NULL)
        bind_crypto_keys_put(keys, use, bytes, key, release_key);
    return key;
}

/* crypto.jwt.sign(claims, options) → token, or nil and words. Nothing is added to the claims. */
static int jwt_lua_sign(lua_State *L)
{
    static const char *const known[] = {"secret", "key", "algorithm", "kid", NULL};
    struct table_reader options;
    struct error err;
    struct slice kid = SLICE_NONE;
    luaL_checktype(L, 1, LUA_TTABLE);
    table_begin(&options, L, 2, "crypto.jwt.sign", known, false);
    table_string(&options, "kid", &kid);
    struct jwt_key *key = key_of(L, &options, true, &err);
    if (key == NULL)
        return bind_crypto_fault(L, &err);
    struct buf *scratch = &bind_crypto_of(L)->scratch;
    bind_json_encode(L, 1, scratch);
    if (scratch->at[0] != '{')
        return luaL_argerror(L, 1, "claims are a table of names and values");
    size_t begin = scratch->len;
    lua_pushlstring(L, scratch->at, begin); /* the claims stay here while the token goes to the scratch */
    struct slice claims = {lua_tostring(L, -1), begin};
    if (jwt_sign(key, claims, kid, scratch, &err) != 0)
        return bind_crypto_fault(L, &err);
    lua_pushlstring(L, scratch->at + begin, scratch->len - begin);
    return 1;
}

/* crypto.jwt.verify(token, options) → claims, or nil and words; a token of nil (a missing header) is such a case. */
static int jwt_lua_verify(lua_State *L)
{
    static const char *const known[] = {"secret", "key", "algorithm", "issuer", "audience", "leeway", NULL};
    struct table_reader options;
    struct error err;
    struct jwt_checks checks = {.now = (double)wall_now().ns / 1e9};
    struct json_walk walk;
    dur_t leeway = {0};
    table_begin(&options, L, 2, "crypto.jwt.verify", known, false);
    table_string(&options, "issuer", &checks.issuer);
    table_string(&options, "audience", &checks.audience);
    table_duration(&options, "leeway", &leeway);
    checks.leeway = (double)leeway.ns / 1e9;
    struct jwt_key *key = key_of(L, &options, false, &err);
    if (key == NULL)
        return bind_crypto_fault(L, &err);
    if (lua_isnil(L, 1)) {
        error_set(&err, "no token");
        return bind_crypto_fault(L, &err);
    }
    struct slice token;
    token.at = luaL_checklstring(L, 1, &token.len);
    struct json_reader *reader = bind_json_reader(L);
    if (jwt_verify(key, token, &checks, reader, &err) != 0)
        return bind_crypto_fault(L, &err);
    json_walk_root(reader, &walk);
    bind_json_push_walk(L, &walk, false);
    return 1;
}

static const luaL_Reg functions[] = {{"sign", jwt_lua_sign}, {"verify", jwt_lua_verify}, {NULL, NULL}};

void bind_jwt_open(lua_State *L)
{
    lua_createtable(L, 0, 2);
    luaL_setfuncs(L, functions, 0);
}
