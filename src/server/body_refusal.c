/*
 * body_refusal.c: see body_refusal.h. libh2o's reader of the socket is taken off for good: it hears of the connection's
 * end only, never of bytes, because some are missing. libh2o's own request of HTTP/1 is then dispatched with what it
 * has, its header, and the pipeline refuses it in its order (see steps_size).
 */
#include "server/body_refusal.h"
#include "base/log.h"
#include "base/panic.h"
#include "server/linger.h"
#include "server/server_internal.h"
#include <malloc.h>
#include <sys/socket.h>

#define LOOK DUR_MS(50) /* how often refused ones are looked at */
#define BATCH 256       /* answered at one look */
#define BEGIN 16384     /* bytes of it that are kept: most headers are shorter */
#define LAPS 64         /* of a room of 8 KiB, before others have a turn */

static void look(struct timeout *t);

static void look_soon(struct server *s)
{
    if (!timeout_is_set(&s->refusing))
        timeout_set(s->host.loop, &s->refusing, mono_add(loop_now(s->host.loop), LOOK), look);
}

void body_refusal_count(struct server *s, enum reason why)
{
    if (why == REASON_body_memory) {
        counters_add(s->counters, COUNTER_cut_body_memory, 1);
        s->refused_bodies.by_memory++;
    } else if (why == REASON_body_memory_per_ip) {
        counters_add(s->counters, COUNTER_cut_body_memory_per_ip, 1);
        s->refused_bodies.by_share++;
    }
    look_soon(s);
}

/* --- throwing away ---------------------------------------------------------------------------------------------- */

static void thrown_away(h2o_socket_t *sock, const char *err)
{
    struct connection *c = connections_of(sock);
    CHECK(c != NULL && c->refusal.why != REASON_none);
    if (err != NULL && err != h2o_socket_error_out_of_memory) { /* the latter is our own NULL: let others have a turn */
        if (c->refusal.answered)
            h2o_socket_read_stop(sock); /* libh2o closes it when the answer is written, or cannot be */
        else
            c->refusal.library(sock, err);
        return;
    }
    h2o_buffer_consume(&sock->input, sock->input->size);
}

/* What was read may begin with a header that libh2o has not seen yet. */
static void keep_begin(struct refusal *r, const h2o_buffer_t *input)
{
    size_t len = input->size < BEGIN ? input->size : BEGIN;
    h2o_buffer_init(&r->begin, &h2o_socket_buffer_prototype);
    memcpy(h2o_buffer_reserve(&r->begin, len).base, input->bytes, len);
    r->begin->size = len;
}

static void drop_begin(struct refusal *r)
{
    if (r->begin != NULL)
        h2o_buffer_dispose(&r->begin);
}

h2o_iovec_t body_refusal_begin(struct connection *c, enum reason why)
{
    struct server *s = CONTAINER_OF(c->owner, struct server, connections);
    c->refusal.why = why;
    c->refusal.library = c->sock->_cb.read;
    c->sock->_cb.read = thrown_away;
    list_add(&s->refusals, &c->refusal.link);
    body_refusal_count(s, why);
    keep_begin(&c->refusal, c->sock->input);
    h2o_buffer_dispose(&c->sock->input);
    h2o_buffer_init(&c->sock->input, &h2o_socket_buffer_prototype);
    return h2o_buffer_reserve(&c->sock->input, 1);
}

h2o_iovec_t body_refusal_room(struct connection *c, h2o_buffer_t *input)
{
    input->size = 0;
    input->bytes = input->_buf;
    /* Over TLS that is seen to before it is decoded; what were left undecoded would leave the reader without room. */
    if (++c->refusal.laps % LAPS == 0 && c->sock->ssl == NULL)
        return h2o_iovec_init(NULL, 0);
    return h2o_iovec_init(input->_buf, input->capacity);
}

void body_refusal_closed(struct connection *c)
{
    list_remove(&c->refusal.link);
    drop_begin(&c->refusal);
}

/* --- answering -------------------------------------------------------------------------------------------------- */

struct batch {
    h2o_req_t *req[BATCH];
    size_t count;
};

/* The requests of refused HTTP/1 connections, out of all that libh2o shows. */
static bool is_refused(const struct batch *b, const struct connection *c)
{
    return c != NULL && c->refusal.why != REASON_none && !c->refusal.answered && b->count < BATCH;
}

