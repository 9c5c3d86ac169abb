/*
 * upgrade.c: the states of an upgrade, in their order; see upgrade.h, and docs/architecture.md, Upgrade.
 */
#include "supervise/upgrade.h"

#include "base/fd.h"
#include "base/log.h"
#include "supervise/binary.h"
#include "supervise/child.h"
#include "supervise/takeover.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEEPER_MAKES_WAY DUR_S(2) /* it has nothing to finish */
#define KEEPER_READY DUR_S(30)    /* it reads the live snapshot */
#define REHEARSAL_TIME DUR_S(10)  /* it reads some kilobytes */
#define QUIET_WITHIN DUR_S(60)    /* a child that takes no message is killed by the watchdog long before */
#define WORKER_READY DUR_S(120)   /* the first waits for the trial of every script, which alone may take 30 s */

static void refuse(struct supervisor *s, const char *why)
{
    char text[sizeof(struct error) + 32];

    snprintf(text, sizeof(text), "upgrade: refused: %s", why);
    log_at(LOG_ERROR, text, LOG_STR("serving", s->now->version));
}

/* All is as it was. */
static void refused(struct supervisor *s, const char *why)
{
    char text[sizeof(struct error) + 64];

    snprintf(text, sizeof(text), "serving version %s; the upgrade was refused: %s", s->now->version, why);
    notify_ready(&s->notify, text);
    s->upgrade.state = UPGRADE_NONE;
}

/* --- trying --- */

static void try_candidate(struct supervisor *s, mono_t now)
{
    struct upgrade *u = &s->upgrade;
    struct error err;

    *u = (struct upgrade){.began = now};
    notify_reloading(&s->notify, "upgrading");
    if (s->command_line < 0 || s->binary_path == NULL) {
        refuse(s, "the path of the binary is not known: that needs a restart");
        refused(s, "the path of the binary is not known");
        return;
    }
    log_at(LOG_INFO, "upgrade: trying the binary and the configuration", LOG_STR("binary", s->binary_path));
    if (candidate_start(&u->candidate, s->binary_path, s->command_line, now, &err) == 0) {
        u->state = UPGRADE_TRYING;
        return;
    }
    refuse(s, err.text);
    refused(s, err.text);
}

void upgrade_ask(struct supervisor *s)
{
    bool busy = s->upgrade.state != UPGRADE_NONE;

    if (busy && !s->upgrade.again)
        log_at(LOG_INFO, "upgrade: another one follows this one");
    if (busy || s->state != SUPERVISOR_RUNNING)
        s->upgrade.again = true;
    else
        try_candidate(s, mono_now());
}

static void begin_roll(struct supervisor *s, mono_t now);
static void after_rehearsal(struct supervisor *s, int status);

/* Whether a process is left that looks at this edition's generation word. */
static bool taken(const struct supervisor *s, uint32_t number)
{
    if (s->keeper.pid != 0 && s->keeper.number % AREA_EDITIONS == number % AREA_EDITIONS)
        return true;
    for (uint32_t i = 0; i < s->places; i++)
        if (s->workers[i].pid != 0 && s->workers[i].number % AREA_EDITIONS == number % AREA_EDITIONS)
            return true;
    return false;
}

/* A number for the next edition. 0, or -1: the words are all in use. */
static int next_number(const struct supervisor *s, uint32_t *number_out, struct error *err)
{
    for (uint32_t i = 1; i < AREA_EDITIONS; i++) {
        *number_out = s->now->number + i;
        if (!taken(s, *number_out))
            return 0;
    }
    return error_set(err, "workers of %d earlier upgrades still finish what they have", AREA_EDITIONS - 1);
}

static int judge(struct supervisor *s, int status, struct error *err)
{
    struct upgrade *u = &s->upgrade;
    uint32_t number = 0;

    u->next = candidate_judge(&u->candidate, status, err);
    if (u->next == NULL)
        return -1;
    if (next_number(s, &number, err) == 0 &&
        sockets_open(&u->next->sockets, &u->next->config, &s->now->sockets, err) == 0) {
        u->next->number = number;
        return 0;
    }
    edition_free(&u->next, &s->now->sockets);
    return -1;
}

