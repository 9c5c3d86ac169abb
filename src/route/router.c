/*
 * router.c: the trie; see router.h. A node's static children are sorted by length and bytes and found by bisection; a
 * search looks at each node at most once and allocates nothing.
 * Owns: nodes, texts. Runs in: one thread. Fails: with words that name both files.
 */
#include "route/router.h"
#include "base/panic.h"
#include "route/pattern.h"
#include <stdint.h>
#include <stdlib.h>

/* Where a route ends: its endpoint, and its own names for the parameters on the way. */
struct leaf {
    struct endpoint *endpoint;
    char *pattern; /* names are slices of this copy */
    struct slice names[ROUTER_PARAMS_MAX];
    size_t name_count;
};

struct node {
    char *text; /* the static segment that leads here; NULL for root and parameter nodes */
    size_t len;
    struct node **children; /* static ones, sorted */
    size_t child_count, child_room;
    struct node *param;
    struct leaf *here, *rest;
};

struct host {
    char *name; /* NULL: any */
    size_t len;
    struct node root;
};

struct router {
    struct host **hosts; /* sorted by name; any host's is `any` */
    size_t host_count;
    struct host any;
};

struct router *router_new(void)
{
    return need_zero(1, sizeof(struct router));
}

static void leaf_free(struct leaf *l)
{
    if (l != NULL)
        free(l->pattern);
    free(l);
}

/* Depth is bounded by PATTERN_SEGMENTS_MAX. */
static void node_clear(struct node *n)
{
    for (size_t i = 0; i < n->child_count; i++) {
        node_clear(n->children[i]);
        free(n->children[i]);
    }
    free(n->children);
    if (n->param != NULL)
        node_clear(n->param);
    free(n->param);
    leaf_free(n->here);
    leaf_free(n->rest);
    free(n->text);
}

void router_free(struct router **r)
{
    struct router *was = *r;
    *r = NULL;
    if (was == NULL)
        return;
    for (size_t i = 0; i < was->host_count; i++) {
        node_clear(&was->hosts[i]->root);
        free(was->hosts[i]->name);
        free(was->hosts[i]);
    }
    free(was->hosts);
    node_clear(&was->any.root);
    free(was);
}

int router_check_pattern(const char *pattern, struct error *err)
{
    struct pattern p;
    return pattern_parse(pattern, &p, err);
}

static int compare(const char *a, size_t a_len, struct slice b)
{
    if (a_len != b.len)
        return a_len < b.len ? -1 : 1;
    return memcmp(a, b.at, b.len);
}

