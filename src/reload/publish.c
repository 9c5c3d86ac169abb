/*
 * publish.c: see publish.h. Order: clash check → snapshot → kept → prepare → prepared by one, and by every other that
 * still moves → the store to the generation word → flip. What breaks in prepare begins it again without the broken.
 */
#include "reload/publish.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/panic.h"
#include "reload/clash.h"
#include "reload/relief.h"
#include "reload/round.h"
#include <fcntl.h>

#define TICK DUR_MS(50)
#define STUCK_AFTER DUR_MS(500)
#define HOLD_UP_AT_MOST DUR_S(5)
#define RETRY_AFTER DUR_S(1)
#define DESPERATE_AFTER DUR_S(1)

static void on_tick(struct timeout *t);
static void on_retry(struct timeout *t);

static int dup_fd(int fd)
{
    return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

/* --- the snapshot ------------------------------------------------------------------------------------------------- */

static int make_snapshot(struct reload *r, uint64_t generation, struct error *err)
{
    struct snapshot snap;
    struct buf bytes = {.secret = true};
    catalog_snapshot(&r->catalog, generation, &snap);
    snapshot_write(&snap, &bytes);
    int fd = fd_sealed("snapshot", buf_slice(&bytes), err);
    buf_free(&bytes);
    snapshot_free(&snap);
    return fd;
}

void publish_begin(struct reload *r)
{
    struct error err;
    timeout_clear(&r->tick);
    if (r->changed) /* else nobody has a new route */
        clash_settle(r);
    if (!r->changed) {
        reload_round_over(r);
        return;
    }
    fd_close(&r->next_snapshot);
    if (relief_objects(r)) {
        r->state = RELOAD_KEEPING; /* nothing else may begin: the supervisor ends this process */
        return;
    }
    r->next_snapshot = make_snapshot(r, ++r->next_generation, &err);
    int copy = r->next_snapshot != -1 ? dup_fd(r->next_snapshot) : -1;
    if (copy == -1) {
        log_at(LOG_ERROR, "cannot make a snapshot of the scripts, the live ones stay", LOG_STR("error", err.text));
        fd_close(&r->next_snapshot);
        r->state = RELOAD_KEEPING; /* nothing else may begin; what changed is still to be published */
        timeout_set(r->host.loop, &r->retry, mono_add(loop_now(r->host.loop), RETRY_AFTER), on_retry);
        return;
    }
    r->state = RELOAD_KEEPING;
    const struct message m = {.type = MESSAGE_snapshot,
                              .snapshot = {.generation = r->next_generation, .snapshot = copy}};
    r->host.to_supervisor(r->host.cookie, &m);
}

static void on_retry(struct timeout *t)
{
    publish_begin(CONTAINER_OF(t, struct reload, retry));
}

/* --- prepare ------------------------------------------------------------------------------------------------------ */

void publish_kept(struct reload *r, uint64_t generation)
{
    if (r->state != RELOAD_KEEPING || generation != r->next_generation || r->next_snapshot == -1)
        return;
    r->state = RELOAD_PREPARING;
    r->prepare_began = mono_now();
    for (uint32_t i = 0; i < AREA_SLOTS; i++) {
        r->workers[i].prepared = false;
        r->workers[i].moved = r->prepare_began;
    }
    const struct message m = {.type = MESSAGE_prepare,
                              .prepare = {.generation = generation, .snapshot = r->next_snapshot}};
    r->host.to_workers(r->host.cookie, &m);
    timeout_set(r->host.loop, &r->tick, mono_add(r->prepare_began, TICK), on_tick);
}

static void send_prepare(uint64_t generation, int snapshot, void (*send)(void *cookie, const struct message *m),
                         void *cookie)
{
    struct message m = {.type = MESSAGE_prepare, .prepare = {.generation = generation, .snapshot = dup_fd(snapshot)}};
    if (m.prepare.snapshot != -1)
        send(cookie, &m);
}

void publish_welcome(struct reload *r, uint64_t has, void (*send)(void *cookie, const struct message *m), void *cookie)
{
    if (r->generation != 0 && has != r->generation && r->snapshot != -1)
        send_prepare(r->generation, r->snapshot, send, cookie);
    if (r->state == RELOAD_PREPARING)
        send_prepare(r->next_generation, r->next_snapshot, send, cookie);
}

/* --- flip --------------------------------------------------------------------------------------------------------- */

/* A worker whose progress word stands still, or that took too long in all, holds nobody up. */
static bool holds_up(struct reload *r, uint32_t slot, mono_t now)
{
    struct reload_worker *w = &r->workers[slot];
    if (!w->linked || w->prepared)
        return false;
    uint64_t sequence = atomic_load_explicit(&r->host.area->worker[slot].progress.sequence, memory_order_relaxed);
    if (sequence != w->sequence) {
        w->sequence = sequence;
        w->moved = now;
    }
    return mono_since(now, w->moved).ns < STUCK_AFTER.ns && mono_since(now, r->prepare_began).ns < HOLD_UP_AT_MOST.ns;
}

static void note_public(const struct reload *r)
{
    struct buf names = {0};
    for (size_t i = 0; i < r->catalog.script_count; i++) {
        const struct catalog_script *s = r->catalog.scripts[i];
        if (s->next != s->live && s->next != NULL && s->next->is_public && (s->live == NULL || !s->live->is_public))
            buf_addf(&names, "%s%s", names.len != 0 ? ", " : "", s->name);
    }
    if (names.len != 0)
        log_at(LOG_WARN, "PUBLIC: no verify, anyone can call these", LOG_SLICE("endpoints", buf_slice(&names)));
    buf_free(&names);
}

/* Its quarantine was the old version's. */
static void note_changed(struct reload *r, const struct catalog_script *s)
{
    bool same = s->live != NULL && s->next != NULL && s->live->version == s->next->version;
    if (s->live != NULL && !same && quarantine_end(&r->host.area->quarantine, s->live->version))
        log_at(LOG_INFO, "endpoint out of quarantine", LOG_STR("endpoint", s->name),
               LOG_STR("because", "its script has changed"));
}

static size_t advance_scripts(struct reload *r)
{
    size_t moved = 0;
    for (size_t i = 0; i < r->catalog.script_count; i++) {
        struct catalog_script *s = r->catalog.scripts[i];
        if (s->mended)
            round_fixed(s);
        if (s->next == s->live)
            continue;
        note_changed(r, s);
        catalog_loaded_set(&s->before, s->live);
        catalog_loaded_set(&s->live, s->next);
        moved++;
    }
    return moved;
}

static void flip(struct reload *r)
{
    timeout_clear(&r->tick);
    r->generation = r->next_generation;
    fd_close(&r->snapshot);
    r->snapshot = r->next_snapshot;
    r->next_snapshot = -1;
    atomic_store_explicit(area_generation(r->host.area), r->generation, memory_order_release);
    const struct message m = {.type = MESSAGE_flip, .flip = {.generation = r->generation}};
    r->host.to_workers(r->host.cookie, &m);
    counters_add(&r->host.area->keeper, COUNTER_reloads, 1);
    r->changed = r->desperate = false;
    note_public(r);
    size_t moved = advance_scripts(r);
    log_at(LOG_INFO, "scripts live", LOG_INT("generation", r->generation), LOG_INT("changed", moved),
           LOG_INT("scripts", r->catalog.script_count),
           LOG_FLOAT("ms", (double)mono_since(mono_now(), r->began).ns / 1e6));
    reload_round_over(r);
}

void publish_check(struct reload *r)
{
    if (r->state != RELOAD_PREPARING)
        return;
    mono_t now = mono_now();
    bool ready = false, held = false;
    for (uint32_t i = 0; i < AREA_SLOTS; i++) {
        ready = ready || (r->workers[i].linked && r->workers[i].prepared);
        held = holds_up(r, i, now) || held;
    }
    /* A new worker loads what is live before it listens to us: if that kills it, only the flip can help. */
    if (r->desperate && mono_since(now, r->prepare_began).ns > DESPERATE_AFTER.ns)
        ready = true;
    if (ready && !held)
        flip(r);
}

static void on_tick(struct timeout *t)
{
    struct reload *r = CONTAINER_OF(t, struct reload, tick);
    timeout_set(r->host.loop, &r->tick, mono_add(mono_now(), TICK), on_tick);
    publish_check(r);
}
