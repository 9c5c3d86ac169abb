/*
 * describe.c: endpoint → its description as JSON, and back; see load.h, description.h. The description is all that the
 * keeper and the command line know of a script, since they never run it.
 * Owns: nothing. Runs in: trial, check, routes (writing); keeper too (reading). Fails: reading, with words.
 */
#include "base/panic.h"
#include "codec/json.h"
#include "load/description.h"
#include "load/load.h"
#include "policy/cors.h"
#include "policy/ratelimit.h"
#include "policy/verify.h"
#include <stdlib.h>

/* --- writing --- */

static void write_texts(struct json_writer *w, const char *name, char **texts, size_t count)
{
    json_write_name(w, slice_of(name));
    if (texts == NULL) {
        json_write_null(w);
        return;
    }
    json_write_array(w);
    for (size_t i = 0; i < count; i++)
        json_write_text(w, slice_of(texts[i]));
    json_write_end(w, ']');
}

static void write_text(struct json_writer *w, const char *name, const char *text)
{
    json_write_name(w, slice_of(name));
    if (text != NULL)
        json_write_text(w, slice_of(text));
    else
        json_write_null(w);
}

/* routes: each path; hosts: the host each is limited to, or null, in the same order. */
static void write_routes(struct json_writer *w, const struct endpoint *e)
{
    json_write_name(w, SLICE("routes"));
    json_write_array(w);
    for (size_t i = 0; i < e->route_count; i++)
        json_write_text(w, slice_of(e->routes[i].path));
    json_write_end(w, ']');
    json_write_name(w, SLICE("hosts"));
    json_write_array(w);
    for (size_t i = 0; i < e->route_count; i++) {
        if (e->routes[i].host != NULL)
            json_write_text(w, slice_of(e->routes[i].host));
        else
            json_write_null(w);
    }
    json_write_end(w, ']');
}

static void write_cors_headers(struct json_writer *w, const struct cors *c)
{
    struct slice rest = slice_of(c->headers), name;
    json_write_name(w, SLICE("headers"));
    if (c->headers == NULL) {
        json_write_null(w);
        return;
    }
    json_write_array(w);
    while (slice_cut(&rest, ',', &name))
        json_write_text(w, slice_trim(name));
    json_write_end(w, ']');
}

static void write_cors(struct json_writer *w, const struct cors *c)
{
    json_write_name(w, SLICE("cors"));
    if (c == NULL) {
        json_write_null(w);
        return;
    }
    json_write_object(w);
    json_write_name(w, SLICE("origins"));
    json_write_array(w);
    for (size_t i = 0; i < c->count; i++)
        json_write_text(w, slice_of(c->entries[i].text));
    json_write_end(w, ']');
    write_cors_headers(w, c);
    json_write_name(w, SLICE("credentials"));
    json_write_bool(w, c->credentials);
    json_write_name(w, SLICE("max_age"));
    if (c->max_age_s >= 0)
        json_write_uint(w, (unsigned long long)c->max_age_s);
    else
        json_write_null(w);
    json_write_end(w, '}');
}

/* Each as its text; null: none. */
static void write_rate_limit(struct json_writer *w, const struct ratelimit *r)
{
    json_write_name(w, SLICE("rate_limit"));
    if (r == NULL) {
        json_write_null(w);
        return;
    }
    json_write_array(w);
    for (size_t i = 0; i < r->count; i++)
        json_write_text(w, slice_of(r->rule[i].text));
    json_write_end(w, ']');
}