void upgrade_reap(struct supervisor *s)
{
    struct upgrade *u = &s->upgrade;
    struct error err;
    int status;

    if (u->rehearsal != 0 && waitpid(u->rehearsal, &status, WNOHANG) == u->rehearsal)
        after_rehearsal(s, status);
    if (u->candidate.pid == 0 || waitpid(u->candidate.pid, &status, WNOHANG) != u->candidate.pid)
        return;
    if (judge(s, status, &err) == 0) {
        begin_roll(s, mono_now());
        return;
    }
    refuse(s, err.text);
    refused(s, err.text);
}

/* --- back --- */

/* What of the next edition lives is ended (who serves already, after what he has in hand), and the old keeper is
 * started again. */
static void go_back(struct supervisor *s, const char *why)
{
    struct upgrade *u = &s->upgrade;
    struct buf gone = {0};

    refuse(s, why);
    if (why != u->why.text)
        error_set(&u->why, "%s", why);
    sockets_shut(&u->next->sockets, &s->now->sockets);
    for (uint32_t i = 0; i < s->places; i++) {
        struct child *c = &s->workers[i];

        if (c->edition != u->next)
            continue;
        buf_clear(&gone);
        sockets_gone(&u->next->sockets, &s->now->sockets, &gone);
        if (c->ready)
            child_leave(s, c, s->now->config.drain, buf_slice(&gone));
        else
            child_end(c);
    }
    buf_free(&gone);
    child_end(&s->keeper);
    u->state = UPGRADE_BACK;
}

static void begin_old_keeper(struct supervisor *s)
{
    edition_free(&s->upgrade.next, &s->now->sockets);
    child_init(&s->keeper, HERITAGE_KEEPER, s->now, 0, 0);
    refused(s, s->upgrade.why.text);
}

/* --- the keeper --- */

static void begin_roll(struct supervisor *s, mono_t now)
{
    atomic_store(area_generation_of(s->area, s->upgrade.next->number), 0);
    s->upgrade.state = UPGRADE_KEEPER;
    s->upgrade.deadline = mono_add(now, KEEPER_READY);
    child_leave(s, &s->keeper, KEEPER_MAKES_WAY, SLICE_NONE);
}

static void begin_new_keeper(struct supervisor *s)
{
    if (edition_inherit(s->upgrade.next, s->now, s->area) != 0) {
        go_back(s, "no descriptor is left for the scripts that are live");
        return;
    }
    child_init(&s->keeper, HERITAGE_KEEPER, s->upgrade.next, 0, 0);
}

/* Whether it has come so far that it serves; else it may be time to give up. */
static bool serves(struct supervisor *s, const struct child *c, mono_t now)
{
    char why[96];

    if (c->ready)
        return true;
    if (s->upgrade.old_leave)
        return false;
    if (c->stillborn >= SUPERVISOR_STILLBORN) {
        snprintf(why, sizeof(why), "the new %s ended %u times before it was ready", c->name, c->stillborn);
        go_back(s, why);
    } else if (!mono_before(now, s->upgrade.deadline)) {
        snprintf(why, sizeof(why), "the new %s was not ready in time", c->name);
        go_back(s, why);
    }
    return false;
}

/* --- the workers --- */

/* A free slot for the next worker; where all are taken by workers that still finish, it waits for one of them. */
static void begin_worker(struct supervisor *s, mono_t now)
{
    struct upgrade *u = &s->upgrade;

    for (uint32_t i = 0; i < AREA_SLOTS && u->place == NULL; i++)
        if (child_free(&s->workers[i])) {
            u->place = &s->workers[i];
            child_init(u->place, HERITAGE_WORKER, u->next, i, u->number);
            s->places = i >= s->places ? i + 1 : s->places;
        }
    u->deadline = mono_add(now, WORKER_READY);
}

