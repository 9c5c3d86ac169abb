/*
 * config_proxies.c: see config_proxies.h.
 */
#include "cli/config_proxies.h"
#include "base/panic.h"
#include "codec/url.h"
#include "policy/ips.h"
#include <lauxlib.h>
#include <math.h>
#include <stdlib.h>

/* --- lists of texts ----------------------------------------------------------------------------------------------- */

typedef int add_fn(void *cookie, struct slice text, struct error *err);

/* Each text of the list at the top of the stack, which has positions only. */
static int each_text(lua_State *L, const char *expected, add_fn *add, void *cookie, struct error *err)
{
    size_t count = lua_objlen(L, -1), keys = 0;
    for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1), keys++)
        if (lua_type(L, -1) != LUA_TSTRING || lua_type(L, -2) != LUA_TNUMBER) {
            error_set(err, "expected %s, got a %s in it", expected,
                      lua_type(L, -2) != LUA_TNUMBER ? "name" : luaL_typename(L, -1));
            lua_pop(L, 2);
            return -1;
        }
    if (keys != count)
        return error_set(err, "expected %s, got a list with gaps", expected);
    for (size_t i = 1; i <= count; i++) {
        struct slice text;
        lua_rawgeti(L, -1, (int)i);
        text.at = lua_tolstring(L, -1, &text.len);
        int done = add(cookie, text, err);
        lua_pop(L, 1);
        if (done != 0)
            return -1;
    }
    return 0;
}

static int each_part(struct slice text, add_fn *add, void *cookie, struct error *err)
{
    struct slice part;
    while (slice_cut(&text, ',', &part))
        if (add(cookie, slice_trim(part), err) != 0)
            return -1;
    return 0;
}

/* --- trusted_proxies ---------------------------------------------------------------------------------------------- */

static int add_trusted(void *cookie, struct slice text, struct error *err)
{
    if (ips_check(text, err) != 0)
        return -1;
    config_add_trusted(cookie, text);
    return 0;
}

int config_proxies_trusted_value(lua_State *L, struct config *c, struct error *err)
{
    const char *expected = "a list of addresses and networks, like { \"10.0.0.0/8\", \"unix\" }";
    struct slice text;
    config_forget_trusted(c);
    if (lua_type(L, -1) == LUA_TTABLE)
        return each_text(L, expected, add_trusted, c, err);
    if (lua_type(L, -1) != LUA_TSTRING)
        return error_set(err, "expected %s, got a %s", expected, luaL_typename(L, -1));
    text.at = lua_tolstring(L, -1, &text.len);
    return add_trusted(c, text, err);
}

int config_proxies_trusted_text(struct slice text, struct config *c, struct error *err)
{
    config_forget_trusted(c);
    return each_part(text, add_trusted, c, err);
}

/* --- public_url --------------------------------------------------------------------------------------------------- */

static int not_a_base(struct slice text, const char *why, struct error *err)
{
    return error_set(err, "expected a URL like \"https://hooks.example.com\", got \"%.*s\": %s",
                     text.len > 200 ? 200 : (int)text.len, text.len > 0 ? text.at : "", why);
}

/* Kept as senders write it, but for the letters' case where it does not count, and the slash at its end. */
int config_proxies_url(struct slice text, struct config *c, struct error *err)
{
    struct url u;
    const char *why = url_parse(text, &u);
    if (why != NULL)
        return not_a_base(text, why, err);
    if (u.user.at != NULL)
        return not_a_base(text, "there is a user in it", err);
    if (u.query.at != NULL || slice_find(text, '#') != SIZE_MAX)
        return not_a_base(text, "there is a query or a fragment in it: the request's follows it", err);
    for (size_t i = 0; i < u.path.len; i++)
        if (u.path.at[i] <= ' ' || u.path.at[i] >= 0x7f)
            return not_a_base(text, "its path has bytes that must be percent-encoded", err);
    struct buf base = {0};
    bool usual = u.port == (u.tls ? 443 : 80);
    buf_addf(&base, "%s://%.*s", u.tls ? "https" : "http", SLICE_ARG(u.host));
    for (size_t i = 0; i < base.len; i++)
        base.at[i] = (char)(base.at[i] >= 'A' && base.at[i] <= 'Z' ? base.at[i] + ('a' - 'A') : base.at[i]);
    if (!usual)
        buf_addf(&base, ":%u", (unsigned)u.port);
    while (u.path.len > 0 && u.path.at[u.path.len - 1] == '/')
        u.path.len--;
    buf_add_slice(&base, u.path);
    free(c->public_url);
    c->public_url = buf_take(&base);
    return 0;
}

