/*
 * declare_rate.c: the field rate_limit; see declare.h. Where a script gives none, the setting of that name holds.
 * Owns: nothing. Runs in: the state's thread. Fails: by noted faults.
 */
#include "base/panic.h"
#include "load/declare.h"
#include "load/rate_rules.h"

/* A key that no request can have would quietly be a limit by address. */
static void check_param(struct declare *d, const char *name)
{
    const struct endpoint *e = d->endpoint;
    for (size_t i = 0; i < e->route_count; i++) {
        struct slice rest = slice_of(e->routes[i].path), part;
        while (slice_cut(&rest, '/', &part))
            if (part.len > 1 && (part.at[0] == ':' || part.at[0] == '*') &&
                slice_equal(slice_from(part, 1), slice_of(name)))
                return;
    }
    declare_note(d, "rate_limit", "\"param:%.*s%s\": the route has no such parameter", SLICE_SHOWN(slice_of(name), 60));
}

static void check_keys(struct declare *d, const struct ratelimit *r)
{
    for (size_t i = 0; i < r->count; i++) {
        if (r->rule[i].by.kind == KEY_PARAM)
            check_param(d, r->rule[i].by.name);
        if (r->rule[i].by.kind == KEY_AUTH && d->endpoint->verify == NULL && !d->verify_failed)
            declare_note(d, "rate_limit", "\"auth\": without a verifier nobody is known: give the endpoint one");
    }
}

/* The server's own limits. What they sort by and a script has not is read as "ip", for they fit all scripts. */
static void take_default(struct declare *d)
{
    struct error err;
    for (size_t i = 0; i < d->config->rate_limit_count; i++)
        if (ratelimit_add_text(d->endpoint->rate_limit, slice_of(d->config->rate_limit[i]), &err) != 0)
            PANIC("the setting rate_limit: %s", err.text);
}

void declare_rate_limit(struct declare *d, int table)
{
    struct endpoint *e = d->endpoint;
    struct error err;
    e->rate_limit = ratelimit_new();
    if (table == 0 || !declare_field(d, table, "rate_limit")) {
        take_default(d);
    } else {
        if (rate_rules_read(d->L, true, e->rate_limit, &err) != 0)
            declare_note(d, "rate_limit", "%s", err.text);
        else
            check_keys(d, e->rate_limit);
        lua_pop(d->L, 1);
    }
    ratelimit_finish(e->rate_limit, e->name);
    if (e->rate_limit->count == 0)
        ratelimit_free(&e->rate_limit);
}