/* Whether a new worker that serves accepts from that socket. */
static bool accepted(const struct supervisor *s, const struct heritage_socket *one)
{
    for (uint32_t i = 0; i < s->places; i++) {
        const struct child *c = &s->workers[i];

        if (c->edition == s->upgrade.next && c->ready && heritage_owns(one, c->member, s->upgrade.next->config.workers))
            return true;
    }
    return false;
}

/* Whether all sockets that this old worker owns have another owner among the new ones. */
static bool succeeded(const struct supervisor *s, const struct child *old)
{
    const struct sockets *sockets = &s->upgrade.next->sockets;

    for (size_t i = 0; i < sockets->worker_count; i++)
        if (heritage_owns(&sockets->worker[i], old->member, s->now->config.workers) &&
            !accepted(s, &sockets->worker[i]))
            return false;
    return true;
}

/* From here on there is no way back. Nobody new gets in at the addresses that are no more. */
static void begin_leaving(struct supervisor *s)
{
    s->upgrade.old_leave = true;
    sockets_shut(&s->now->sockets, &s->upgrade.next->sockets);
}

static void let_leave(struct supervisor *s, bool all)
{
    struct buf gone = {0};

    for (uint32_t i = 0; i < s->places; i++) {
        struct child *c = &s->workers[i];

        if (c->edition != s->now || (!all && !succeeded(s, c)))
            continue;
        if (!s->upgrade.old_leave)
            begin_leaving(s);
        buf_clear(&gone);
        sockets_gone(&s->now->sockets, &s->upgrade.next->sockets, &gone);
        child_leave(s, c, s->upgrade.next->config.drain, buf_slice(&gone));
    }
    buf_free(&gone);
}

/* --- the supervisor itself --- */

void upgrade_done(struct supervisor *s)
{
    struct upgrade *u = &s->upgrade;
    char text[64];

    u->state = UPGRADE_NONE;
    snprintf(text, sizeof(text), "serving version %s", s->now->version);
    notify_ready(&s->notify, text);
    log_at(LOG_INFO, "upgrade: done", LOG_STR("version", s->now->version), LOG_STR("before", u->before),
           LOG_INT("pid", getpid()), LOG_JSON("listen", buf_slice(&s->now->sockets.listen_urls)),
           LOG_JSON("admin", buf_slice(&s->now->sockets.admin_urls)),
           LOG_JSON("health", buf_slice(&s->now->sockets.health_urls)), LOG_STR("hooks", s->now->config.hooks),
           LOG_INT("workers", s->now->config.workers),
           LOG_FLOAT("ms", (double)mono_since(mono_now(), u->began).ns / 1e6));
}

/* It is a matter of this process alone: all that serve are of the new binary already. */
static void stay(struct supervisor *s, const char *why)
{
    log_at(LOG_ERROR, "upgrade: the supervisor goes on as the old binary", LOG_STR("error", why));
    upgrade_done(s);
}

/* The new edition serves; the old one's last workers were told to leave. */
static void finish(struct supervisor *s)
{
    struct upgrade *u = &s->upgrade;
    struct edition *old = s->now;

    let_leave(s, true);
    s->now = u->next;
    u->next = NULL;
    snprintf(u->before, sizeof(u->before), "%s", old->version);
    atomic_store(&s->area->workers, s->now->config.workers);
    log_open(STDERR_FILENO, s->now->config.log_level, "supervisor", config_log_form(&s->now->config));
    logbook_reopen(&s->logbook, &s->now->config);
    if (binary_same(old->binary, s->now->binary)) {
        upgrade_done(s);
    } else {
        u->state = UPGRADE_EXEC;
        u->deadline = mono_add(mono_now(), QUIET_WITHIN);
    }
    edition_free(&old, &s->now->sockets);
}