/* --- proxy_protocol ----------------------------------------------------------------------------------------------- */

void config_proxies_free(struct config_draft *d)
{
    for (size_t i = 0; i < d->proxied.count; i++)
        free(d->proxied.at[i]);
    free(d->proxied.at);
    free(d->proxied.where);
    d->proxied = (struct config_draft_proxied){.all = false};
}

static int add_proxied(void *cookie, struct slice text, struct error *err)
{
    struct config_draft *d = cookie;
    struct config_listen l;
    if (slice_find(text, '\0') != SIZE_MAX)
        return error_set(err, "an address has a NUL byte");
    char *copy = slice_dup(text);
    int done = config_parse_listen(copy, false, &l, err);
    config_listen_free(&l);
    if (done != 0) {
        free(copy);
        return -1;
    }
    d->proxied.at = need_realloc(d->proxied.at, (d->proxied.count + 1) * sizeof *d->proxied.at);
    d->proxied.at[d->proxied.count++] = copy;
    return 0;
}

static void begin(struct config_draft *d, const char *where)
{
    config_proxies_free(d);
    d->proxied.where = need_strdup(where);
}

int config_proxies_protocol_value(lua_State *L, struct config_draft *d, const char *where, struct error *err)
{
    const char *expected = "true, false or a list of addresses that the server listens on";
    begin(d, where);
    if (lua_type(L, -1) == LUA_TTABLE) {
        if (each_text(L, expected, add_proxied, d, err) != 0)
            return -1;
        return d->proxied.count > 0 ? 0 : error_set(err, "expected %s, got an empty list", expected);
    }
    if (lua_type(L, -1) != LUA_TBOOLEAN)
        return error_set(err, "expected %s, got a %s", expected, luaL_typename(L, -1));
    d->proxied.all = lua_toboolean(L, -1);
    return 0;
}

int config_proxies_protocol_text(struct slice text, struct config_draft *d, const char *where, struct error *err)
{
    begin(d, where);
    d->proxied.all = slice_equal(text, SLICE("true")) || slice_equal(text, SLICE("1"));
    if (d->proxied.all || slice_equal(text, SLICE("false")) || slice_equal(text, SLICE("0")))
        return 0;
    return each_part(text, add_proxied, d, err);
}

/* An address without what it speaks. */
static struct slice bare(const char *text)
{
    struct slice s = slice_of(text);
    return slice_from(s, slice_starts(s, SLICE("https://")) ? 8 : slice_starts(s, SLICE("http://")) ? 7 : 0);
}

/* Also two of port 0, of which the kernel makes two: who writes the same means all of them. */
static int mark(struct config_draft *d, const char *text, struct error *err)
{
    struct config *c = d->config;
    struct config_listen l;
    const char *known[64];
    size_t found = 0, count = 0;
    if (config_parse_listen(text, false, &l, err) != 0)
        return error_prefix(err, "%s", d->proxied.where);
    int done = l.path == NULL ? 0 : config_listen_place(&l, config_load_path(c->root, l.path), err);
    for (size_t i = 0; done == 0 && i < c->listen_count; i++) {
        if (count < sizeof(known) / sizeof(known[0]))
            known[count++] = c->listen[i].text;
        if (!config_listen_same(&c->listen[i], &l) && !slice_equal(bare(c->listen[i].text), bare(text)))
            continue;
        c->listen[i].proxy = true;
        found++;
    }
    config_listen_free(&l);
    if (done != 0)
        return error_prefix(err, "%s", d->proxied.where);
    const char *near = found == 0 ? slice_nearest(slice_of(text), known, count) : NULL;
    return found > 0 ? 0
                     : error_set(err, "%s: the server does not listen on \"%s\"%s%s%s", d->proxied.where, text,
                                 near != NULL ? " (did you mean \"" : "", near != NULL ? near : "",
                                 near != NULL ? "\"?)" : "");
}

int config_proxies_finish(struct config_draft *d, struct error *err)
{
    for (size_t i = 0; d->proxied.all && i < d->config->listen_count; i++)
        d->config->listen[i].proxy = true;
    for (size_t i = 0; i < d->proxied.count; i++)
        if (mark(d, d->proxied.at[i], err) != 0)
            return -1;
    return 0;
}
