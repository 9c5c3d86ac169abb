/*
 * body_wanted.h: whether a body of HTTP/1 is worth waiting for, as its header alone tells. libh2o would buffer it as a
 * whole before anyone of ours hears of the request: whoever is refused for the place, the address, the method or the
 * announced length would first fill memory, and hear of it late. Asked by http1_guard.
 * Owns nothing. Runs in: the worker's thread. Never fails.
 */
#ifndef CRESCENT_SERVER_BODY_WANTED_H
#define CRESCENT_SERVER_BODY_WANTED_H

#include "base/slice.h"
#include <stdbool.h>
#include <stdint.h>

struct connection;
struct st_h2o_mem_pool_t;

#define BODY_UNKNOWN SIZE_MAX /* bytes, of which only the end will tell how many */

struct body_head {                     /* of a request: slices of what was read */
    struct slice method, target, host; /* host.at == NULL: there is none */
    size_t length;                     /* announced; BODY_UNKNOWN: chunked */
    int version;                       /* as in http_request */
};

/*
 * False: the steps before `verify` refuse this request whatever its body is. Small bodies are always wanted, because
 * their connection can go on; so are those of a trusted proxy that name a host, which may be another than it seems. Of
 * one whose length is not known, connection.body_most says from now on how much its endpoint takes. Memory of the pool
 * may be taken.
 */
bool body_wanted(struct connection *c, struct st_h2o_mem_pool_t *pool, const struct body_head *head);

#endif
