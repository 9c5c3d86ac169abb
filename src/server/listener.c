/*
 * listener.c: see listener.h.
 */
#include "server/listener.h"
#include "base/log.h"
#include "base/panic.h"
#include "server/admission.h"
#include "server/proxy_gate.h"
#include "server/server_internal.h"
#include "server/tls_handshake.h"
#include <errno.h>
#include <stdlib.h>

#define ACCEPT_AT_ONCE 16 /* then other descriptors have their turn */
#define SHARED_AT_ONCE 1  /* the other workers wait at it too */
#define TURN DUR_MS(1)    /* so long a shared socket is left to others */
#define TURNS_FREE DUR_MS(20)
#define TURN_SPARE 4         /* connections more than theirs, and an eighth, are no reason to */
#define ACCEPT_AT_LAST 65536 /* more than a queue holds: only a bound */

static void accept_some(h2o_socket_t *sock, const char *err);

static bool shared(const struct listener *l)
{
    return heritage_shared(&l->from, l->server->host.config->workers);
}

static void update(struct server *s)
{
    bool may = s->listening && !timeout_is_set(&s->pause);
    for (size_t i = 0; i < s->listener_count; i++) {
        struct listener *l = &s->listeners[i];
        bool reading = h2o_socket_is_reading(l->sock);
        bool shall = may && l->on && !(shared(l) && timeout_is_set(&s->turn));
        if (shall && !reading)
            h2o_socket_read_start(l->sock, accept_some);
        else if (!shall && reading)
            h2o_socket_read_stop(l->sock);
    }
}

static void pause_over(struct timeout *t)
{
    update(CONTAINER_OF(t, struct server, pause));
}

/* With nothing left to accept into, a level-triggered listener would keep the loop spinning. */
static void pause_accepting(struct server *s, int why)
{
    if (timeout_is_set(&s->pause))
        return;
    log_at(LOG_WARN, "cannot accept connections for now", LOG_STR("error", strerror(why)));
    timeout_set(s->host.loop, &s->pause, mono_add(loop_now(s->host.loop), DUR_MS(100)), pause_over);
    update(s);
}

static void count(struct listener *l, uint64_t accepted)
{
    struct server *s = l->server;
    if (accepted == 0 || l->from.member == HERITAGE_SHARED) /* nobody looks at such a queue */
        return;
    if (l->own)
        atomic_fetch_add_explicit(&s->host.area->worker[s->host.slot].accepts, accepted, memory_order_relaxed);
    else
        counters_add(s->counters, COUNTER_adopted, accepted);
}

/* Its peer is known. */
static void go_on(struct server *s, struct connection *c, bool tls)
{
    if (!admission_address(s, c))
        return;
    if (tls)
        tls_handshake_begin(s, c);
    else
        h2o_accept(&s->plain, c->sock);
}

/* False when nobody waits there, or nobody can be let in; errno is accept's. */
static bool accept_one(struct listener *l)
{
    errno = 0;
    h2o_socket_t *client = h2o_evloop_socket_accept(l->sock);
    if (client == NULL)
        return false;
    struct connection *c = connections_add(&l->server->connections, client);
    bool tls = l->accept->ssl_ctx != NULL;
    if (!admission_admit(l->server, c))
        return true;
    if (l->proxy)
        proxy_gate_begin(l->server, c, tls, go_on);
    else
        go_on(l->server, c, tls);
    return true;
}

/*
 * Every knock at a shared socket wakes all workers, and the kernel the same one first, each time: it would have all the
 * connections, and keep them. Whether this worker has so many more than another that it should stand back for a moment.
 */
static bool others_turn(struct server *s)
{
    struct area *area = s->host.area;
    uint64_t mine = s->connections.count, least = UINT64_MAX;
    if (mine <= TURN_SPARE || mono_before(loop_now(s->host.loop), s->turns_free_until))
        return false;
    for (uint32_t i = 0; i < area_used(area); i++) {
        struct area_worker *w = &area->worker[i];
        uint64_t theirs = atomic_load_explicit(&w->open, memory_order_relaxed);
        if (i != s->host.slot && atomic_load(&w->state) == AREA_SERVING && theirs < least)
            least = theirs;
    }
    return least < mine - TURN_SPARE && least + least / 8 < mine - TURN_SPARE;
}

/* Who waits still was not taken by the others: they are busy, or believed to be there and are not. */
static void turn_over(struct timeout *t)
{
    struct server *s = CONTAINER_OF(t, struct server, turn);
    for (size_t i = 0; i < s->listener_count; i++) {
        struct listener *l = &s->listeners[i];
        if (!shared(l) || !l->on || !accept_one(l))
            continue;
        count(l, 1);
        if (l->left)
            l->knocked = loop_passes(s->host.loop); /* all the while */
        s->turns_free_until = mono_add(loop_now(s->host.loop), TURNS_FREE);
    }
    update(s);
}

