/*
 * endpoint.c: birth, counting and end of an endpoint; its handler for a method; a file's own route.
 * Owns: see endpoint.h. Runs in: the state's thread (route_of_file: any). Fails: never, but for a name that cannot be a
 * route, which is words.
 */
#include "route/endpoint.h"
#include "base/buf.h"
#include "base/panic.h"
#include "policy/cors.h"
#include "policy/ips.h"
#include "policy/ratelimit.h"
#include "policy/verify.h"
#include "route/pattern.h"
#include <ctype.h>
#include <stdlib.h>

#define DEFAULT_MAX_BODY ((size_t)1 << 20)
#define DEFAULT_ACK_STATUS 204

struct endpoint *endpoint_new(void)
{
    struct endpoint *e = need_zero(1, sizeof *e);
    e->magic = ENDPOINT_MAGIC;
    e->holds = 1;
    e->max_body = DEFAULT_MAX_BODY;
    e->timeout = DUR_S(10);
    e->max_run = DUR_MS(250);
    e->ack_status = DEFAULT_ACK_STATUS;
    return e;
}

struct endpoint *endpoint_hold(struct endpoint *e)
{
    CHECK(e->magic == ENDPOINT_MAGIC && e->holds > 0);
    e->holds++;
    return e;
}

static void free_texts(char **texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(texts[i]);
    free(texts);
}

static void endpoint_free(struct endpoint *e)
{
    if (e->release != NULL)
        e->release(e);
    verify_release(&e->verify);
    cors_free(&e->cors);
    ratelimit_free(&e->rate_limit);
    for (size_t i = 0; i < e->route_count; i++) {
        free(e->routes[i].host);
        free(e->routes[i].path);
    }
    free(e->routes);
    for (size_t i = 0; i < e->handler_count; i++)
        free(e->handlers[i].method);
    free(e->handlers);
    free_texts(e->methods, e->method_count);
    free_texts(e->events, e->event_count);
    ips_free(&e->allow_ips);
    free_texts(e->allowed, e->allowed_count);
    free(e->name);
    free(e->file);
    free(e->broken);
    free(e->event_type);
    free(e->description);
    free(e->allow);
    e->magic = 0;
    free(e);
}

void endpoint_release(struct endpoint **e)
{
    struct endpoint *was = *e;
    *e = NULL;
    if (was == NULL)
        return;
    CHECK(was->magic == ENDPOINT_MAGIC && was->holds > 0);
    if (--was->holds == 0)
        endpoint_free(was);
}

static bool is_text(const char *text, const char *bytes, size_t len)
{
    return text != NULL && strlen(text) == len && memcmp(text, bytes, len) == 0;
}

static bool method_listed(const struct endpoint *e, const char *method, size_t len)
{
    for (size_t i = 0; i < e->method_count; i++)
        if (is_text(e->methods[i], method, len))
            return true;
    return false;
}

static const struct endpoint_handler *handler_of(const struct endpoint *e, const char *method, size_t len)
{
    for (size_t i = 0; i < e->handler_count; i++)
        if (e->handlers[i].method == NULL || is_text(e->handlers[i].method, method, len))
            return &e->handlers[i];
    return NULL;
}

const struct endpoint_handler *endpoint_handler_for(const struct endpoint *e, const char *method, size_t len)
{
    bool head = len == 4 && memcmp(method, "HEAD", 4) == 0;
    if (e->methods == NULL || method_listed(e, method, len)) {
        const struct endpoint_handler *handler = handler_of(e, method, len);
        if (handler != NULL)
            return handler;
    }
    if (head && (e->methods == NULL || method_listed(e, "GET", 3)))
        return handler_of(e, "GET", 3);
    return NULL;
}

/* One folder's or file's name → one segment of the route. */
static const char *segment_of_name(struct slice name, bool last, struct buf *route)
{
    buf_add_char(route, '/');
    if (name.at[0] == '[') {
        bool rest = slice_starts(name, SLICE("[..."));
        if (name.at[name.len - 1] != ']')
            return "a name that begins with '[' must end with ']'";
        if (rest && !last)
            return "a catch-all [...name] must be the last part of the path";
        struct slice inner = slice_from(name, rest ? 4 : 1);
        inner.len--;
        if (!pattern_name_ok(inner))
            return "the name in [ ] must be letters, digits and '_', not beginning with a digit";
        buf_add_char(route, rest ? '*' : ':');
        buf_add_slice(route, inner);
        return NULL;
    }
    if (name.at[0] == ':' || name.at[0] == '*')
        return "a file's name cannot begin with ':' or '*': write [name] or [...name]";
    if (slice_find(name, '[') != SIZE_MAX || slice_find(name, ']') != SIZE_MAX)
        return "[ ] must enclose the whole name";
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.at[i] < 0x20 || name.at[i] == 0x7f)
            return "a control character in the file's name";
    buf_add_slice(route, name);
    return NULL;
}

char *endpoint_route_of_file(const char *file, const char **why_out)
{
    *why_out = NULL;
    struct slice rest = slice_of(file), part;
    if (!slice_ends(rest, SLICE(".lua")) || rest.len == 4) {
        *why_out = "not a .lua file";
        return NULL;
    }
    rest.len -= 4;
    struct buf route = {0};
    while (*why_out == NULL && slice_cut(&rest, '/', &part)) {
        if (part.len == 0) {
            *why_out = "an empty part in the file's path";
        } else if (part.at[0] == '_' || part.at[0] == '.') {
            buf_free(&route);
            return NULL;
        } else if (rest.at != NULL || !slice_equal(part, SLICE("index"))) {
            *why_out = segment_of_name(part, rest.at == NULL, &route);
        }
    }
    if (*why_out != NULL) {
        buf_free(&route);
        return NULL;
    }
    if (route.len == 0)
        buf_add_char(&route, '/');
    return buf_take(&route);
}
