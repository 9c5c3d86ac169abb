/*
 * http2_head.c: see http2_head.h. A request's memory is a pool, which is freed as a whole: what stays is moved to
 * another one. Fields that came by reference lie in the connection's table, and count as if they were the request's
 * own.
 */
#include "server/http2_head.h"
#include "base/panic.h"
#include "server/body_refusal.h"
#include "server/server_internal.h"
#include <h2o.h>

#define FIRST_PIECE ((size_t)4096) /* of a request's memory: who waits for nothing has it free */
#define TARGET_SHOWN 200           /* bytes of a path that is too long, for the log */
#define OF_A_FIELD 64              /* beside its name and value, about */

struct charged { /* in the request's pool */
    struct body_memory *memory;
    struct body_charge charge;
    size_t bytes;
};

/* File-scope because each worker needs one only, whose limits never change: a field that is larger than they allow. */
static struct {
    h2o_iovec_t text; /* one byte more than limits.headers */
    h2o_iovec_t name;
    h2o_iovec_t target; /* the name in its place where the target was too long: known by its address */
} stand_in;

static void fill_stand_in(const struct config_limits *limits)
{
    size_t len = limits->headers + 1;
    char *text = need_alloc(len);
    memset(text, 'x', len);
    stand_in.text = h2o_iovec_init(text, len);
    stand_in.name = stand_in.target = h2o_iovec_init(text, 1);
}

/* Names and values of its fields, as limits.headers has them. */
static size_t field_bytes(const h2o_req_t *req)
{
    size_t sum = 0;
    for (size_t i = 0; i < req->headers.size; i++)
        sum += req->headers.entries[i].name->len + req->headers.entries[i].value.len;
    return sum;
}

static h2o_iovec_t move(h2o_mem_pool_t *pool, h2o_iovec_t text)
{
    return text.base != NULL ? h2o_strdup(pool, text.base, text.len) : text;
}

/* The path's begin, without the query; one that is cut ends in "...", as its readers have it, and in no half of %2F. */
static h2o_iovec_t begin_of(h2o_mem_pool_t *pool, h2o_iovec_t target)
{
    const char *query = memchr(target.base, '?', target.len);
    size_t len = query != NULL ? (size_t)(query - target.base) : target.len;
    bool whole = len <= TARGET_SHOWN;
    len = whole ? len : TARGET_SHOWN;
    for (size_t back = 1; !whole && back <= 2; back++)
        if (target.base[len - back] == '%')
            len -= back;
    return h2o_concat(pool, h2o_iovec_init(target.base, len), whole ? h2o_iovec_init("", 0) : h2o_iovec_init("...", 3));
}

/* As limits.uri has it, and steps_limits: without the mark between path and query. */
static bool is_too_long(h2o_iovec_t target, const struct config_limits *limits)
{
    return target.len > limits->uri && target.len - (memchr(target.base, '?', target.len) != NULL) > limits->uri;
}

/* No field of it stays, and of a target that is too long no more than is told of it. */
static void let_go(h2o_req_t *req, const struct config_limits *limits)
{
    h2o_mem_pool_t old = req->pool;
    if (stand_in.text.base == NULL)
        fill_stand_in(limits);
    h2o_mem_init_pool(&req->pool);
    req->input.method = move(&req->pool, req->input.method);
    req->input.authority = move(&req->pool, req->input.authority);
    bool target = is_too_long(req->input.path, limits);
    req->input.path = target ? begin_of(&req->pool, req->input.path) : move(&req->pool, req->input.path);
    h2o_header_t *field = h2o_mem_alloc_pool(&req->pool, sizeof(*field));
    *field = (h2o_header_t){.name = target ? &stand_in.target : &stand_in.name, .value = stand_in.text};
    req->headers = (h2o_headers_t){.entries = field, .size = 1, .capacity = 1};
    h2o_mem_clear_pool(&old);
}

static void discharge(void *data)
{
    struct charged *it = data;
    body_memory_discharge(it->memory, &it->charge, 0);
    body_memory_give(it->memory, it->bytes);
}

static enum reason charge(struct connection *c, h2o_req_t *req, size_t bytes)
{
    struct body_memory *memory = &CONTAINER_OF(c->owner, struct server, connections)->body_memory;
    struct charged it = {.memory = memory, .charge = {.peer = c->peer}, .bytes = bytes};
    if (!body_memory_charge(memory, &it.charge, bytes, 0))
        return REASON_body_memory_per_ip;
    if (!body_memory_take(memory, bytes, bytes)) {
        body_memory_discharge(memory, &it.charge, 0);
        return REASON_body_memory;
    }
    *(struct charged *)h2o_mem_alloc_shared(&req->pool, sizeof(it), discharge) = it;
    return REASON_none;
}

enum reason http2_head_keep(struct connection *c, struct st_h2o_req_t *req, bool awaits)
{
    const struct config_limits *limits = c->owner->limits;
    size_t bytes = field_bytes(req), fields = req->headers.size;
    if (bytes > limits->headers || fields > limits->fields || is_too_long(req->input.path, limits)) {
        let_go(req, limits);
        bytes = fields = 0;
    }
    bytes += fields * OF_A_FIELD + req->input.method.len + req->input.authority.len + req->input.path.len;
    bytes += awaits ? FIRST_PIECE : 0;
    if (bytes < FIRST_PIECE)
        return REASON_none;
    enum reason why = charge(c, req, bytes);
    if (why != REASON_none)
        body_refusal_count(CONTAINER_OF(c->owner, struct server, connections), why);
    return why;
}

static bool stands_in(const h2o_iovec_t *name, const h2o_req_t *req)
{
    return req->headers.size > 0 && req->headers.entries[0].name == name;
}

bool http2_head_is_target(const struct st_h2o_req_t *req)
{
    return stands_in(&stand_in.target, req);
}

bool http2_head_is_gone(const struct st_h2o_req_t *req)
{
    return stands_in(&stand_in.target, req) || stands_in(&stand_in.name, req);
}
