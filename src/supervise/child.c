/*
 * child.c: the life of one place, in its order: start, links, kill, death, next start.
 * Owns, runs in, fails: see child.h.
 */
#include "supervise/child.h"

#include "base/fd.h"
#include "base/log.h"
#include "base/panic.h"
#include "supervise/desk.h"
#include "supervise/members.h"
#include "supervise/renewal.h"
#include "supervise/spawn.h"
#include "supervise/trials.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#define LEAVE_GRACE DUR_S(2) /* beyond its time: it takes its end itself */

void child_init(struct child *c, enum heritage_kind kind, struct edition *e, uint32_t slot, uint32_t member)
{
    *c = (struct child){.kind = kind,
                        .edition = e,
                        .number = e->number,
                        .slot = slot,
                        .member = member,
                        .incarnation = c->incarnation, /* of a place: what is under way to an earlier life stays odd */
                        .start_at = {0},
                        .silent_since = MONO_NEVER,
                        .died = MONO_NEVER,
                        .leave_by = MONO_NEVER};
    if (kind == HERITAGE_KEEPER)
        snprintf(c->name, sizeof(c->name), "keeper");
    else
        snprintf(c->name, sizeof(c->name), "worker %u", member);
}

bool child_free(const struct child *c)
{
    return c->pid == 0 && c->edition == NULL;
}

static bool is_worker(const struct child *c)
{
    return c->kind == HERITAGE_WORKER;
}

/* --- birth --- */

/* The listeners that it must know of without accepting from them. */
static void find_bound(const struct supervisor *s, const struct child *c, struct buf *out)
{
    if (is_worker(c))
        sockets_admin(&c->edition->sockets, out);
    else
        bound_find(s, c->edition, out);
}

/* Forks; channel_end is the child's. */
static int spawn(struct supervisor *s, struct child *c, int channel_end, struct error *err)
{
    struct edition *e = c->edition;
    struct snapshot_held live = edition_snapshot(e, s->area, is_worker(c));
    int config = is_worker(c) ? edition_open_text(e, err) : HERITAGE_NO_FD;
    struct buf bound = {0};

    if (is_worker(c) && config < 0)
        return -1;
    find_bound(s, c, &bound);
    struct heritage h = {.kind = c->kind,
                         .slot = c->slot,
                         .member = c->member,
                         .incarnation = c->incarnation,
                         .edition = e->number,
                         .generation = live.generation,
                         .supervisor = channel_end,
                         .area = s->area_fd,
                         .config = is_worker(c) ? config : e->config_text,
                         .snapshot = live.fd,
                         .wake = s->logbook.wake,
                         .extra = HERITAGE_NO_FD,
                         .bound = bound.len > 0 ? (char *)buf_text(&bound) : NULL,
                         .sockets = is_worker(c) ? e->sockets.worker : e->sockets.keeper,
                         .socket_count = is_worker(c) ? e->sockets.worker_count : e->sockets.keeper_count};
    char label[12];
    struct spawn what = {.heritage = &h, .label = is_worker(c) ? label : NULL, .binary = e->binary, .words = -1};

    snprintf(label, sizeof(label), "%u", c->member);
    int done = spawn_child(&what, &c->pid, err);
    buf_free(&bound);
    fd_close(&config);
    return done;
}

static int try_start(struct supervisor *s, struct child *c, struct error *err)
{
    int ends[2];

    if (channel_pair(ends) != 0)
        return error_errno(err, "cannot start %s: socketpair", c->name);
    if (spawn(s, c, ends[1], err) != 0) {
        c->pid = 0;
        fd_close(&ends[0]);
        fd_close(&ends[1]);
        return -1;
    }
    fd_close(&ends[1]);
    c->channel = channel_new(ends[0]);
    return 0;
}

/*
 * A channel between the keeper and this worker, if both run. In an upgrade, and while old workers finish, they may be
 * of two editions: a worker needs the store to its end.
 */
static void link_pair(struct supervisor *s, struct child *worker)
{
    int ends[2];

    if (s->keeper.pid == 0 || s->keeper.edition == NULL || worker->pid == 0 || worker->doomed)
        return;
    if (channel_pair(ends) != 0) { /* without its keeper a worker is of no use: its next life may have one */
        child_kill(worker, "no descriptors left for its link to the keeper");
        return;
    }
    child_send(&s->keeper, &(struct message){.type = MESSAGE_peer,
                                             .peer = {.slot = worker->slot,
                                                      .incarnation = worker->incarnation,
                                                      .edition = worker->number,
                                                      .socket = ends[0]}});
    child_send(worker,
               &(struct message){
                   .type = MESSAGE_peer,
                   .peer = {.incarnation = s->keeper.incarnation, .edition = s->keeper.number, .socket = ends[1]}});
}

/* Another life ended (or did not begin) before it was ready for anything. */
static void plan_next(struct child *c, mono_t now)
{
    c->stillborn = c->ready ? 0 : c->stillborn + 1;
    c->ready = false;
    c->start_at = mono_add(now, restart_after(&c->restart, c->born, now));
}

