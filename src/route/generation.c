/*
 * generation.c: builds, finds in, counts and retires a generation; see generation.h.
 * Owns: a hold on each endpoint, the router. Runs in: the worker's thread. Fails: a clash, in words.
 */
#include "route/generation.h"
#include "base/panic.h"
#include <stdlib.h>

#define GENERATION_MAGIC 0x6e3a7101u

struct generation *generation_new(uint64_t number)
{
    struct generation *g = need_zero(1, sizeof *g);
    g->magic = GENERATION_MAGIC;
    g->holds = 1;
    g->number = number;
    g->router = router_new();
    return g;
}

/* Where the name is or belongs. */
static size_t position(const struct generation *g, const char *name, bool *there_out)
{
    size_t low = 0, high = g->endpoint_count;
    *there_out = false;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(g->endpoints[middle]->name, name);
        if (order == 0) {
            *there_out = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int generation_add(struct generation *g, struct endpoint *e, struct error *err)
{
    CHECK(g->magic == GENERATION_MAGIC);
    bool there;
    size_t at = position(g, e->name, &there);
    if (there) {
        error_set(err, "%s: the name %s is also that of %s", e->file, e->name, g->endpoints[at]->file);
        endpoint_release(&e);
        return -1;
    }
    if (router_add(g->router, e, err) != 0) {
        endpoint_release(&e);
        return -1;
    }
    /* Grown at powers of two: the count tells when the room is used up. */
    if ((g->endpoint_count & (g->endpoint_count - 1)) == 0)
        g->endpoints =
            need_realloc(g->endpoints, (g->endpoint_count ? g->endpoint_count * 2 : 1) * sizeof *g->endpoints);
    memmove(g->endpoints + at + 1, g->endpoints + at, (g->endpoint_count - at) * sizeof *g->endpoints);
    g->endpoints[at] = e;
    g->endpoint_count++;
    return 0;
}

struct endpoint *generation_find(const struct generation *g, const char *name)
{
    bool there;
    size_t at = position(g, name, &there);
    return there ? g->endpoints[at] : NULL;
}

struct generation *generation_hold(struct generation *g)
{
    CHECK(g->magic == GENERATION_MAGIC && g->holds > 0);
    g->holds++;
    return g;
}

void generation_release(struct generation **g)
{
    struct generation *was = *g;
    *g = NULL;
    if (was == NULL)
        return;
    CHECK(was->magic == GENERATION_MAGIC && was->holds > 0);
    if (--was->holds > 0)
        return;
    router_free(&was->router);
    for (size_t i = 0; i < was->endpoint_count; i++)
        endpoint_release(&was->endpoints[i]);
    free(was->endpoints);
    was->magic = 0;
    free(was);
}
