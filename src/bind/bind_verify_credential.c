/*
 * bind_verify_credential.c: verify.api_key, basic and bearer: a script's tables of keys, users and tokens → a
 * credential. All that may raise is read before the first C resource is made; what then fails is raised after it is
 * freed. Owns: nothing. Runs in: the state's thread. Fails: Lua errors in words, which never hold a secret.
 */
#include "bind/bind_verify_credential.h"
#include "bind/bind_verify_options.h"
#include "policy/credential.h"
#include <lauxlib.h>

/* Raises unless the table under `key` is a map name → secret, or (unless names_needed) a list of secrets. */
static void check_entries(const struct table_reader *t, const char *key, bool names_needed)
{
    lua_State *L = t->L;
    size_t count = 0, names = 0, length;
    struct error err;
    int kind = bind_verify_options_push(t, key), table = lua_gettop(L);
    if (kind != LUA_TTABLE && !(kind == LUA_TNIL && bind_verify_secrets_optional(L)))
        luaL_error(L, "%s: %s must be a table, not %s", t->what, key, luaL_typename(L, -1));
    if (kind == LUA_TTABLE)
        table_plain(t, key, table);
    for (lua_pushnil(L); kind == LUA_TTABLE && lua_next(L, table); lua_pop(L, 1), count++) {
        bool named = lua_type(L, -2) == LUA_TSTRING;
        names += named;
        if (lua_type(L, -1) != LUA_TSTRING)
            luaL_error(L, "%s: %s%s%s holds a %s, not a string", t->what, key, named ? "." : "",
                       named ? lua_tostring(L, -2) : "", luaL_typename(L, -1));
        if (lua_objlen(L, -1) == 0 && !bind_verify_secrets_optional(L))
            luaL_error(L, "%s: %s%s%s is empty %s", t->what, key, named ? "." : "", named ? lua_tostring(L, -2) : "",
                       BIND_VERIFY_UNSET);
    }
    if (count == 0 && !bind_verify_secrets_optional(L))
        luaL_error(L, "%s: %s is empty %s", t->what, key, BIND_VERIFY_UNSET);
    if (names_needed && names != count)
        luaL_error(L, "%s: %s must be { NAME = \"password\" }", t->what, key);
    if (names != 0 && names != count)
        luaL_error(L, "%s: %s must be a list, or a map, not both", t->what, key);
    if (names == 0 && kind == LUA_TTABLE && !table_is_list_with_gaps(L, table, &length, &err))
        luaL_error(L, "%s: %s: %s", t->what, key, err.text);
    if (names == 0 && kind == LUA_TTABLE && length != count && !bind_verify_secrets_optional(L))
        luaL_error(L, "%s: %s is a list with a nil in it %s", t->what, key, BIND_VERIFY_UNSET);
    lua_pop(L, 1);
}

/* Adds what check_entries has seen, from the table at the top of the stack (or nil). Nothing in it raises. */
static int add_entries(lua_State *L, struct credential *c, const char *key, struct error *err)
{
    int table = lua_gettop(L);
    int length = lua_istable(L, table) ? (int)lua_objlen(L, table) : 0, result = 0;
    for (int i = 1; i <= length && result == 0; i++) { /* a list, in its order: auth.index is the position */
        struct slice secret = SLICE_NONE;
        lua_rawgeti(L, table, i);
        secret.at = lua_tolstring(L, -1, &secret.len);
        if (secret.len > 0 && credential_add(c, SLICE_NONE, secret, err) < 0)
            result = error_prefix(err, "%s[%d]", key, i);
        lua_pop(L, 1);
    }
    if (length > 0 || !lua_istable(L, table))
        return result;
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
        struct slice name = SLICE_NONE, secret;
        secret.at = lua_tolstring(L, -1, &secret.len);
        if (lua_type(L, -2) == LUA_TSTRING)
            name.at = lua_tolstring(L, -2, &name.len);
        if (result == 0 && secret.len > 0 && credential_add(c, name, secret, err) < 0)
            result = error_prefix(err, "%s.%.*s", key, SLICE_ARG(name));
    }
    return result;
}

static int push_credential(const struct table_reader *t, enum credential_kind kind, struct slice place, const char *key)
{
    struct error err;
    struct verifier **box = bind_verify_box(t->L);
    bind_verify_options_push(t, key);
    struct credential *c = credential_new(kind, place, &err);
    if (c != NULL && add_entries(t->L, c, key, &err) < 0)
        credential_free(&c);
    if (c == NULL)
        return luaL_error(t->L, "%s: %s", t->what, err.text);
    *box = verify_new_credential(&c);
    lua_pop(t->L, 1);
    return 1;
}

static int make_api_key(lua_State *L)
{
    static const char *const known[] = {"header", "query", "keys", NULL};
    struct table_reader t;
    struct slice header = SLICE_NONE, query = SLICE_NONE;
    table_begin(&t, L, 1, "verify.api_key", known, false);
    table_string(&t, "header", &header);
    table_string(&t, "query", &query);
    if ((header.len > 0) == (query.len > 0))
        luaL_error(L, "verify.api_key: give header or query: the one place where the key is");
    check_entries(&t, "keys", false);
    if (query.len > 0)
        return push_credential(&t, CREDENTIAL_API_KEY_QUERY, query, "keys");
    return push_credential(&t, CREDENTIAL_API_KEY_HEADER, header, "keys");
}

static int make_basic(lua_State *L)
{
    static const char *const known[] = {"users", "realm", NULL};
    struct table_reader t;
    struct slice realm = SLICE("crescent");
    table_begin(&t, L, 1, "verify.basic", known, false);
    table_string(&t, "realm", &realm);
    check_entries(&t, "users", true);
    return push_credential(&t, CREDENTIAL_BASIC, realm, "users");
}

static int make_bearer(lua_State *L)
{
    static const char *const known[] = {"tokens", NULL};
    struct table_reader t;
    table_begin(&t, L, 1, "verify.bearer", known, false);
    check_entries(&t, "tokens", false);
    return push_credential(&t, CREDENTIAL_BEARER, SLICE_NONE, "tokens");
}

static const luaL_Reg functions[] = {
    {"api_key", make_api_key}, {"basic", make_basic}, {"bearer", make_bearer}, {NULL, NULL}};

void bind_verify_credential_open(lua_State *L)
{
    luaL_setfuncs(L, functions, 0);
}