static void go_on_with_exec(struct supervisor *s, mono_t now)
{
    struct upgrade *u = &s->upgrade;
    struct error err;

    if (u->rehearsal != 0) {
        if (!mono_before(now, u->rehearsal_by))
            kill(u->rehearsal, SIGKILL);
        return;
    }
    u->rehearsal_by = mono_add(now, REHEARSAL_TIME);
    if (!takeover_quiet(s)) {
        if (!mono_before(now, u->deadline))
            stay(s, "a child did not take, or end, a message: there was no quiet moment");
    } else if (takeover_rehearse(s, &u->rehearsal, &err) != 0) {
        u->rehearsal = 0;
        stay(s, err.text);
    }
}

/* The rehearsal has ended. Its result stands for a later moment, too: it is about the form, not about what is in it. */
static void after_rehearsal(struct supervisor *s, int status)
{
    struct error err;
    char room[64];

    s->upgrade.rehearsal = 0;
    if (status != 0) {
        error_set(&err, "it cannot take over: %s", child_status_text(status, room));
        stay(s, err.text);
    } else if (takeover_quiet(s) && takeover_exec(s, &err) != 0) {
        stay(s, err.text);
    }
}

static void go_on_with_workers(struct supervisor *s, mono_t now)
{
    struct upgrade *u = &s->upgrade;

    if (u->place == NULL) {
        begin_worker(s, now);
        return;
    }
    /* Past the point of no return one that does not come up is left to the usual restarts: the others serve. */
    if (!serves(s, u->place, now) && (!u->old_leave || mono_before(now, u->deadline)))
        return;
    let_leave(s, false);
    u->place = NULL;
    if (++u->number == u->next->config.workers)
        finish(s);
}

/* --- a pass of the loop --- */

static void go_on_with_keeper(struct supervisor *s, mono_t now)
{
    if (child_free(&s->keeper))
        begin_new_keeper(s);
    else if (s->keeper.edition == s->upgrade.next && serves(s, &s->keeper, now))
        s->upgrade.state = UPGRADE_WORKERS;
}

/* The keeper has said it before anything of it serves, and publishes nothing. */
void upgrade_object(struct supervisor *s, const struct child *keeper, struct slice words)
{
    if (keeper->edition != NULL && keeper->edition == s->upgrade.next)
        error_set(&s->upgrade.why, "%.*s", SLICE_ARG(words));
}

void upgrade_go_on(struct supervisor *s, mono_t now)
{
    if (s->upgrade.state == UPGRADE_WORKERS && s->upgrade.why.text[0] != '\0' && !s->upgrade.old_leave)
        go_back(s, s->upgrade.why.text);
    switch (s->upgrade.state) {
    case UPGRADE_NONE:
        if (s->upgrade.again)
            try_candidate(s, now);
        break;
    case UPGRADE_TRYING:
        candidate_tick(&s->upgrade.candidate, now);
        break;
    case UPGRADE_KEEPER:
        go_on_with_keeper(s, now);
        break;
    case UPGRADE_WORKERS:
        go_on_with_workers(s, now);
        break;
    case UPGRADE_EXEC:
        go_on_with_exec(s, now);
        break;
    case UPGRADE_BACK:
        if (child_free(&s->keeper))
            begin_old_keeper(s);
        break;
    }
}

void upgrade_drop(struct supervisor *s)
{
    struct upgrade *u = &s->upgrade;

    candidate_drop(&u->candidate);
    if (u->rehearsal != 0) {
        kill(u->rehearsal, SIGKILL);
        waitpid(u->rehearsal, NULL, 0);
    }
    if (u->next != NULL) {
        for (uint32_t i = 0; i < s->places; i++)
            if (s->workers[i].edition == u->next)
                s->workers[i].edition = NULL;
        if (s->keeper.edition == u->next)
            s->keeper.edition = NULL;
        sockets_shut(&u->next->sockets, NULL);
        edition_free(&u->next, NULL);
    }
    *u = (struct upgrade){0};
}
