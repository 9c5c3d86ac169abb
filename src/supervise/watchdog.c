/*
 * watchdog.c: see watchdog.h.
 */
#include "supervise/watchdog.h"

#include "supervise/child.h"
#include "supervise/members.h"
#include "supervise/supervisor.h"

#include <stdio.h>
#include <time.h>

/* --- the judges --- */

bool watchdog_stretch_over(struct watchdog_stretch *w, const struct progress_view *view, dur_t cpu, dur_t limit,
                           mono_t now)
{
    if (view->inside && w->inside && view->sequence == w->sequence) {
        int64_t step = cpu.ns - w->cpu.ns;

        w->used.ns += step < WATCHDOG_STEP.ns ? step : WATCHDOG_STEP.ns;
        w->cpu = cpu;
        return w->used.ns > limit.ns;
    }
    *w = (struct watchdog_stretch){.inside = view->inside, .sequence = view->sequence, .cpu = cpu, .since = now};
    return false;
}

dur_t watchdog_limit(dur_t max_run)
{
    bool lies = max_run.ns < 0 || max_run.ns > CONFIG_MAX_RUN_MOST;

    return (dur_t){(lies ? CONFIG_MAX_RUN_MOST : max_run.ns) + WATCHDOG_GRACE.ns};
}

dur_t watchdog_silence(const struct progress_view *view)
{
    return (dur_t){WATCHDOG_PONG_WORKER.ns + (view->inside ? 2 * watchdog_limit(view->max_run).ns : 0)};
}

bool watchdog_queue_stuck(struct watchdog_queue *w, bool waiting, uint64_t accepts, mono_t now)
{
    if (accepts != w->accepts)
        *w = (struct watchdog_queue){.accepts = accepts};
    if (w->stuck)
        return true;
    if (!waiting || !w->waiting)
        w->since = now;
    w->waiting = waiting;
    w->stuck = waiting && mono_since(now, w->since).ns >= WATCHDOG_QUEUE.ns;
    return w->stuck;
}

enum watchdog_word watchdog_pulse_next(struct watchdog_pulse *w, mono_t now, dur_t limit)
{
    int64_t past = mono_since(now, w->at).ns;

    if (w->owed)
        return past >= limit.ns ? WATCHDOG_LOST : WATCHDOG_FINE;
    if (past < WATCHDOG_ASK.ns)
        return WATCHDOG_FINE;
    *w = (struct watchdog_pulse){.owed = true, .sequence = w->sequence + 1, .at = now};
    return WATCHDOG_PING;
}

bool watchdog_pulse_answered(struct watchdog_pulse *w, uint32_t sequence)
{
    if (!w->owed || sequence != w->sequence)
        return false;
    w->owed = false;
    return true;
}

/* --- the tick --- */

/* CPU time of all its threads; false when it has just gone. */
static bool cpu_of(pid_t pid, dur_t *cpu_out)
{
    clockid_t clock;
    struct timespec t;

    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) != 0)
        return false;
    *cpu_out = (dur_t){(int64_t)t.tv_sec * 1000000000 + t.tv_nsec};
    return true;
}

/* What a broken worker says of a script is believed: it could as well write into the table itself. */
void watchdog_strike(struct supervisor *s, const struct progress_view *view)
{
    dur_t time = {0};

    quarantine_log(view->name, quarantine_struck(&s->area->quarantine, view->version, mono_now(), &time), time);
}

static void end_stretch(struct supervisor *s, struct child *c, const struct progress_view *view)
{
    char why[PROGRESS_NAME + 32];

    snprintf(why, sizeof(why), "stuck in script %s", view->name);
    child_kill(c, why);
    if (!view->preparing)
        watchdog_strike(s, view);
}

static void look_at_stretch(struct supervisor *s, struct child *c, mono_t now)
{
    const struct progress *p = &s->area->worker[c->slot].progress;
    dur_t cpu;
    struct progress_view view;

    if (c->doomed)
        return;
    progress_read(p, &view);
    if (!cpu_of(c->pid, &cpu) || !watchdog_stretch_over(&c->stretch, &view, cpu, watchdog_limit(view.max_run), now))
        return;
    progress_read(p, &view); /* it may have come back just now */
    if (view.inside && view.sequence == c->stretch.sequence)
        end_stretch(s, c, &view);
}

static void look_at_queue(struct supervisor *s, struct child *c, mono_t now)
{
    uint64_t accepts = atomic_load_explicit(&s->area->worker[c->slot].accepts, memory_order_relaxed);

    bool waiting = sockets_waiting(&c->edition->sockets, c->member, c->edition->config.workers);

    members_orphan(s, c, watchdog_queue_stuck(&c->queue, waiting, accepts, now));
}

/* In one stretch all the while, without much CPU time: the script waits for what is none of the loop's, a disk, say. */
static void end_silent(struct supervisor *s, struct child *c, const struct progress_view *view, mono_t now)
{
    bool same = view->inside && c->stretch.inside && view->sequence == c->stretch.sequence;

    if (same && !c->doomed && mono_since(now, c->stretch.since).ns >= WATCHDOG_PONG_WORKER.ns)
        end_stretch(s, c, view);
    else
        child_kill(c, "no sign of life");
}

static void look_at_pulse(struct supervisor *s, struct child *c, mono_t now)
{
    struct progress_view view = {.inside = false};
    dur_t limit = WATCHDOG_PONG_KEEPER;

    if (c->kind != HERITAGE_KEEPER) {
        progress_read(&s->area->worker[c->slot].progress, &view);
        limit = watchdog_silence(&view);
    }
    if (mono_since(now, c->silent_since).ns >= WATCHDOG_ASK.ns)
        child_kill(c, "it closed its channel and stayed");
    switch (watchdog_pulse_next(&c->pulse, now, limit)) {
    case WATCHDOG_PING:
        child_send(c, &(struct message){.type = MESSAGE_ping, .ping = {.sequence = c->pulse.sequence}});
        break;
    case WATCHDOG_LOST:
        end_silent(s, c, &view, now);
        break;
    case WATCHDOG_FINE:
        break;
    }
}

void watchdog_tick(struct supervisor *s, mono_t now)
{
    if (s->keeper.pid != 0) {
        if (!mono_before(now, s->keeper.leave_by))
            child_kill(&s->keeper, "it did not make way for the next one");
        look_at_pulse(s, &s->keeper, now);
    }
    for (uint32_t i = 0; i < s->places; i++) {
        struct child *c = &s->workers[i];

        if (c->pid == 0)
            continue;
        if (!mono_before(now, c->leave_by))
            child_kill(c, "still there at the end of `drain`");
        look_at_pulse(s, c, now);
        look_at_stretch(s, c, now);
        if (c->ready && c->edition != NULL && s->state < SUPERVISOR_DRAINING)
            look_at_queue(s, c, now);
    }
}