/*
 * Who waits at a shared socket is in nobody's loop, so loop_lag knows nothing of that wait; and nobody can ask how many
 * they are. Whether somebody waited in each pass for so long that it may be a queue: then more are accepted at once,
 * and the lag shows if it is one. (Where all are soon in, it was always another one.) The other workers had the time to
 * take them, and did not.
 */
static bool long_queue(struct listener *l)
{
    struct loop *loop = l->server->host.loop;
    uint64_t pass = loop_passes(loop);
    if (pass > l->knocked + 1)
        l->since = loop_now(loop);
    l->knocked = pass;
    return mono_since(loop_now(loop), l->since).ns > l->server->host.config->limits.lag.ns / 2;
}

static void accept_some(h2o_socket_t *sock, const char *err)
{
    struct listener *l = sock->data;
    struct server *s = l->server;
    bool few = shared(l) && !long_queue(l);
    uint64_t accepted = 0, most = few ? SHARED_AT_ONCE : ACCEPT_AT_ONCE;
    if (err != NULL)
        return;
    l->left = few && others_turn(s);
    if (l->left) {
        timeout_set(s->host.loop, &s->turn, mono_add(loop_now(s->host.loop), TURN), turn_over);
        update(s);
        return;
    }
    while (accepted < most && accept_one(l))
        accepted++;
    if (accepted < most && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM))
        pause_accepting(s, errno);
    if (accepted < most) /* nobody waits there now */
        l->since = loop_now(s->host.loop);
    count(l, accepted);
}

void listener_open(struct server *s)
{
    const struct heritage *h = s->host.heritage;
    const struct config *config = s->host.config;
    uint32_t group = 0;
    s->listeners = need_zero(h->socket_count + 1, sizeof(*s->listeners));
    for (size_t i = 0; i < h->socket_count; i++) {
        const struct heritage_socket *from = &h->sockets[i];
        group = heritage_first(from) ? (uint32_t)i : group;
        if (from->listener >= config->listen_count)
            continue; /* the admin listener's */
        struct listener *l = &s->listeners[s->listener_count++];
        l->server = s;
        l->from = *from;
        l->group = group;
        l->own = l->on = heritage_owns(from, s->host.member, config->workers);
        l->accept = config->listen[from->listener].tls ? &s->secure : &s->plain;
        l->proxy = config->listen[from->listener].proxy;
        l->sock = h2o_evloop_socket_create(loop_evloop(s->host.loop), from->fd, H2O_SOCKET_FLAG_DONT_READ);
        NEED(l->sock != NULL);
        l->sock->data = l;
    }
}

void listener_start(struct server *s)
{
    s->listening = true;
    update(s);
}

void listener_last_call(struct server *s)
{
    for (size_t i = 0; i < s->listener_count; i++)
        s->listeners[i].on = true;
    update(s);
}

static void close_one(struct listener *l)
{
    h2o_socket_read_stop(l->sock);
    h2o_socket_close(l->sock);
}

/* UNSAFE BYTES: gone has any length; what is left over is passed over. */
static bool is_gone(const struct listener *l, struct slice gone)
{
    while (gone.len >= 4)
        if (buf_take_u32(&gone, &(bool){false}) == l->group)
            return true;
    return false;
}

void listener_leave(struct server *s, struct slice gone)
{
    size_t kept = 0;
    timeout_clear(&s->pause);
    for (size_t i = 0; i < s->listener_count; i++) {
        struct listener *l = &s->listeners[i];
        if (is_gone(l, gone)) {
            s->listeners[kept] = *l;
            s->listeners[kept].on = true;
            s->listeners[kept].sock->data = &s->listeners[kept];
            kept++;
        } else {
            close_one(l);
        }
    }
    s->listener_count = kept;
    s->listening = kept > 0;
    update(s);
}

void listener_close(struct server *s)
{
    s->listening = false;
    timeout_clear(&s->pause);
    timeout_clear(&s->turn);
    for (size_t i = 0; i < s->listener_count; i++) {
        struct listener *l = &s->listeners[i];
        for (int n = 0; n < ACCEPT_AT_LAST && accept_one(l); n++)
            continue;
        close_one(l);
    }
    free(s->listeners);
    s->listeners = NULL;
    s->listener_count = 0;
}

void listener_adopt(struct server *s, uint32_t member, bool on)
{
    for (size_t i = 0; i < s->listener_count; i++) {
        struct listener *l = &s->listeners[i];
        if (!l->own && heritage_owns(&l->from, member, s->host.config->workers))
            l->on = on;
    }
    update(s);
}
