/*
 * declare_cors.c: the field `cors` of a script to policy/cors; see declare.h.
 * Owns: nothing. Runs in: the state's thread. Fails: by noted faults.
 */
#include "base/duration.h"
#include "load/declare.h"
#include "policy/cors.h"
#include <lauxlib.h>
#include <math.h>
#include <stdlib.h>

#define WANTED "expected an origin like \"https://example.com\", a list of them, or { origins = ... }"

static const char *const known[] = {"origins", "headers", "credentials", "max_age"};

/* Origins, or a lone one, at the top of the stack. */
static void read_origins(struct declare *d, const char *field, struct cors *c)
{
    char **texts = NULL;
    size_t count = 0;
    struct error err;
    declare_texts(d, field, true, &texts, &count);
    for (size_t i = 0; i < count; i++) {
        if (cors_add_origin(c, slice_of(texts[i]), &err) != 0)
            declare_note(d, field, "%s", err.text);
        free(texts[i]);
    }
    free(texts);
}

static void read_headers(struct declare *d, int table, struct cors *c)
{
    char **texts = NULL;
    size_t count = 0;
    struct error err;
    if (!declare_field(d, table, "headers"))
        return;
    declare_texts(d, "cors.headers", true, &texts, &count);
    for (size_t i = 0; i < count; i++) {
        if (cors_add_header(c, slice_of(texts[i]), &err) != 0)
            declare_note(d, "cors.headers", "%s", err.text);
        free(texts[i]);
    }
    free(texts);
    lua_pop(d->L, 1);
}

static void read_credentials(struct declare *d, int table, struct cors *c)
{
    if (!declare_field(d, table, "credentials"))
        return;
    if (lua_type(d->L, -1) == LUA_TBOOLEAN)
        c->credentials = lua_toboolean(d->L, -1);
    else
        declare_note(d, "cors.credentials", "expected true or false, got a %s", luaL_typename(d->L, -1));
    lua_pop(d->L, 1);
}

/* Seconds, whole ones: the header has no others. */
static bool read_seconds(lua_State *L, long long *seconds_out)
{
    dur_t age = {-1};
    size_t len;
    if (lua_type(L, -1) == LUA_TNUMBER) {
        double n = lua_tonumber(L, -1);
        if (n >= 0 && n <= (double)CORS_MAX_AGE_MOST && floor(n) == n)
            age = DUR_S((int64_t)n);
    } else if (lua_type(L, -1) == LUA_TSTRING) {
        const char *text = lua_tolstring(L, -1, &len);
        if (!duration_parse((struct slice){text, len}, &age))
            age.ns = -1;
    }
    *seconds_out = age.ns / DUR_S(1).ns;
    return age.ns >= 0 && age.ns % DUR_S(1).ns == 0 && *seconds_out <= CORS_MAX_AGE_MOST;
}

static void read_max_age(struct declare *d, int table, struct cors *c)
{
    long long seconds;
    if (!declare_field(d, table, "max_age"))
        return;
    if (read_seconds(d->L, &seconds))
        c->max_age_s = seconds;
    else
        declare_note(d, "cors.max_age", "expected a duration of whole seconds, 0-365d, like \"10m\"");
    lua_pop(d->L, 1);
}

static bool is_known(const char *name)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(name, known[i]) == 0)
            return true;
    return false;
}

/* Whether the table at `table` is { origins = ... }, not a list; notes what it has beside its fields. */
static bool has_names(struct declare *d, int table)
{
    lua_State *L = d->L;
    bool names = false, places = false;
    for (lua_pushnil(L); lua_next(L, table) != 0; lua_pop(L, 1)) {
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
        names |= name != NULL;
        places |= name == NULL;
        if (name == NULL || is_known(name))
            continue;
        const char *near = slice_nearest(slice_of(name), known, sizeof known / sizeof *known);
        declare_note(d, "cors", "unknown field '%.*s%s'%s%s%s", SLICE_SHOWN(slice_of(name), 80),
                     near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
    }
    if (names && places)
        declare_note(d, "cors", "a list of origins among named fields: write { origins = { ... }, ... }");
    return names;
}

static void read_table(struct declare *d, int table, struct cors *c)
{
    if (declare_field(d, table, "origins")) {
        read_origins(d, "cors.origins", c);
        lua_pop(d->L, 1);
    } else {
        declare_note(d, "cors", "'origins' is missing: " WANTED);
    }
    read_headers(d, table, c);
    read_credentials(d, table, c);
    read_max_age(d, table, c);
}

void declare_cors(struct declare *d, int table)
{
    size_t faults = d->fault_count;
    struct error err;
    if (table == 0 || !declare_field(d, table, "cors"))
        return;
    int value = lua_gettop(d->L);
    if (lua_type(d->L, value) == LUA_TTABLE && !declare_is_plain(d, "cors", value)) {
        lua_pop(d->L, 1);
        return;
    }
    struct cors *c = d->endpoint->cors = cors_new(); /* the endpoint's at once: what follows may raise */
    if (lua_type(d->L, value) == LUA_TTABLE && has_names(d, value))
        read_table(d, value, c);
    else if (lua_type(d->L, value) == LUA_TTABLE || lua_type(d->L, value) == LUA_TSTRING)
        read_origins(d, "cors", c);
    else
        declare_note(d, "cors", WANTED ", got a %s", luaL_typename(d->L, value));
    if (d->fault_count == faults && cors_check(c, &err) != 0)
        declare_note(d, "cors", "%s", err.text);
    lua_pop(d->L, 1);
}
