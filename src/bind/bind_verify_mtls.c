/*
 * bind_verify_mtls.c: see bind_verify_mtls.h. All that may raise is read before the first C resource is made; what then
 * fails is raised after it is freed.
 *   verify.mtls { san = "DNS:partner.example.com" }   subject, san, fingerprint: each one, or a list of which one is
 * met verify.mtls { any = true }                        every certificate that client_ca has issued
 */
#include "bind/bind_verify_mtls.h"
#include "bind/bind_verify.h"
#include "bind/bind_verify_options.h"
#include "policy/mtls.h"
#include <lauxlib.h>

static const char *const names[] = {
    [MTLS_SUBJECT] = "subject", [MTLS_SAN] = "san", [MTLS_FINGERPRINT] = "fingerprint", [MTLS_KINDS] = NULL};

/* Whether the option is given: a text, or a list of some. What env lacks must not open the door. */
static bool check_option(const struct table_reader *t, const char *key)
{
    lua_State *L = t->L;
    int kind = bind_verify_options_push(t, key), list = lua_gettop(L);
    size_t keys = 0;
    if (kind != LUA_TNIL && kind != LUA_TSTRING && kind != LUA_TTABLE)
        luaL_error(L, "%s: %s must be a string or a list of strings, not a %s", t->what, key, luaL_typename(L, list));
    if (kind == LUA_TSTRING && lua_objlen(L, list) == 0)
        luaL_error(L, "%s: %s is empty %s", t->what, key, BIND_VERIFY_UNSET);
    if (kind == LUA_TTABLE)
        table_plain(t, key, list);
    for (lua_pushnil(L); kind == LUA_TTABLE && lua_next(L, list) != 0; lua_pop(L, 1), keys++)
        if (lua_type(L, -1) != LUA_TSTRING || lua_type(L, -2) != LUA_TNUMBER || lua_objlen(L, -1) == 0)
            luaL_error(L, "%s: %s must be a list of strings, none of them empty %s", t->what, key, BIND_VERIFY_UNSET);
    if (kind == LUA_TTABLE && (keys == 0 || keys != lua_objlen(L, list)))
        luaL_error(L, "%s: %s is %s %s", t->what, key, keys == 0 ? "an empty list" : "a list with a nil in it",
                   BIND_VERIFY_UNSET);
    lua_settop(L, list - 1);
    return kind != LUA_TNIL;
}

/* Adds what check_option has seen. Nothing in it raises. */
static int add_option(const struct table_reader *t, struct mtls *m, enum mtls_kind kind, struct error *err)
{
    lua_State *L = t->L;
    bool list = bind_verify_options_push(t, names[kind]) == LUA_TTABLE;
    size_t count = list ? lua_objlen(L, -1) : lua_isnil(L, -1) ? 0 : 1;
    int done = 0;
    for (size_t i = 1; i <= count && done == 0; i++) {
        struct slice text;
        if (list)
            lua_rawgeti(L, -1, (int)i);
        else
            lua_pushvalue(L, -1);
        text.at = lua_tolstring(L, -1, &text.len);
        done = mtls_add(m, kind, text, err);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return done == 0 ? 0 : error_prefix(err, "%s", names[kind]);
}

static int make_mtls(lua_State *L)
{
    static const char *const known[] = {"subject", "san", "fingerprint", "any", NULL};
    struct table_reader t;
    struct error err;
    bool any = false, given = false;
    table_begin(&t, L, 1, "verify.mtls", known, false);
    table_bool(&t, "any", &any);
    for (int kind = 0; kind < MTLS_KINDS; kind++)
        given |= check_option(&t, names[kind]);
    if (any && given)
        luaL_error(L, "verify.mtls: any = true lets every certificate of client_ca in: leave it out");
    if (!any && !given && !bind_verify_secrets_optional(L))
        luaL_error(L,
                   "verify.mtls: give subject, san or fingerprint %s; any = true is for every certificate of client_ca",
                   BIND_VERIFY_UNSET);
    struct verifier **box = bind_verify_box(L);
    struct mtls *m = mtls_new();
    int done = 0;
    for (enum mtls_kind kind = 0; kind < MTLS_KINDS && done == 0; kind++)
        done = add_option(&t, m, kind, &err);
    if (done == 0)
        *box = verify_new_mtls(&m);
    mtls_free(&m);
    return done == 0 ? 1 : luaL_error(L, "verify.mtls: %s", err.text);
}

static const luaL_Reg functions[] = {{"mtls", make_mtls}, {NULL, NULL}};

void bind_verify_mtls_open(lua_State *L)
{
    luaL_setfuncs(L, functions, 0);
}