void child_start(struct supervisor *s, struct child *c, mono_t now)
{
    struct error err;

    c->incarnation++;
    c->born = now;
    c->doomed = false;
    c->start_at = c->silent_since = MONO_NEVER;
    c->stretch = (struct watchdog_stretch){0};
    c->queue = (struct watchdog_queue){0};
    c->pulse = (struct watchdog_pulse){.at = now};
    if (is_worker(c))
        members_orphan(s, c, true); /* until it is ready: those who are may have begun before it */
    if (try_start(s, c, &err) != 0) {
        log_at(LOG_ERROR, err.text, LOG_STR("process", c->name));
        plan_next(c, now);
        return;
    }
    if (is_worker(c)) {
        area_use(s->area, c->slot);
        atomic_store(&s->area->worker[c->slot].state, AREA_STARTING);
        link_pair(s, c);
        return;
    }
    for (uint32_t i = 0; i < s->places; i++)
        link_pair(s, &s->workers[i]);
}

void child_send(struct child *c, const struct message *m)
{
    struct message unwanted = *m;

    if (c->channel != NULL)
        channel_send(c->channel, m);
    else
        messages_close(&unwanted);
}

/* --- death --- */

void child_leave(struct supervisor *s, struct child *c, dur_t within, struct slice gone)
{
    struct message m = {.type = MESSAGE_drain,
                        .drain = {.deadline_ms = (uint64_t)dur_ms_up(within), .replaced = 1, .gone = gone}};

    c->edition = NULL;
    c->start_at = MONO_NEVER;
    c->leave_by = mono_add(mono_add(mono_now(), within), LEAVE_GRACE);
    if (c->pid != 0 && is_worker(c))
        atomic_store(&s->area->worker[c->slot].state, AREA_DRAINING);
    child_send(c, &m);
}

void child_end(struct child *c)
{
    c->edition = NULL;
    c->start_at = c->leave_by = MONO_NEVER;
    channel_free(&c->channel);
    if (c->pid != 0 && !c->doomed)
        kill(c->pid, SIGKILL);
    c->doomed = c->pid != 0;
}

void child_kill(struct child *c, const char *why)
{
    char text[160];

    if (c->pid == 0 || c->doomed)
        return;
    c->doomed = true;
    snprintf(text, sizeof(text), "%s killed: %s", c->name, why);
    log_at(LOG_ERROR, text, LOG_INT("child", c->pid));
    kill(c->pid, SIGKILL);
}

const char *child_status_text(int status, char room[64])
{
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
        snprintf(room, 64, "stopped by its jail: a forbidden system call");
    else if (WIFSIGNALED(status))
        snprintf(room, 64, "signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(room, 64, "exit status %d", WEXITSTATUS(status));
    return room;
}

/* What shared memory tells about a dead worker. */
struct remains {
    struct progress_view progress;
    uint64_t requests; /* not answered, or not delivered */
    char words[AREA_WORDS + 1];
};

static void log_death(const struct child *c, pid_t pid, int status, const struct remains *r)
{
    char text[48], room[64];
    struct log_field fields[6] = {LOG_INT("child", pid), LOG_STR("status", child_status_text(status, room))};
    size_t count = 2;

    snprintf(text, sizeof(text), "%s died", c->name);
    if (!c->ready)
        fields[count++] = LOG_STR("when", "starting");
    else if (is_worker(c))
        fields[count++] = LOG_INT("requests_lost", r->requests);
    if (r->progress.inside)
        fields[count++] = LOG_STR("script", r->progress.name);
    if (r->words[0] != '\0')
        fields[count++] = LOG_STR("words", r->words);
    log_write(LOG_ERROR, slice_of(text), fields, count);
}

static void tell_keeper(struct supervisor *s, const struct child *c, const struct progress_view *p)
{
    struct message m = {.type = MESSAGE_died, .died = {.slot = c->slot, .incarnation = c->incarnation}};

    if (p->inside) {
        m.died.script_version = p->version;
        m.died.preparing = p->preparing;
        m.died.script = slice_of(p->name);
    }
    child_send(&s->keeper, &m);
}

/* Signals that a fault within raises; a kill comes from elsewhere, and is not the script's doing. */
static bool has_crashed(int status)
{
    int number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;

    return number == SIGSEGV || number == SIGBUS || number == SIGABRT || number == SIGILL || number == SIGFPE;
}

static void bury(struct supervisor *s, struct child *c, struct remains *r)
{
    if (is_worker(c)) {
        progress_read(&s->area->worker[c->slot].progress, &r->progress);
        r->requests = counters_get(&s->area->worker[c->slot].counters, COUNTER_under_way);
        area_last_words(s->area, c->slot, r->words);
        area_reset_worker(s->area, c->slot);
    } else {
        desk_read(s, c); /* a snapshot that it handed over last is kept */
        trials_abandon(s);
    }
    channel_free(&c->channel);
}

void child_died(struct supervisor *s, struct child *c, int status, mono_t now)
{
    struct remains r = {.progress = {.inside = false}};
    pid_t pid = c->pid;

    c->pid = 0;
    if (is_worker(c))
        orphans_worker_died(s, now);
    bury(s, c, &r);
    if (has_crashed(status) && r.progress.inside && !r.progress.preparing)
        watchdog_strike(s, &r.progress);
    if (s->state >= SUPERVISOR_DRAINING || renewal_died(s, c) || c->edition == NULL) { /* it was to leave */
        if (status != 0 && (!c->doomed || r.requests > 0))
            log_death(c, pid, status, &r);
        c->ready = false;
        c->start_at = MONO_NEVER;
        return;
    }
    log_death(c, pid, status, &r);
    if (c->died.ns == MONO_NEVER.ns)
        c->died = now;
    plan_next(c, now);
    if (is_worker(c)) {
        members_orphan(s, c, true);
        if (c->edition == s->keeper.edition)
            tell_keeper(s, c, &r.progress);
    }
}
