/*
 * orders.c: see orders.h.
 */
#include "worker/orders.h"
#include "base/fd.h"
#include "base/log.h"
#include "ipc/channel.h"
#include "worker/drain.h"
#include "worker/worn.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- the supervisor's --------------------------------------------------------------------------------------------- */

static void on_ping(struct link *l, const struct message *m, void *cookie)
{
    struct worker *w = cookie;
    atomic_store_explicit(&w->area->worker[w->heritage.slot].descriptors, fd_count(), memory_order_relaxed);
    link_send(l, &(struct message){.type = MESSAGE_pong, .pong = {.sequence = m->ping.sequence}});
    worn_look(w); /* it comes once a second */
}

static void on_drain(struct link *l, const struct message *m, void *cookie)
{
    uint64_t ms = m->drain.deadline_ms < 86400000 ? m->drain.deadline_ms : 86400000;
    drain_begin(cookie, DUR_MS(ms), m->drain.replaced != 0, m->drain.gone);
}

static void on_adopt(struct link *l, const struct message *m, void *cookie)
{
    struct worker *w = cookie;
    if (w->serving && !w->draining)
        server_adopt(w->server, m->adopt.member, true);
}

static void on_release(struct link *l, const struct message *m, void *cookie)
{
    struct worker *w = cookie;
    if (w->serving && !w->draining)
        server_adopt(w->server, m->release.member, false);
}

/* Its death, or the end of its trust: nothing here may outlive it. */
static void on_supervisor_ended(struct link *l, const char *why, void *cookie)
{
    log_at(LOG_ERROR, "the supervisor has gone", LOG_STR("why", why));
    _exit(1);
}

/* --- the keeper's ------------------------------------------------------------------------------------------------- */

static void on_prepare(struct link *l, const struct message *m, void *cookie)
{
    struct worker *w = cookie;
    prepare_begin(w->prepare, m->prepare.generation, m->prepare.snapshot);
}

/* The word said so already: this lets go of the old one without waiting for a request. */
static void on_flip(struct link *l, const struct message *m, void *cookie)
{
    struct worker *w = cookie;
    prepare_live(w->prepare);
}

static void on_kv_done(struct link *l, const struct message *m, void *cookie)
{
    struct worker *w = cookie;
    if (!calls_answer(w->calls, m))
        log_at(LOG_WARN, "the keeper answers what was not asked");
}

static void on_keeper_ended(struct link *l, const char *why, void *cookie)
{
    struct worker *w = cookie;
    log_at(LOG_DEBUG, "the keeper has gone", LOG_STR("why", why));
    w->cut_off = strcmp(why, CHANNEL_LOST) == 0;
    calls_link(w->calls, NULL);
    link_free(&w->keeper);
}

static const struct link_handlers keeper_handlers = {
    .on = {[MESSAGE_prepare] = on_prepare, [MESSAGE_flip] = on_flip, [MESSAGE_kv_done] = on_kv_done},
    .ended = on_keeper_ended,
};

/*
 * A new keeper: it is told what is held here before anything else: what is live, then the calls that are in doubt. One
 * of another edition (in an upgrade) sends no orders; it has the store.
 */
static void on_peer(struct link *l, const struct message *m, void *cookie)
{
    struct worker *w = cookie;
    if (w->keeper != NULL)
        link_drain(w->keeper); /* a prepare that the word may name already; answers */
    calls_link(w->calls, NULL);
    link_free(&w->keeper);
    w->cut_off = false;
    uint64_t generation = prepare_new_keeper(w->prepare);
    w->keeper = link_new(w->loop, m->peer.socket, &keeper_handlers, w);
    link_send(w->keeper, &(struct message){.type = MESSAGE_hello,
                                           .hello = {.version = MESSAGES_VERSION,
                                                     .slot = w->heritage.slot,
                                                     .incarnation = w->heritage.incarnation,
                                                     .generation = generation}});
    prepare_confess(w->prepare);
    calls_link(w->calls, w->keeper);
}

static const struct link_handlers supervisor_handlers = {
    .on = {[MESSAGE_ping] = on_ping,
           [MESSAGE_drain] = on_drain,
           [MESSAGE_adopt] = on_adopt,
           [MESSAGE_release] = on_release,
           [MESSAGE_peer] = on_peer},
    .ended = on_supervisor_ended,
};

/* --- both --------------------------------------------------------------------------------------------------------- */

void orders_open(struct worker *w)
{
    w->supervisor = link_new(w->loop, w->heritage.supervisor, &supervisor_handlers, w);
    w->heritage.supervisor = HERITAGE_NO_FD;
}

void orders_to_keeper(struct worker *w, const struct message *m)
{
    struct message unwanted = *m;
    if (w->keeper != NULL)
        link_send(w->keeper, m);
    else
        messages_close(&unwanted);
}

void orders_hear(struct worker *w)
{
    if (w->keeper != NULL)
        link_drain(w->keeper);
}

void orders_serve(struct worker *w)
{
    if (w->serving || w->draining)
        return;
    w->serving = true;
    server_listen(w->server);
    link_send(w->supervisor,
              &(struct message){.type = MESSAGE_ready, .ready = {.incarnation = w->heritage.incarnation}});
}
