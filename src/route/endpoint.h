/*
 * endpoint.h: all that one script declares, as immutable plain data. Functions of the script are Lua registry
 * references, opaque here. Counted: generations share the endpoint of a script that did not change. Owns: its strings,
 * its verifier's hold, and through `release` the script's Lua parts. Runs in: the state's thread.
 */
#ifndef CRESCENT_ROUTE_ENDPOINT_H
#define CRESCENT_ROUTE_ENDPOINT_H

#include "base/time.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cors;
struct ips;
struct ratelimit;
struct verifier;

enum on_disconnect { DISCONNECT_BY_METHOD, DISCONNECT_FINISH, DISCONNECT_CANCEL };

struct endpoint_route {
    char *host; /* lower case; NULL: any */
    char *path; // "/orders/:id", "/files/*path"
};

struct endpoint_handler {
    char *method; /* NULL: whatever method is allowed */
    int function; /* Lua registry reference; -2 (LUA_NOREF) in processes that only describe */
};

struct endpoint {
    uint32_t magic; /* ENDPOINT_MAGIC */
    unsigned holds;
    char *name;       /* "billing/stripe" */
    char *file;       /* "billing/stripe.lua", relative to the hooks folder */
    uint64_t version; /* of the script (load/snapshot.h) */
    char *broken;     /* not NULL: it never loaded; every request is a 503 */
    struct endpoint_route *routes;
    size_t route_count;
    struct endpoint_handler *handlers;
    size_t handler_count;
    char **methods; /* allowed; NULL: any */
    size_t method_count;
    bool options;            /* OPTIONS is listed by the script, so it answers that itself */
    struct verifier *verify; /* NULL: PUBLIC */
    struct ips *allow_ips;   /* NULL: everybody */
    char **allowed;          /* the same as written */
    size_t allowed_count;
    struct cors *cors; /* NULL: none */
    char **events;     /* NULL: all */
    size_t event_count;
    struct ratelimit *rate_limit; /* NULL: none */
    char *event_type;             /* "header:NAME" or pointer; NULL: none */
    size_t max_body;
    dur_t timeout, max_run;
    enum on_disconnect on_disconnect;
    char *description;                   /* the script's own words; NULL */
    char *allow;                         /* ready value of Allow; NULL when any method is allowed */
    int ack_status;                      /* for events not wanted */
    void *script;                        /* load/compile's part; released with the endpoint */
    void (*release)(struct endpoint *e); /* lets go of handlers and script; may be NULL */
};

#define ENDPOINT_MAGIC 0x6e64f017u

struct endpoint *endpoint_new(void); /* one hold, all defaults */
struct endpoint *endpoint_hold(struct endpoint *e);
void endpoint_release(struct endpoint **e); /* leaves NULL; NULL is fine */
/* The handler for the method (HEAD falls to GET's), or NULL: then 405. Handles `methods` and per-method handle. */
const struct endpoint_handler *endpoint_handler_for(const struct endpoint *e, const char *method, size_t len);
/* "/orders/:id" of a file "orders/[id].lua"; malloc'ed. NULL with no route (names beginning with _ or .), or words in
 * *why_out (static) when the name cannot be one. */
char *endpoint_route_of_file(const char *file, const char **why_out);

#endif
