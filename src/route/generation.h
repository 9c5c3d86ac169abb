/*
 * generation.h: an immutable, counted set of endpoints and their router. Requests hold the one they began with.
 * Owns: a hold on each endpoint, the router. Runs in: the worker's thread.
 */
#ifndef CRESCENT_ROUTE_GENERATION_H
#define CRESCENT_ROUTE_GENERATION_H

#include "route/router.h"
#include <stdint.h>

struct generation {
    uint32_t magic;
    unsigned holds;
    uint64_t number;
    struct router *router;
    struct endpoint **endpoints; /* sorted by name */
    size_t endpoint_count;
};

struct generation *generation_new(uint64_t number);
/* Takes the caller's hold of e, also on failure. -1 with words: a clash (the endpoint is released). */
int generation_add(struct generation *g, struct endpoint *e, struct error *err);
/* By name, or NULL. Borrowed. */
struct endpoint *generation_find(const struct generation *g, const char *name);
struct generation *generation_hold(struct generation *g);
void generation_release(struct generation **g);

#endif
