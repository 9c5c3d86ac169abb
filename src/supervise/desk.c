/*
 * desk.c: see desk.h.
 */
#include "supervise/desk.h"

#include "base/fd.h"
#include "base/log.h"
#include "supervise/child.h"
#include "supervise/members.h"
#include "supervise/renewal.h"
#include "supervise/trials.h"
#include "supervise/upgrade.h"

#include <stdio.h>

/* Handlers return whether the message made sense. They own its descriptors. */

/* For metrics: as the keeper begins, and then once a second, which is often enough. */
static void note_descriptors(struct supervisor *s, const struct child *c)
{
    if (c->kind == HERITAGE_KEEPER)
        atomic_store_explicit(&s->area->supervisor_descriptors, fd_count(), memory_order_relaxed);
}

static bool on_pong(struct supervisor *s, struct child *c, const struct message *m)
{
    note_descriptors(s, c);
    return watchdog_pulse_answered(&c->pulse, m->pong.sequence);
}

/* How long its place was empty: of several lives that ended too soon, since the first of them. */
static void tell_back(struct child *c)
{
    char text[sizeof(c->name) + 16];

    if (c->died.ns == MONO_NEVER.ns)
        return;
    snprintf(text, sizeof(text), "%s is back", c->name);
    log_at(LOG_INFO, text, LOG_FLOAT("ms", (double)mono_since(mono_now(), c->died).ns / 1e6));
    c->died = MONO_NEVER;
}

static bool on_ready(struct supervisor *s, struct child *c, const struct message *m)
{
    if (m->ready.incarnation != c->incarnation || c->ready)
        return false;
    c->ready = c->served = true;
    tell_back(c);
    note_descriptors(s, c);
    if (c->kind != HERITAGE_WORKER || s->state >= SUPERVISOR_DRAINING || c->edition == NULL)
        return true;
    atomic_store(&s->area->worker[c->slot].state, AREA_SERVING);
    members_orphan(s, c, false);
    members_welcome(s, c);
    renewal_ready(s, c);
    return true;
}

static bool on_worn(struct supervisor *s, struct child *c, const struct message *m)
{
    if (c->kind != HERITAGE_WORKER || m->worn.incarnation != c->incarnation || !c->ready)
        return false;
    c->worn = true;
    return true;
}

static bool on_trial_wanted(struct supervisor *s, struct child *c, const struct message *m)
{
    if (c->pid != 0 && c->edition != NULL && s->state < SUPERVISOR_DRAINING)
        trials_start(s, m->trial_wanted.id, mono_now());
    return true;
}

static bool on_trial_begins(struct supervisor *s, struct child *c, const struct message *m)
{
    trials_begin(s, m->trial_begins.id, mono_now());
    return true;
}

static bool on_snapshot(struct supervisor *s, struct child *c, const struct message *m)
{
    int fd = m->snapshot.snapshot;
    uint64_t generation = m->snapshot.generation;
    bool leaving = c->edition == NULL; /* the old one's keeper as another takes its place, or a refused one's */
    struct edition *e = leaving ? s->now : c->edition;

    if (generation == 0 || (leaving && c->number != s->now->number)) {
        fd_close(&fd);
        return generation != 0;
    }
    snapshots_keep(&e->snapshots, atomic_load(area_generation_of(s->area, e->number)), generation, fd);
    child_send(c, &(struct message){.type = MESSAGE_snapshot_kept, .snapshot_kept = {.generation = generation}});
    return true;
}

/* At the start there is nothing to go back to. */
static bool on_objection(struct supervisor *s, struct child *c, const struct message *m)
{
    if (s->state != SUPERVISOR_STARTING) {
        upgrade_object(s, c, m->objection.words);
        return true;
    }
    fprintf(stderr, "crescent: cannot start: %.*s\n", SLICE_ARG(m->objection.words));
    s->state = SUPERVISOR_STOPPED;
    s->exit_code = 1;
    return true;
}

static const struct {
    bool (*on)(struct supervisor *s, struct child *c, const struct message *m);
    bool keeper_only;
} desk[MESSAGE_COUNT] = {
    [MESSAGE_pong] = {on_pong, false},
    [MESSAGE_ready] = {on_ready, false},
    [MESSAGE_worn] = {on_worn, false},
    [MESSAGE_trial_wanted] = {on_trial_wanted, true},
    [MESSAGE_trial_begins] = {on_trial_begins, true},
    [MESSAGE_snapshot] = {on_snapshot, true},
    [MESSAGE_objection] = {on_objection, true},
};

static void refuse(struct child *c, const char *what)
{
    char why[96];

    snprintf(why, sizeof(why), "its message to the supervisor: %s", what);
    channel_end(c->channel, "refused");
    child_kill(c, why);
}

static void handle(struct supervisor *s, struct child *c, struct message *m)
{
    if (desk[m->type].on == NULL || (desk[m->type].keeper_only && c->kind != HERITAGE_KEEPER)) {
        messages_close(m);
        refuse(c, messages_name(m->type));
    } else if (!desk[m->type].on(s, c, m)) {
        refuse(c, messages_name(m->type));
    }
}

void desk_read(struct supervisor *s, struct child *c)
{
    struct message m;
    int got;

    if (c->channel == NULL || channel_why(c->channel) != NULL)
        return;
    channel_read(c->channel);
    while ((got = channel_next(c->channel, &m)) > 0)
        handle(s, c, &m);
    if (got == 0 || c->silent_since.ns != MONO_NEVER.ns)
        return;
    c->silent_since = mono_now(); /* most likely it is about to end; the watchdog sees to it */
    if (strcmp(channel_why(c->channel), "closed") != 0)
        refuse(c, channel_why(c->channel));
}
