/*
 * upgrade.c: the states of an upgrade, in their order; see upgrade.h, and docs/architecture.md, Upgrade.
 */
#include "supervise/upgrade.h"

#include "base/fd.h"
#include "base/log.h"
#include "supervise/binary.h"
#include "supervise/child.h"
#include "supervise/rights.h"
#include "supervise/succession.h"
#include "supervise/takeover.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEEPER_MAKES_WAY DUR_S(2) /* it has nothing to finish */
#define KEEPER_READY DUR_S(30)    /* it reads the live snapshot */
#define REHEARSAL_TIME DUR_S(10)  /* it reads some kilobytes */
#define QUIET_WITHIN DUR_S(60)    /* a child that takes no message is killed by the watchdog long before */
#define WORKERS_READY DUR_S(120)  /* they wait for the trial of every script, which alone may take 30 s */

static void say_refused(struct supervisor *s, const char *why)
{
    char text[sizeof(struct error) + 32];

    snprintf(text, sizeof(text), "upgrade: refused: %s", why);
    log_at(LOG_ERROR, text, LOG_STR("serving", s->now->version));
}

/* All is as it was: nothing is left of the next edition. */
static void refused(struct supervisor *s, const char *why)
{
    char text[sizeof(struct error) + 96];

    edition_free(&s->upgrade.next, &s->now->sockets);
    snprintf(text, sizeof(text), "serving version %s; the upgrade was refused: %s", s->now->version, why);
    notify_ready(&s->notify, text);
    s->upgrade.state = UPGRADE_NONE;
}

/* Nothing of it has begun. */
static void refuse(struct supervisor *s, const char *why)
{
    say_refused(s, why);
    refused(s, why);
}

/* --- a rehearsal --- */

/* Whether its supervisor takes over what this one would hand to it is asked of a child that may die. */
static int rehearse(struct supervisor *s, const struct edition *e, mono_t now, struct error *err)
{
    struct upgrade *u = &s->upgrade;

    u->rehearsal_by = mono_add(now, REHEARSAL_TIME);
    if (takeover_rehearse(s, e, &u->rehearsal, err) == 0)
        return 0;
    u->rehearsal = 0;
    return -1;
}

static void rehearsal_tick(struct upgrade *u, mono_t now)
{
    if (u->rehearsal != 0 && !mono_before(now, u->rehearsal_by))
        kill(u->rehearsal, SIGKILL);
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
        return;
    }
    log_at(LOG_INFO, "upgrade: trying the binary and the configuration", LOG_STR("binary", s->binary_path));
    if (candidate_start(&u->candidate, s->binary_path, s->command_line, now, &err) == 0) {
        u->state = UPGRADE_TRYING;
        return;
    }
    refuse(s, err.text);
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

/* That a file was lost, or a line of it, must not give scripts what they never had. */
static int judge_user(const struct supervisor *s, const struct edition *next, struct error *err)
{
    const char *user = s->now->config.user.name;

    if (user == NULL || next->config.user.name != NULL)
        return 0;
    return error_set(err,
                     "'user' is not set any more (it is \"%s\"): processes would go on with all rights of root; that "
                     "takes a new start",
                     user);
}

/* Its binary must be one that the supervisor, too, can become: before anything changes. */
static void after_candidate(struct supervisor *s, int status)
{
    struct upgrade *u = &s->upgrade;
    struct error err;

    u->next = candidate_judge(&u->candidate, status, &err);
    if (u->next == NULL || judge_user(s, u->next, &err) != 0 ||
        (!binary_runs(u->next->binary) && rehearse(s, u->next, mono_now(), &err) != 0))
        refuse(s, err.text);
    else if (u->rehearsal == 0)
        u->state = UPGRADE_ROOM;
}

/* --- room --- */

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

static void begin_roll(struct supervisor *s, mono_t now)
{
    atomic_store(area_generation_of(s->area, s->upgrade.next->number), 0);
    bound_keep(&s->bound, s->upgrade.next);
    s->upgrade.state = UPGRADE_KEEPER;
    s->upgrade.deadline = mono_add(now, KEEPER_READY);
    child_leave(s, &s->keeper, KEEPER_MAKES_WAY, SLICE_NONE);
}

