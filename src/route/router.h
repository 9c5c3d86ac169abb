/*
 * router.h: segment trie per host: static beats parameter beats catch-all, with backtracking; finds the endpoint of a
 * path. Owns: its nodes; holds no endpoint (the generation does). Immutable once built. Runs in: any process, one
 * thread. Fails: a pattern that cannot be, or a clash, is words that name both files.
 */
#ifndef CRESCENT_ROUTE_ROUTER_H
#define CRESCENT_ROUTE_ROUTER_H

#include "base/error.h"
#include "base/slice.h"
#include "route/endpoint.h"

#define ROUTER_PARAMS_MAX 16

struct router;

struct router_match {
    struct endpoint *endpoint;                                        /* NULL: no route */
    struct slice names[ROUTER_PARAMS_MAX], values[ROUTER_PARAMS_MAX]; /* values: slices of the path */
    size_t param_count;
};

struct router *router_new(void);
void router_free(struct router **r);
/* Adds all routes of the endpoint, or none: -1 with words on a bad pattern, or a clash ("... also claimed by b.lua").
 */
int router_add(struct router *r, struct endpoint *e, struct error *err);
/* path: http_request.path. host: lower case. An exact host beats any host. */
void router_find(const struct router *r, struct slice host, struct slice path, struct router_match *match_out);
/* 0, or what is wrong with a pattern. */
int router_check_pattern(const char *pattern, struct error *err);

#endif