/* Those of whose header libh2o has seen nothing: more had come at once than there was room for. */
static int collect_unseen(h2o_req_t *req, void *cookie)
{
    struct batch *b = cookie;
    struct connection *c = connections_of_request(req);
    if (is_refused(b, c) && c->refusal.begin != NULL && req->version == 0 &&
        req->timestamps.request_begin_at.tv_sec == 0)
        b->req[b->count++] = req;
    return 0;
}

/*
 * Those whose body was being read. An interim answer (100) may be on its way still: then there cannot be another one.
 * What was dispatched out of what had been kept is answered in its own time, and the connection closes.
 */
static int collect_bodies(h2o_req_t *req, void *cookie)
{
    struct batch *b = cookie;
    struct connection *c = connections_of_request(req);
    if (!is_refused(b, c) || req->version == 0 || c->sock->_cb.write != NULL)
        return 0;
    c->refusal.answered = true;
    list_remove(&c->refusal.link);
    if (req->pathconf == NULL)
        b->req[b->count++] = req;
    return 0;
}

/*
 * Lets libh2o read what was kept, and no more than that: the bytes behind it are gone. It may find that this is HTTP/2,
 * whose reader is another.
 */
static void show_begin(struct connection *c)
{
    h2o_socket_t *sock = c->sock;
    linger_keep(c);
    h2o_buffer_dispose(&sock->input);
    sock->input = c->refusal.begin;
    c->refusal.begin = NULL;
    sock->_cb.read = c->refusal.library;
    c->refusal.library(sock, NULL);
    if (c->sock == NULL || sock->_cb.read == NULL)
        return;
    c->refusal.library = sock->_cb.read;
    sock->_cb.read = thrown_away;
}

static void answer_all(struct server *s)
{
    struct batch b = {.count = 0};
    s->config.http1.callbacks.foreach_request(&s->context, collect_unseen, &b);
    for (size_t i = 0; i < b.count; i++)
        show_begin(connections_of_request(b.req[i]));
    bool more = b.count == BATCH;
    b.count = 0;
    s->config.http1.callbacks.foreach_request(&s->context, collect_bodies, &b);
    for (size_t i = 0; i < b.count; i++) {
        struct connection *c = connections_of_request(b.req[i]);
        linger_keep(c);
        drop_begin(&c->refusal);
        b.req[i]->http1_is_persistent = 0;
        h2o_process_request(b.req[i]);
    }
    if (more || b.count == BATCH)
        return; /* some of the rest may be of HTTP/1, too */
    while (!list_empty(&s->refusals)) {
        struct connection *c = CONTAINER_OF(s->refusals.next, struct connection, refusal.link);
        list_remove(&c->refusal.link);
        if (c->sock->_cb.read == thrown_away)
            c->refusal.library(c->sock, h2o_socket_error_out_of_memory);
        else /* something is on its way to the peer, and libh2o would not hear us */
            shutdown(h2o_socket_get_fd(c->sock), SHUT_RDWR);
    }
}

static bool is_unsaid(const struct server *s)
{
    return s->refused_bodies.by_memory > 0 || s->refused_bodies.by_share > 0;
}

static void say(struct server *s)
{
    if (s->refused_bodies.by_memory > 0)
        log_at(LOG_WARN, "bodies refused: limits.body_memory is used up", LOG_INT("count", s->refused_bodies.by_memory),
               LOG_INT("bytes", body_memory_sum(&s->body_memory)));
    if (s->refused_bodies.by_share > 0)
        log_at(LOG_WARN, "bodies refused: an address has used up limits.body_memory_per_ip",
               LOG_INT("count", s->refused_bodies.by_share));
    s->refused_bodies.by_memory = s->refused_bodies.by_share = 0;
}

static void look(struct timeout *t)
{
    struct server *s = CONTAINER_OF(t, struct server, refusing);
    mono_t now = loop_now(s->host.loop);
    if (!list_empty(&s->refusals))
        answer_all(s);
    if (is_unsaid(s) && mono_since(now, s->refused_bodies.said).ns >= DUR_S(1).ns) {
        say(s);
        s->refused_bodies.said = now;
    }
    if (!list_empty(&s->refusals) || is_unsaid(s))
        look_soon(s);
    else
        malloc_trim(0); /* a flood is over: what it took in small pieces goes back to the system */
}
