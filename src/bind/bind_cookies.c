/*
 * bind_cookies.c: the cookies of an answer as Set-Cookie headers (RFC 6265 4.1.1), every character checked.
 * Runs in: the state's thread, protected. Fails: with words that name the cookie and the attribute.
 */
#include "base/ascii.h"
#include "bind/bind_reply_internal.h"
#include "script/table.h"
#include <lauxlib.h>

#define COOKIE_MAX 4096 /* RFC 6265 6.1: what a client must at least take */

/* RFC 6265 4.1.1 cookie-octet */
static bool octets(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.at[i];
        if (c <= ' ' || c >= 0x7f || c == '"' || c == ',' || c == ';' || c == '\\')
            return false;
    }
    return true;
}

/* A path or a domain: anything but controls and ';'. */
static bool attribute(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.at[i] < ' ' || s.at[i] == 0x7f || s.at[i] == ';')
            return false;
    return s.len > 0;
}

/* One attribute of the table form: the key is at -2, the value at the top. */
static int add_attribute(lua_State *L, struct slice key, struct buf *line, struct error *err)
{
    static const struct {
        const char *key, *header;
        int kind;
    } known[] = {{"path", "Path", LUA_TSTRING},           {"domain", "Domain", LUA_TSTRING},
                 {"max_age", "Max-Age", LUA_TNUMBER},     {"secure", "Secure", LUA_TBOOLEAN},
                 {"http_only", "HttpOnly", LUA_TBOOLEAN}, {"same_site", "SameSite", LUA_TSTRING}};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (!slice_equal(key, slice_of(known[i].key)))
            continue;
        if (lua_type(L, -1) != known[i].kind)
            return error_set(err, "%s must be a %s", known[i].key, lua_typename(L, known[i].kind));
        if (known[i].kind == LUA_TBOOLEAN) {
            if (lua_toboolean(L, -1))
                buf_addf(line, "; %s", known[i].header);
            return 0;
        }
        if (known[i].kind == LUA_TNUMBER) {
            double seconds = lua_tonumber(L, -1);
            if (!(seconds >= 0 && seconds <= 1e10) || seconds != (double)(long long)seconds)
                return error_set(err, "max_age must be whole seconds, 0 or more");
            buf_addf(line, "; %s=%.0f", known[i].header, seconds);
            return 0;
        }
        struct slice value = table_text(L, -1);
        if (!attribute(value))
            return error_set(err, "%s holds a character that no cookie can have", known[i].key);
        if (slice_equal(key, SLICE("same_site")) && !slice_equal(value, SLICE("Strict")) &&
            !slice_equal(value, SLICE("Lax")) && !slice_equal(value, SLICE("None")))
            return error_set(err, "same_site must be \"Strict\", \"Lax\" or \"None\"");
        buf_addf(line, "; %s=%.*s", known[i].header, SLICE_ARG(value));
        return 0;
    }
    return error_set(err,
                     "unknown attribute '%.*s%s' (known: value, path, domain, max_age, secure, http_only, same_site)",
                     SLICE_SHOWN(key, 40));
}

static int add_value(lua_State *L, int index, struct buf *line, struct error *err)
{
    if (lua_type(L, index) != LUA_TSTRING)
        return error_set(err, "its value must be a string");
    struct slice value = table_text(L, index);
    if (!octets(value))
        return error_set(err, "its value holds a character that no cookie can have");
    buf_add_slice(line, value);
    return 0;
}

static int add_table(lua_State *L, int index, struct buf *line, struct error *err)
{
    if (!table_is_plain(L, index, err))
        return -1;
    lua_pushliteral(L, "value");
    lua_rawget(L, index);
    int done = add_value(L, lua_gettop(L), line, err);
    lua_pop(L, 1);
    lua_pushnil(L);
    while (done == 0 && lua_next(L, index) != 0) {
        if (lua_type(L, -2) != LUA_TSTRING)
            return error_set(err, "its attributes must have names");
        struct slice key = table_text(L, -2);
        if (!slice_equal(key, SLICE("value")))
            done = add_attribute(L, key, line, err);
        lua_pop(L, 1);
    }
    return done;
}

static int add_cookie(lua_State *L, int value, struct slice name, struct http_response *r, struct error *err)
{
    char room[COOKIE_MAX];
    struct buf line = {.at = room, .room = sizeof(room), .limit = sizeof(room) - 1}; /* never grows: nothing to free */
    if (!ascii_is_token(name))
        return error_set(err, "cookie '%.*s%s': its name holds a character that no cookie can have",
                         SLICE_SHOWN(name, 40));
    buf_addf(&line, "%.*s=", SLICE_ARG(name));
    int done = lua_istable(L, value) ? add_table(L, value, &line, err) : add_value(L, value, &line, err);
    if (done != 0)
        return error_prefix(err, "cookie '%.*s%s'", SLICE_SHOWN(name, 40));
    if (line.overflow)
        return error_set(err, "cookie '%.*s%s' is longer than %d bytes", SLICE_SHOWN(name, 40), COOKIE_MAX);
    return http_response_add(r, SLICE("set-cookie"), buf_slice(&line), err);
}

int bind_reply_cookies(lua_State *L, int index, struct http_response *r, struct error *err)
{
    if (lua_isnil(L, index))
        return 0;
    if (!lua_istable(L, index))
        return error_set(err, "cookies must be a table, not a %s", luaL_typename(L, index));
    if (!table_is_plain(L, index, err))
        return error_prefix(err, "cookies");
    lua_pushnil(L);
    while (lua_next(L, index) != 0) {
        if (lua_type(L, -2) != LUA_TSTRING)
            return error_set(err, "cookies must have names");
        if (add_cookie(L, lua_gettop(L), table_text(L, -2), r, err) != 0)
            return -1;
        lua_pop(L, 1);
    }
    return 0;
}