/* All goes on as it is while there is no room: it comes when `drain` of an earlier upgrade is over, at the latest. */
static void go_on_with_room(struct supervisor *s, mono_t now)
{
    struct upgrade *u = &s->upgrade;
    struct error err;

    if (!succession_room(s, u->next->config.workers)) {
        if (!u->waits)
            log_at(LOG_INFO, "upgrade: waits for workers of earlier ones to leave");
        u->waits = true;
        return;
    }
    if (next_number(s, &u->next->number, &err) == 0 &&
        sockets_open(&u->next->sockets, &u->next->config, &s->now->sockets, (dur_t){0}, &err) == 0)
        begin_roll(s, now);
    else
        refuse(s, err.text);
}

/* --- back --- */

/* What of the next edition lives is ended (who serves already, after what he has in hand), and the old keeper is
 * started again. A new one that can leaves by itself: killed, it might leave lines of the log to be written twice. */
static void go_back(struct supervisor *s, const char *why)
{
    struct upgrade *u = &s->upgrade;

    say_refused(s, why);
    if (why != u->why.text)
        error_set(&u->why, "%s", why);
    succession_undo(s);
    if (s->keeper.ready)
        child_leave(s, &s->keeper, KEEPER_MAKES_WAY, SLICE_NONE);
    else
        child_end(&s->keeper);
    u->state = UPGRADE_BACK;
}

static void begin_old_keeper(struct supervisor *s)
{
    child_init(&s->keeper, HERITAGE_KEEPER, s->now, 0, 0);
    refused(s, s->upgrade.why.text);
}

/* --- the new processes --- */

static void begin_new_keeper(struct supervisor *s)
{
    if (edition_inherit(s->upgrade.next, s->now, s->area) != 0) {
        go_back(s, "no descriptor is left for the scripts that are live");
        return;
    }
    child_init(&s->keeper, HERITAGE_KEEPER, s->upgrade.next, 0, 0);
    s->upgrade.keeper_before = s->keeper.incarnation;
}

/* It is waited for, unless it has failed too often, or for too long: then all goes back. */
static void wait_for(struct supervisor *s, const struct child *c, mono_t now)
{
    char why[96];

    if (c->stillborn >= SUPERVISOR_STILLBORN)
        snprintf(why, sizeof(why), "the new %s ended %u times before it was ready", c->name, c->stillborn);
    else if (!mono_before(now, s->upgrade.deadline))
        snprintf(why, sizeof(why), "the new %s was not ready in time", c->name);
    else
        return;
    go_back(s, why);
}

static void go_on_with_keeper(struct supervisor *s, mono_t now)
{
    if (s->upgrade.why.text[0] != '\0') {
        go_back(s, s->upgrade.why.text);
    } else if (child_free(&s->keeper)) {
        begin_new_keeper(s);
    } else if (s->keeper.edition == s->upgrade.next && s->keeper.ready) {
        s->upgrade.state = UPGRADE_WORKERS;
        s->upgrade.deadline = mono_add(now, WORKERS_READY);
        succession_begin(s);
    } else if (s->keeper.edition == s->upgrade.next) {
        wait_for(s, &s->keeper, now);
    }
}

/* How many lives of the new keeper have ended. */
static uint32_t keeper_deaths(const struct supervisor *s)
{
    return s->keeper.incarnation - s->upgrade.keeper_before - (s->keeper.pid != 0);
}

static void finish(struct supervisor *s);

static void go_on_with_workers(struct supervisor *s, mono_t now)
{
    const struct child *awaited = succession_awaited(s);
    char why[96];

    if (s->upgrade.why.text[0] != '\0') {
        go_back(s, s->upgrade.why.text);
    } else if (awaited == NULL) {
        finish(s);
    } else if (keeper_deaths(s) >= SUPERVISOR_STILLBORN) { /* without it no worker gets any further */
        snprintf(why, sizeof(why), "the new keeper ended %u times before the workers were ready", keeper_deaths(s));
        go_back(s, why);
    } else {
        wait_for(s, awaited, now);
    }
}

/* --- the supervisor itself --- */

