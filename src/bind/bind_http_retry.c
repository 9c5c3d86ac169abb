/*
 * bind_http_retry.c: see bind_http_retry.h.
 */
#include "bind/bind_http_retry.h"
#include "script/error.h"
#include "script/table.h"
#include <lauxlib.h>
#include <stdio.h>

#define ATTEMPTS_MAX 20

static const struct bind_http_retry defaults = {
    .attempts = BIND_HTTP_ATTEMPTS,
    .min = DUR_MS(500),
    .max = DUR_S(10),
    .statuses = {429, 502, 503, 504},
    .status_count = 4,
};

static void read_statuses(struct table_reader *t, struct bind_http_retry *r)
{
    lua_State *L = t->L;
    long long status;
    if (!table_push(t, "statuses"))
        return;
    if (!lua_istable(L, -1))
        table_fault(t, "statuses", "expected a list of statuses, got %s", luaL_typename(L, -1));
    size_t count = table_list(t, "statuses", lua_gettop(L));
    if (count > BIND_HTTP_STATUSES_MAX)
        table_fault(t, "statuses", "expected a list of at most %d statuses", BIND_HTTP_STATUSES_MAX);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, -1, (int)i + 1);
        if (!table_whole(L, -1, 300, 599, &status))
            table_fault(t, "statuses", "expected whole numbers from 300 to 599");
        r->statuses[i] = (int)status;
        lua_pop(L, 1);
    }
    r->status_count = count;
    r->statuses_said = count > 0;
    lua_pop(L, 1);
}

static void read_table(struct table_reader *t, struct bind_http_retry *r)
{
    long long attempts;
    if (table_integer(t, "attempts", 1, ATTEMPTS_MAX, &attempts))
        r->attempts = (unsigned)attempts;
    table_duration(t, "min", &r->min);
    if (table_duration(t, "max", &r->max) && r->max.ns < r->min.ns)
        table_fault(t, "max", "it is less than min");
    if (r->max.ns < r->min.ns)
        r->max = r->min;
    if (table_duration(t, "timeout", &r->timeout) && r->timeout.ns == 0)
        table_fault(t, "timeout", "expected more than nothing");
    table_bool(t, "idempotent", &r->idempotent);
    read_statuses(t, r);
}

void bind_http_retry_read(lua_State *L, const char *what, struct bind_http_retry *retry_out)
{
    static const char *const known[] = {"attempts", "min", "max", "timeout", "statuses", "idempotent", NULL};
    struct table_reader t;
    char name[64];
    *retry_out = defaults;
    if (lua_type(L, -1) == LUA_TBOOLEAN) {
        if (!lua_toboolean(L, -1))
            retry_out->attempts = 1;
        return;
    }
    snprintf(name, sizeof(name), "%s: retry", what);
    if (lua_type(L, -1) == LUA_TNUMBER) {
        long long attempts;
        if (!table_whole(L, -1, 1, ATTEMPTS_MAX, &attempts))
            script_error_words(L, "%s: expected 1 to %d attempts", name, ATTEMPTS_MAX);
        retry_out->attempts = (unsigned)attempts;
        return;
    }
    table_begin(&t, L, lua_gettop(L), name, known, false);
    read_table(&t, retry_out);
}

static bool is_passing(enum httpc_code code)
{
    switch (code) {
    case HTTPC_DNS:
    case HTTPC_REFUSED:
    case HTTPC_UNREACHABLE:
    case HTTPC_TIMEOUT:
    case HTTPC_CLOSED:
    case HTTPC_CIRCUIT_OPEN:
        return true;
    default:
        return false;
    }
}

bool bind_http_retry_wanted(const struct bind_http_retry *r, unsigned attempts, const struct httpc_reply *reply,
                            bool repeatable, bool expected)
{
    if (attempts >= r->attempts || (reply->sent && !repeatable))
        return false;
    if (reply->code != HTTPC_OK)
        return is_passing(reply->code);
    for (size_t i = 0; i < r->status_count; i++)
        if (r->statuses[i] == reply->status)
            return !expected;
    return false;
}

dur_t bind_http_retry_pause(const struct bind_http_retry *r, unsigned attempts, const struct httpc_reply *reply,
                            wall_t now, uint32_t random)
{
    dur_t pause = r->min, asked;
    for (unsigned i = 1; i < attempts && pause.ns < r->max.ns; i++)
        pause.ns *= 2;
    if (pause.ns > r->max.ns)
        pause = r->max;
    pause.ns -= (int64_t)((double)pause.ns / 2 * ((double)random / 4294967296.0));
    if (reply->status != 0 && httpc_retry_after(reply->head, now, &asked) && asked.ns > pause.ns)
        pause = asked;
    return pause;
}
