/*
 * config_rate.c: see config_rate.h.
 */
#include "cli/config_rate.h"
#include "load/rate_rules.h"

/* Takes the limits over, in place of what a weaker source gave, as texts: so they reach every process. */
static void keep(const struct ratelimit *r, struct config *c)
{
    config_forget_rate_limit(c);
    for (size_t i = 0; i < r->count; i++)
        config_add_rate_limit(c, slice_of(r->rule[i].text));
}

int config_rate_value(lua_State *L, struct config *c, struct error *err)
{
    struct ratelimit *r = ratelimit_new();
    int done = rate_rules_read(L, false, r, err);
    if (done == 0)
        keep(r, c);
    ratelimit_free(&r);
    return done;
}

int config_rate_text(struct slice text, struct config *c, struct error *err)
{
    struct ratelimit *r = ratelimit_new();
    struct slice one;
    int done = 0;
    if (!slice_equal(text, SLICE("none")))
        while (done == 0 && slice_cut(&text, ',', &one))
            done = ratelimit_add_text(r, slice_trim(one), err);
    if (done == 0)
        keep(r, c);
    ratelimit_free(&r);
    return done;
}