void upgrade_done(struct supervisor *s)
{
    struct upgrade *u = &s->upgrade;
    char text[sizeof(struct error) + 96];

    u->state = UPGRADE_NONE;
    snprintf(text, sizeof(text), "serving version %s%s%s", s->now->version,
             u->why.text[0] != '\0' ? "; the supervisor goes on as the old binary: " : "", u->why.text);
    notify_ready(&s->notify, text);
    log_at(LOG_INFO, "upgrade: done", LOG_STR("version", s->now->version), LOG_STR("before", u->before),
           LOG_INT("pid", getpid()), LOG_JSON("listen", buf_slice(&s->now->sockets.listen_urls)),
           LOG_JSON("admin", buf_slice(&s->now->sockets.admin_urls)),
           LOG_JSON("health", buf_slice(&s->now->sockets.health_urls)), LOG_STR("hooks", s->now->config.hooks),
           LOG_STR("store", s->now->config.store), LOG_INT("workers", s->now->config.workers),
           LOG_FLOAT("ms", (double)mono_since(mono_now(), u->began).ns / 1e6));
}

/* It is a matter of this process alone: all that serve are of the new binary already. The next HUP tries again. */
static void stay(struct supervisor *s, const char *why)
{
    log_at(LOG_ERROR, "upgrade: the supervisor goes on as the old binary", LOG_STR("error", why));
    error_set(&s->upgrade.why, "%s", why);
    upgrade_done(s);
}

/* The new edition serves; from here on there is no way back. */
static void finish(struct supervisor *s)
{
    struct upgrade *u = &s->upgrade;
    struct edition *old = s->now;
    struct error err;

    succession_over(s);
    s->now = u->next;
    u->next = NULL;
    snprintf(u->before, sizeof(u->before), "%s", old->version);
    atomic_store(&s->area->workers, s->now->config.workers);
    log_open(STDERR_FILENO, s->now->config.log_level, "supervisor", config_log_form(&s->now->config));
    logbook_reopen(&s->logbook, &s->now->config);
    edition_free(&old, &s->now->sockets);
    rights_warn(&s->now->config);
    if (rights_give_up(&s->now->config, &err) != 0)
        log_at(LOG_ERROR, "the supervisor keeps all rights", LOG_STR("error", err.text));
    u->state = UPGRADE_EXEC;
    u->deadline = mono_add(mono_now(), QUIET_WITHIN);
    if (binary_runs(s->now->binary))
        upgrade_done(s);
}

/* Once more with all that it will really take over; a result stands until there is a quiet moment. */
static void go_on_with_exec(struct supervisor *s, mono_t now)
{
    struct upgrade *u = &s->upgrade;
    struct error err;

    rehearsal_tick(u, now);
    if (u->rehearsal != 0)
        return;
    if (!u->rehearsed) {
        if (rehearse(s, s->now, now, &err) != 0)
            stay(s, err.text);
    } else if (takeover_quiet(s)) {
        takeover_exec(s, &err);
        stay(s, err.text);
    } else if (!mono_before(now, u->deadline)) {
        stay(s, "a child did not take, or end, a message: there was no quiet moment");
    }
}

static void after_rehearsal(struct supervisor *s, int status)
{
    struct upgrade *u = &s->upgrade;
    bool trying = u->state == UPGRADE_TRYING;
    char why[128], room[64];

    u->rehearsal = 0;
    snprintf(why, sizeof(why), "the new supervisor cannot take over: %s", child_status_text(status, room));
    if (status == 0 && trying)
        u->state = UPGRADE_ROOM;
    else if (status == 0)
        u->rehearsed = true;
    else if (trying)
        refuse(s, why);
    else
        stay(s, why);
}

/* --- a pass of the loop --- */

void upgrade_reap(struct supervisor *s)
{
    struct upgrade *u = &s->upgrade;
    int status;

    if (u->rehearsal != 0 && waitpid(u->rehearsal, &status, WNOHANG) == u->rehearsal)
        after_rehearsal(s, status);
    if (u->candidate.pid != 0 && waitpid(u->candidate.pid, &status, WNOHANG) == u->candidate.pid)
        after_candidate(s, status);
}

/* The keeper has said it before anything of it serves, and publishes nothing. */
void upgrade_object(struct supervisor *s, const struct child *keeper, struct slice words)
{
    if (keeper->edition != NULL && keeper->edition == s->upgrade.next)
        error_set(&s->upgrade.why, "%.*s", SLICE_ARG(words));
}

void upgrade_go_on(struct supervisor *s, mono_t now)
{
    switch (s->upgrade.state) {
    case UPGRADE_NONE:
        if (s->upgrade.again)
            try_candidate(s, now);
        break;
    case UPGRADE_TRYING:
        candidate_tick(&s->upgrade.candidate, now);
        rehearsal_tick(&s->upgrade, now);
        break;
    case UPGRADE_ROOM:
        go_on_with_room(s, now);
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