/* The child for the segment, or NULL; *at_out is where it is or belongs. */
static struct node *child_find(const struct node *n, struct slice segment, size_t *at_out)
{
    size_t low = 0, high = n->child_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = compare(n->children[middle]->text, n->children[middle]->len, segment);
        if (order == 0) {
            *at_out = middle;
            return n->children[middle];
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *at_out = low;
    return NULL;
}

static struct host *host_find(const struct router *r, struct slice name, size_t *at_out)
{
    size_t low = 0, high = r->host_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = compare(r->hosts[middle]->name, r->hosts[middle]->len, name);
        if (order == 0) {
            *at_out = middle;
            return r->hosts[middle];
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *at_out = low;
    return NULL;
}

/* --- adding --- */

/* The leaf that a pattern of this shape ends in, or NULL. */
static struct leaf *leaf_of(const struct node *n, const struct pattern *p)
{
    size_t at;
    for (size_t i = 0; n != NULL && i < p->count; i++) {
        if (p->segments[i].kind == PATTERN_REST)
            return n->rest;
        n = p->segments[i].kind == PATTERN_PARAM ? n->param : child_find(n, p->segments[i].text, &at);
    }
    return n != NULL ? n->here : NULL;
}

static struct node *child_make(struct node *n, struct slice segment)
{
    size_t at;
    struct node *child = child_find(n, segment, &at);
    if (child != NULL)
        return child;
    if (n->child_count == n->child_room) {
        n->child_room = n->child_room ? n->child_room * 2 : 4;
        n->children = need_realloc(n->children, n->child_room * sizeof *n->children);
    }
    memmove(n->children + at + 1, n->children + at, (n->child_count - at) * sizeof *n->children);
    child = need_zero(1, sizeof *child);
    child->text = slice_dup(segment);
    child->len = segment.len;
    n->children[at] = child;
    n->child_count++;
    return child;
}

static struct host *host_make(struct router *r, const char *name)
{
    if (name == NULL)
        return &r->any;
    size_t at;
    struct host *h = host_find(r, slice_of(name), &at);
    if (h != NULL)
        return h;
    r->hosts = need_realloc(r->hosts, (r->host_count + 1) * sizeof *r->hosts);
    memmove(r->hosts + at + 1, r->hosts + at, (r->host_count - at) * sizeof *r->hosts);
    h = need_zero(1, sizeof *h);
    h->name = need_strdup(name);
    h->len = strlen(name);
    r->hosts[at] = h;
    r->host_count++;
    return h;
}

static void insert(struct router *r, const struct endpoint_route *route, struct endpoint *e)
{
    struct pattern p;
    struct leaf *l = need_zero(1, sizeof *l);
    l->endpoint = e;
    l->pattern = need_strdup(route->path);
    CHECK(pattern_parse(l->pattern, &p, NULL) == 0);
    struct node *n = &host_make(r, route->host)->root;
    struct leaf **end = NULL;
    for (size_t i = 0; i < p.count; i++) {
        struct slice text = p.segments[i].text;
        if (p.segments[i].kind != PATTERN_STATIC)
            l->names[l->name_count++] = text;
        if (p.segments[i].kind == PATTERN_REST) {
            end = &n->rest;
        } else if (p.segments[i].kind == PATTERN_PARAM) {
            if (n->param == NULL)
                n->param = need_zero(1, sizeof *n->param);
            n = n->param;
        } else {
            n = child_make(n, text);
        }
    }
    if (end == NULL)
        end = &n->here;
    CHECK(*end == NULL);
    *end = l;
}

static bool same_host(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static int clash(const struct endpoint *e, const struct endpoint_route *route, const char *other, struct error *err)
{
    const char *on = route->host != NULL ? " on host " : "", *host = route->host != NULL ? route->host : "";
    if (other == NULL)
        return error_set(err, "%s: route %s%s%s is given twice", e->file, route->path, on, host);
    return error_set(err, "%s: route %s%s%s is also claimed by %s", e->file, route->path, on, host, other);
}

/* What stands against route i of e: a bad pattern, another endpoint, or an earlier route of its own. */
static int check_route(const struct router *r, const struct endpoint *e, size_t i, struct error *err)
{
    const struct endpoint_route *route = &e->routes[i];
    struct pattern p, earlier;
    size_t at;
    if (pattern_parse(route->path, &p, err) != 0)
        return error_prefix(err, "%s", e->file);
    const struct host *h = route->host == NULL ? &r->any : host_find(r, slice_of(route->host), &at);
    const struct leaf *there = h != NULL ? leaf_of(&h->root, &p) : NULL;
    if (there != NULL)
        return clash(e, route, there->endpoint->file, err);
    for (size_t k = 0; k < i; k++)
        if (same_host(e->routes[k].host, route->host) && pattern_parse(e->routes[k].path, &earlier, NULL) == 0 &&
            pattern_same_shape(&earlier, &p))
            return clash(e, route, NULL, err);
    return 0;
}

int router_add(struct router *r, struct endpoint *e, struct error *err)
{
    for (size_t i = 0; i < e->route_count; i++)
        if (check_route(r, e, i, err) != 0)
            return -1;
    for (size_t i = 0; i < e->route_count; i++)
        insert(r, &e->routes[i], e);
    return 0;
}

/* --- finding --- */

/*
 * Walks `path` (what follows the slash before the next segment; `more` says whether there is one) from n on. Values go
 * into the match as they are passed; those of a branch that led nowhere are overwritten by the next.
 */
static const struct leaf *walk(const struct node *n, struct slice path, bool more, size_t depth,
                               struct router_match *match)
{
    if (!more)
        return n->here;
    const char *slash = memchr(path.at, '/', path.len);
    struct slice segment = {path.at, slash != NULL ? (size_t)(slash - path.at) : path.len};
    struct slice after = slash != NULL ? slice_from(path, segment.len + 1) : SLICE_NONE;
    const struct leaf *found = NULL;
    size_t at;
    const struct node *child = n->child_count > 0 ? child_find(n, segment, &at) : NULL;
    if (child != NULL)
        found = walk(child, after, slash != NULL, depth, match);
    if (found == NULL && n->param != NULL && segment.len > 0) {
        CHECK(depth < ROUTER_PARAMS_MAX);
        match->values[depth] = segment;
        found = walk(n->param, after, slash != NULL, depth + 1, match);
    }
    if (found == NULL && n->rest != NULL && path.len > 0) {
        CHECK(depth < ROUTER_PARAMS_MAX);
        match->values[depth] = path;
        found = n->rest;
    }
    return found;
}

void router_find(const struct router *r, struct slice host, struct slice path, struct router_match *match_out)
{
    match_out->endpoint = NULL;
    match_out->param_count = 0;
    if (path.len == 0 || path.at[0] != '/')
        return;
    if (path.len > 1 && path.at[path.len - 1] == '/')
        path.len--;
    path = slice_from(path, 1);
    bool more = path.len > 0;
    const struct leaf *found = NULL;
    size_t at;
    const struct host *h = r->host_count > 0 ? host_find(r, host, &at) : NULL;
    if (h != NULL)
        found = walk(&h->root, path, more, 0, match_out);
    if (found == NULL)
        found = walk(&r->any.root, path, more, 0, match_out);
    if (found == NULL)
        return;
    match_out->endpoint = found->endpoint;
    match_out->param_count = found->name_count;
    for (size_t i = 0; i < found->name_count; i++)
        match_out->names[i] = found->names[i];
}
