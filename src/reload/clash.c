/*
 * clash.c: see clash.h. A router is built of all descriptions: first what is live already, then the newcomers in byte
 * order. A newcomer that clashes goes back to its last good load, whose routes should have been there first: where one
 * of them has been given away by then, the router is built again. Each pass sends one back at least, and what was live
 * together has no clash.
 */
#include "reload/clash.h"
#include "reload/round.h"
#include "route/router.h"

/* -1: it clashed, and a route of its last good load is another newcomer's already. */
static int add_newcomer(struct reload *r, struct router *routes, struct catalog_script *s)
{
    struct error err;
    if (router_add(routes, s->next->routes, &err) == 0)
        return 0;
    struct catalog_text *text = catalog_text_hold(s->next->text);
    catalog_loaded_set(&s->next, s->live);
    round_broken(r, s, text, err.text);
    catalog_text_release(&text);
    s->clash = true;
    return s->next != NULL ? router_add(routes, s->next->routes, &err) : 0;
}

static int settle_once(struct reload *r)
{
    struct catalog *c = &r->catalog;
    struct router *routes = router_new();
    int result = 0;
    for (size_t i = 0; i < c->script_count; i++) {
        struct catalog_script *s = c->scripts[i];
        struct error err;
        if (s->next != NULL && s->next == s->live && router_add(routes, s->next->routes, &err) != 0)
            round_demote(r, s, err.text);
    }
    for (size_t i = 0; i < c->script_count && result == 0; i++) {
        struct catalog_script *s = c->scripts[i];
        if (s->next != NULL && s->next != s->live)
            result = add_newcomer(r, routes, s);
    }
    router_free(&routes);
    return result;
}

void clash_settle(struct reload *r)
{
    while (settle_once(r) != 0)
        continue;
}