void load_describe(const struct endpoint *e, struct buf *out)
{
    struct json_writer w;
    json_write_begin(&w, out);
    json_write_object(&w);
    write_text(&w, "name", e->name);
    write_text(&w, "file", e->file);
    write_routes(&w, e);
    write_texts(&w, "methods", e->methods, e->method_count);
    write_texts(&w, "allow_ips", e->allowed, e->allowed_count);
    write_text(&w, "verify", e->verify != NULL ? verify_describe(e->verify) : NULL);
    json_write_name(&w, SLICE("public"));
    json_write_bool(&w, e->verify == NULL);
    write_texts(&w, "events", e->events, e->event_count);
    write_cors(&w, e->cors);
    write_rate_limit(&w, e->rate_limit);
    json_write_name(&w, SLICE("max_body"));
    json_write_uint(&w, e->max_body);
    json_write_name(&w, SLICE("timeout"));
    json_write_double(&w, (double)e->timeout.ns / 1e9);
    json_write_name(&w, SLICE("max_run"));
    json_write_double(&w, (double)e->max_run.ns / 1e9);
    write_text(&w, "description", e->description);
    json_write_end(&w, '}');
}

/* --- reading --- */

struct reading {
    const struct json_reader *json;
    struct json_walk walk;
};

static bool walk_to(struct reading *r, const char *pointer, struct json_token *first_out)
{
    *first_out = (struct json_token){.kind = JSON_DONE};
    if (!json_walk_at(r->json, slice_of(pointer), &r->walk))
        return false;
    json_next(&r->walk, first_out);
    return true;
}

/* The text there; *bad on anything but a text or null, and where a text is needed. */
static char *read_text(struct reading *r, const char *pointer, bool needed, bool *bad)
{
    struct json_token t;
    if (walk_to(r, pointer, &t) && t.kind == JSON_STRING && slice_find(t.text, '\0') == SIZE_MAX)
        return slice_dup(t.text);
    if (needed || t.kind != JSON_NULL)
        *bad = true;
    return NULL;
}

/* A list of texts, or NULL where null stands; an element may be null where `holes`. */
static char **read_texts(struct reading *r, const char *pointer, bool holes, size_t *count_out, bool *bad)
{
    struct json_token t;
    char **texts = NULL;
    *count_out = 0;
    if (!walk_to(r, pointer, &t) || t.kind != JSON_ARRAY) {
        *bad = *bad || t.kind != JSON_NULL;
        return NULL;
    }
    texts = need_zero(1, sizeof *texts);
    for (json_next(&r->walk, &t); t.kind == JSON_STRING || (holes && t.kind == JSON_NULL); json_next(&r->walk, &t)) {
        texts = need_realloc(texts, (*count_out + 1) * sizeof *texts);
        texts[(*count_out)++] = t.kind == JSON_STRING ? slice_dup(t.text) : NULL;
    }
    *bad = *bad || t.kind != JSON_END;
    return texts;
}

static void read_routes(struct reading *r, struct endpoint *e, bool *bad)
{
    size_t paths = 0, hosts = 0;
    char **path = read_texts(r, "/routes", false, &paths, bad), **host = read_texts(r, "/hosts", true, &hosts, bad);
    if (paths != hosts)
        *bad = true;
    e->routes = need_zero(paths + 1, sizeof *e->routes);
    for (size_t i = 0; i < paths; i++)
        e->routes[e->route_count++] = (struct endpoint_route){i < hosts ? host[i] : NULL, path[i]};
    for (size_t i = paths; i < hosts; i++)
        free(host[i]);
    free(path);
    free(host);
}

static void read_cors_list(struct reading *r, const char *pointer, struct cors *c,
                           int (*add)(struct cors *, struct slice, struct error *), bool *bad)
{
    size_t count = 0;
    struct error err;
    char **texts = read_texts(r, pointer, false, &count, bad);
    for (size_t i = 0; i < count; i++) {
        if (add(c, slice_of(texts[i]), &err) != 0)
            *bad = true;
        free(texts[i]);
    }
    free(texts);
}

