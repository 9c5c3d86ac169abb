/*
 * roster.c: see roster.h.
 */
#include "keeper/roster.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/panic.h"
#include "ipc/link.h"
#include <fcntl.h>
#include <stdlib.h>

struct place {
    struct roster *roster;
    uint32_t slot, incarnation;
    bool guest;        /* of another edition */
    struct link *link; /* NULL: nobody here */
    bool greeted;      /* its hello has come */
};

struct roster {
    struct roster_host host;
    struct place *places;
};

static void on_hello(struct link *l, const struct message *m, void *cookie);
static void on_prepared(struct link *l, const struct message *m, void *cookie);
static void on_kv(struct link *l, const struct message *m, void *cookie);
static void on_ended(struct link *l, const char *why, void *cookie);

static const struct link_handlers handlers = {
    .on = {[MESSAGE_hello] = on_hello, [MESSAGE_prepared] = on_prepared, [MESSAGE_kv] = on_kv},
    .ended = on_ended,
};

struct roster *roster_new(const struct roster_host *host)
{
    struct roster *r = need_zero(1, sizeof(*r));
    r->host = *host;
    r->places = need_zero(host->places + 1, sizeof(*r->places));
    for (uint32_t i = 0; i < host->places; i++)
        r->places[i] = (struct place){.roster = r, .slot = i};
    return r;
}

void roster_free(struct roster **r)
{
    struct roster *gone = *r;
    *r = NULL;
    if (gone == NULL)
        return;
    for (uint32_t i = 0; i < gone->host.places; i++)
        link_free(&gone->places[i].link);
    free(gone->places);
    free(gone);
}

static bool joined(const struct place *p)
{
    return p->greeted && !p->guest;
}

static void leave(struct place *p)
{
    const struct roster_host *host = &p->roster->host;
    bool was = joined(p), there = p->link != NULL;
    p->greeted = false;
    link_free(&p->link);
    if (there)
        host->gone(host->cookie, p->slot);
    if (was)
        host->left(host->cookie, p->slot);
}

void roster_peer(struct roster *r, const struct message_peer *m)
{
    int socket = m->socket;
    if (m->slot >= r->host.places) {
        log_at(LOG_ERROR, "a worker in a slot that is not there", LOG_INT("slot", m->slot));
        fd_close(&socket);
        return;
    }
    struct place *p = &r->places[m->slot];
    leave(p);
    p->incarnation = m->incarnation;
    p->guest = m->edition != r->host.edition;
    p->link = link_new(r->host.loop, socket, &handlers, p);
}

static void on_hello(struct link *l, const struct message *m, void *cookie)
{
    struct place *p = cookie;
    const struct message_hello *hello = &m->hello;
    if (p->greeted || hello->version != MESSAGES_VERSION || hello->slot != p->slot ||
        hello->incarnation != p->incarnation) {
        log_at(LOG_ERROR, "a worker's greeting is not what was announced", LOG_INT("slot", p->slot),
               LOG_INT("version", hello->version));
        leave(p);
        return;
    }
    p->greeted = true;
    if (joined(p))
        p->roster->host.joined(p->roster->host.cookie, p->slot, p->incarnation, hello->generation);
}

static void on_prepared(struct link *l, const struct message *m, void *cookie)
{
    struct place *p = cookie;
    if (joined(p))
        p->roster->host.prepared(p->roster->host.cookie, p->slot, &m->prepared);
}

static void on_kv(struct link *l, const struct message *m, void *cookie)
{
    struct place *p = cookie;
    if (p->greeted && p->roster->host.kv(p->roster->host.cookie, p->slot, &m->kv))
        return;
    log_at(LOG_ERROR, "a worker's call makes no sense: it loses its link", LOG_INT("slot", p->slot));
    leave(p);
}

static void on_ended(struct link *l, const char *why, void *cookie)
{
    struct place *p = cookie;
    log_at(LOG_DEBUG, "a worker's link ended", LOG_INT("slot", p->slot), LOG_STR("why", why));
    leave(p);
}

void roster_send_all(struct roster *r, const struct message *m)
{
    for (uint32_t i = 0; i < r->host.places; i++) {
        if (!joined(&r->places[i]))
            continue;
        struct message copy = *m;
        if (m->type == MESSAGE_prepare) {
            copy.prepare.snapshot = fcntl(m->prepare.snapshot, F_DUPFD_CLOEXEC, 0);
            if (copy.prepare.snapshot == -1) { /* without it the worker cannot follow: a new link tries again */
                log_at(LOG_ERROR, "no descriptor left for a worker's snapshot", LOG_INT("slot", i));
                continue;
            }
        }
        link_send(r->places[i].link, &copy);
    }
}

void roster_send(struct roster *r, uint32_t slot, const struct message *m)
{
    struct message unwanted = *m;
    if (slot < r->host.places && r->places[slot].greeted)
        link_send(r->places[slot].link, m);
    else
        messages_close(&unwanted);
}

size_t roster_count(const struct roster *r)
{
    size_t count = 0;
    for (uint32_t i = 0; i < r->host.places; i++)
        count += joined(&r->places[i]);
    return count;
}