static struct cors *read_cors(struct reading *r, bool *bad)
{
    struct json_token t;
    if (!walk_to(r, "/cors", &t) || t.kind != JSON_OBJECT) {
        *bad = *bad || t.kind != JSON_NULL;
        return NULL;
    }
    struct cors *c = cors_new();
    read_cors_list(r, "/cors/origins", c, cors_add_origin, bad);
    read_cors_list(r, "/cors/headers", c, cors_add_header, bad);
    c->credentials = walk_to(r, "/cors/credentials", &t) && t.kind == JSON_TRUE;
    if (walk_to(r, "/cors/max_age", &t) && t.kind == JSON_INT && t.i >= 0)
        c->max_age_s = t.i;
    return c;
}

static dur_t read_seconds(struct reading *r, const char *pointer, bool *bad)
{
    struct json_token t;
    if (walk_to(r, pointer, &t) && (t.kind == JSON_INT || t.kind == JSON_DOUBLE))
        return (dur_t){(int64_t)((t.kind == JSON_INT ? (double)t.i : t.d) * 1e9 + 0.5)};
    *bad = true;
    return (dur_t){0};
}

static void read_numbers(struct reading *r, struct endpoint *e, bool *bad)
{
    struct json_token t;
    if (walk_to(r, "/max_body", &t) && t.kind == JSON_INT && t.i >= 0)
        e->max_body = (size_t)t.i;
    else
        *bad = true;
    e->timeout = read_seconds(r, "/timeout", bad);
    e->max_run = read_seconds(r, "/max_run", bad);
}

int description_read(struct slice json, struct description *d_out, struct error *err)
{
    struct json_reader *reader = json_reader_new();
    struct json_fault fault;
    bool bad = json_parse(reader, json, &fault) != 0;
    struct endpoint *e = endpoint_new();
    *d_out = (struct description){.endpoint = e};
    if (!bad) {
        struct reading r = {.json = reader};
        e->name = read_text(&r, "/name", true, &bad);
        e->file = read_text(&r, "/file", true, &bad);
        read_routes(&r, e, &bad);
        e->methods = read_texts(&r, "/methods", false, &e->method_count, &bad);
        if (walk_to(&r, "/allow_ips", &(struct json_token){.kind = JSON_DONE})) /* versions before did not have it */
            e->allowed = read_texts(&r, "/allow_ips", false, &e->allowed_count, &bad);
        d_out->verify = read_text(&r, "/verify", false, &bad);
        e->events = read_texts(&r, "/events", false, &e->event_count, &bad);
        if (walk_to(&r, "/cors", &(struct json_token){.kind = JSON_DONE})) /* the same */
            e->cors = read_cors(&r, &bad);
        if (walk_to(&r, "/rate_limit", &(struct json_token){.kind = JSON_DONE})) /* the same */
            d_out->rate_limit = read_texts(&r, "/rate_limit", false, &d_out->rate_limit_count, &bad);
        e->description = read_text(&r, "/description", false, &bad);
        read_numbers(&r, e, &bad);
    }
    json_reader_free(&reader);
    if (!bad)
        return 0;
    description_free(d_out);
    return error_set(err, "malformed description of an endpoint");
}

void description_free(struct description *d)
{
    endpoint_release(&d->endpoint);
    free(d->verify);
    for (size_t i = 0; i < d->rate_limit_count; i++)
        free(d->rate_limit[i]);
    free(d->rate_limit);
    *d = (struct description){0};
}

struct endpoint *load_from_description(struct slice json, struct error *err)
{
    struct description d;
    if (description_read(json, &d, err) != 0)
        return NULL;
    struct endpoint *e = endpoint_hold(d.endpoint);
    description_free(&d);
    return e;
}

struct endpoint *load_broken(const struct snapshot_script *script)
{
    struct endpoint *e = endpoint_new();
    const char *why;
    e->name = slice_dup(script->name);
    e->file = slice_dup(script->file);
    e->version = script->version;
    e->broken = script->error.at != NULL ? slice_dup(script->error) : need_strdup("it never loaded");
    char *path = endpoint_route_of_file(e->file, &why);
    if (path != NULL) {
        e->routes = need_zero(1, sizeof *e->routes);
        e->routes[e->route_count++] = (struct endpoint_route){NULL, path};
    }
    return e;
}
