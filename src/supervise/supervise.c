/*
 * supervise.c: the supervisor's states (starting → running → draining → stopped) and its one poll loop. A pass:
 * signals, what children said, who is due to start, the watchdog. Nothing here waits for anything else. Owns: see
 * supervisor.h. Runs in: the supervisor's one thread. Fails: at start, with one line; then never by a child.
 */
#include "supervise/supervise.h"

#include "base/fd.h"
#include "base/jail.h"
#include "base/log.h"
#include "base/panic.h"
#include "supervise/child.h"
#include "supervise/desk.h"
#include "supervise/renewal.h"
#include "supervise/rights.h"
#include "supervise/signals.h"
#include "supervise/takeover.h"
#include "supervise/trials.h"
#include "supervise/upgrade.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAIT_MOST DUR_S(3600)  /* what poll takes as an int of milliseconds */
#define KEEPER_LEAVES DUR_S(2) /* with no worker left it has nothing to wait for */

/* Child number i: the keeper, then the workers. */
static struct child *child_at(struct supervisor *s, uint32_t i)
{
    return i == 0 ? &s->keeper : &s->workers[i - 1];
}

static uint32_t child_count(const struct supervisor *s)
{
    return s->places + 1;
}

/* --- starting --- */

/* A descriptor per connection: whatever the administrator allows. */
static void raise_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* Where that is too little, newcomers past it wait unaccepted instead of taking the place of idle ones. */
static void warn_descriptors(const struct config *config)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur <= config->limits.connections / config->workers)
        log_at(LOG_WARN, "limits.connections cannot be reached: RLIMIT_NOFILE of the workers is too low",
               LOG_INT("connections", config->limits.connections), LOG_INT("workers", config->workers),
               LOG_INT("descriptors_each", limit.rlim_cur),
               LOG_STR("remedy",
                       "raise the hard limit of open files (LimitNOFILE= of the service, ulimit -Hn), or lower "
                       "limits.connections"));
}

static int open_all(struct supervisor *s, const struct sockets *handed, struct error *err)
{
    const struct config *config = &s->now->config;

    raise_descriptors();
    if (sockets_open(&s->now->sockets, config, handed, SOCKETS_PATIENCE, err) != 0)
        return -1;
    bound_keep(&s->bound, s->now);
    if ((s->area = area_new(&s->area_fd, err)) == NULL)
        return -1;
    atomic_store(&s->area->workers, config->workers);
    tickets_rotate(&s->area->tickets, mono_now());
    if (logbook_open(&s->logbook, config, s->area, s->area_fd, -1, err) != 0)
        return -1;
    if ((s->signals = signals_open(err)) < 0)
        return -1;
    child_init(&s->keeper, HERITAGE_KEEPER, s->now, 0, 0);
    s->places = config->workers;
    for (uint32_t i = 0; i < s->places; i++)
        child_init(&s->workers[i], HERITAGE_WORKER, s->now, i, i);
    return 0;
}

static void start_due(struct supervisor *s, mono_t now)
{
    if (s->state >= SUPERVISOR_DRAINING)
        return;
    for (uint32_t i = 0; i < child_count(s); i++) {
        struct child *c = child_at(s, i);

        if (c->pid == 0 && c->edition != NULL && !mono_before(now, c->start_at))
            child_start(s, c, now);
    }
}

static void kill_all(struct supervisor *s)
{
    for (uint32_t i = 0; i < child_count(s); i++)
        if (child_at(s, i)->pid != 0)
            kill(child_at(s, i)->pid, SIGKILL);
    trials_abandon(s);
    upgrade_drop(s);
}

/* The first service: the keeper and one worker. Or the insight that there will be none. */
static void check_start(struct supervisor *s)
{
    bool worker = false;

    for (uint32_t i = 0; i < child_count(s); i++) {
        struct child *c = child_at(s, i);

        worker = worker || (i > 0 && c->ready);
        if (c->stillborn < SUPERVISOR_STILLBORN)
            continue;
        fprintf(stderr, "crescent: cannot start: %s ended %u times before it was ready\n", c->name, c->stillborn);
        s->state = SUPERVISOR_STOPPED;
        s->exit_code = 1;
        return;
    }
    if (!worker || !s->keeper.ready)
        return;
    s->state = SUPERVISOR_RUNNING;
    log_at(LOG_INFO, "serving", LOG_JSON("listen", buf_slice(&s->now->sockets.listen_urls)),
           LOG_JSON("admin", buf_slice(&s->now->sockets.admin_urls)),
           LOG_JSON("health", buf_slice(&s->now->sockets.health_urls)), LOG_STR("hooks", s->now->config.hooks),
           LOG_STR("store", s->now->config.store), LOG_INT("workers", s->now->config.workers),
           LOG_INT("connections", s->now->config.limits.connections),
           LOG_INT("generation", atomic_load(area_generation_of(s->area, s->now->number))));
    notify_ready(&s->notify, "serving");
}

/* What the service manager's watchdog hears of: this loop runs, and at least one worker takes requests up. */
static bool any_serves(const struct supervisor *s)
{
    for (uint32_t i = 0; i < s->places; i++)
        if (s->workers[i].pid != 0 && s->workers[i].ready && !s->workers[i].orphaned)
            return true;
    return false;
}

/* --- leaving --- */

/* A worker has a little less: it ends by itself what is left, tells of it, and is not killed within that. */
static dur_t for_workers(dur_t within)
{
    int64_t less = within.ns / 20 < DUR_MS(100).ns ? within.ns / 20 : DUR_MS(100).ns;

    return (dur_t){within.ns - less};
}

static void tell_drain(struct child *c, dur_t within)
{
    child_send(c, &(struct message){.type = MESSAGE_drain, .drain = {.deadline_ms = (uint64_t)dur_ms_up(within)}});
}

static void begin_drain(struct supervisor *s)
{
    dur_t within = s->now->config.drain;

    log_at(LOG_INFO, "draining", LOG_INT("within_ms", dur_ms_up(within)));
    s->state = SUPERVISOR_DRAINING;
    s->deadline = mono_add(mono_now(), within);
    trials_abandon(s);
    upgrade_drop(s);
    notify_stopping(&s->notify, within);
    sockets_shut(&s->now->sockets, NULL); /* the workers close theirs, too, once they have taken up who waits there */
    for (uint32_t i = 0; i < child_count(s); i++) {
        tell_drain(child_at(s, i), i > 0 ? for_workers(within) : within);
        if (i > 0 && child_at(s, i)->pid != 0)
            atomic_store(&s->area->worker[i - 1].state, AREA_DRAINING);
    }
}

/* Workers first, then the keeper; at the deadline without asking. */
static void go_on_draining(struct supervisor *s, mono_t now)
{
    bool workers = false;

    for (uint32_t i = 0; i < s->places; i++)
        workers = workers || s->workers[i].pid != 0;
    if (!workers && !s->keeper_leaves) {
        s->keeper_leaves = true;
        s->deadline = mono_add(now, KEEPER_LEAVES);
        tell_drain(&s->keeper, (dur_t){0});
    }
    if (!workers && s->keeper.pid == 0 && trials_none(s))
        s->state = SUPERVISOR_STOPPED;
    else if (!mono_before(now, s->deadline)) {
        s->deadline = MONO_NEVER;
        log_at(LOG_WARN, "drain time is over: what is left is killed");
        for (uint32_t i = 0; i < child_count(s); i++)
            if (child_at(s, i)->pid != 0 && (i > 0 || !workers))
                kill(child_at(s, i)->pid, SIGKILL);
    }
}

/* --- a pass of the loop --- */

static void reap(struct supervisor *s)
{
    int status;

    for (uint32_t i = 0; i < child_count(s); i++) {
        struct child *c = child_at(s, i);

        if (c->pid != 0 && waitpid(c->pid, &status, WNOHANG) == c->pid)
            child_died(s, c, status, mono_now());
    }
    trials_reap(s);
    upgrade_reap(s);
    orphans_tick(s, mono_now());
}

/* Somebody has no patience for a drain: its requests get no record, but the log their number. */
static void end_at_once(struct supervisor *s)
{
    uint64_t lost = 0;

    for (uint32_t i = 0; i < s->places; i++)
        if (s->workers[i].pid != 0)
            lost += counters_get(&s->area->worker[s->workers[i].slot].counters, COUNTER_under_way);
    if (s->state != SUPERVISOR_STOPPED && lost > 0)
        log_at(LOG_WARN, "ended before its drain was over", LOG_INT("requests_lost", lost));
    s->state = SUPERVISOR_STOPPED;
}

static void on_signal(struct supervisor *s, int number)
{
    switch (number) {
    case SIGCHLD:
        reap(s);
        break;
    case SIGTERM:
    case SIGINT:
        if (s->state < SUPERVISOR_DRAINING)
            begin_drain(s);
        else
            end_at_once(s);
        break;
    case SIGHUP:
        if (s->state < SUPERVISOR_DRAINING)
            upgrade_ask(s);
        break;
    case SIGUSR1:
        logbook_reopen(&s->logbook, &s->now->config);
        child_send(&s->keeper, &(struct message){.type = MESSAGE_reopen});
        break;
    }
}

/* When the loop must look again, if nothing happens. */
static int wait_ms(const struct supervisor *s, mono_t now)
{
    mono_t next = s->next_tick;

    if (s->state == SUPERVISOR_DRAINING && mono_before(s->deadline, next))
        next = s->deadline;
    if (s->state < SUPERVISOR_DRAINING)
        for (uint32_t i = 0; i < child_count(s); i++) {
            const struct child *c = i == 0 ? &s->keeper : &s->workers[i - 1];

            if (c->pid == 0 && c->edition != NULL && mono_before(c->start_at, next))
                next = c->start_at;
        }
    if (next.ns > mono_add(now, WAIT_MOST).ns)
        next = mono_add(now, WAIT_MOST);
    return (int)dur_ms_up(mono_since(next, now));
}

static void wait_and_hear(struct supervisor *s, struct pollfd *fds)
{
    uint32_t count = child_count(s); /* a signal may lead to more of them */
    int number;

    fds[0] = (struct pollfd){.fd = s->signals, .events = POLLIN};
    for (uint32_t i = 0; i < count; i++) {
        const struct channel *c = child_at(s, i)->channel;
        bool alive = c != NULL && channel_why(c) == NULL;

        fds[i + 1] = (struct pollfd){.fd = alive ? channel_fd(c) : -1,
                                     .events = alive && channel_wants_write(c) ? POLLIN | POLLOUT : POLLIN};
    }
    if (poll(fds, count + 1, wait_ms(s, mono_now())) <= 0)
        return;
    for (uint32_t i = 0; i < count; i++) {
        if (fds[i + 1].revents & POLLOUT)
            channel_write(child_at(s, i)->channel);
        if (fds[i + 1].revents & ~POLLOUT)
            desk_read(s, child_at(s, i));
    }
    while ((number = signals_next(s->signals)) != 0)
        on_signal(s, number);
}

static void run(struct supervisor *s)
{
    struct pollfd *fds = need_zero(AREA_SLOTS + 2, sizeof(*fds));

    s->next_tick = mono_add(mono_now(), WATCHDOG_TICK);
    start_due(s, mono_now());
    while (s->state != SUPERVISOR_STOPPED) {
        mono_t now;

        wait_and_hear(s, fds);
        now = mono_now();
        start_due(s, now);
        if (s->state == SUPERVISOR_STARTING)
            check_start(s);
        if (s->state == SUPERVISOR_RUNNING)
            upgrade_go_on(s, now);
        renewal_go_on(s, now);
        if (s->state == SUPERVISOR_DRAINING)
            go_on_draining(s, now);
        if (!mono_before(now, s->next_tick)) { /* a drain, too, is not to wait for what is stuck */
            s->next_tick = mono_add(now, WATCHDOG_TICK);
            watchdog_tick(s, now);
            tickets_rotate(&s->area->tickets, now);
            logbook_tick(&s->logbook);
            trials_tick(s, now);
            orphans_tick(s, now);
            notify_tick(&s->notify, now, any_serves(s));
        }
    }
    free(fds);
}

/* --- stopped --- */

static void close_all(struct supervisor *s)
{
    for (uint32_t i = 0; i < child_count(s); i++) {
        struct child *c = child_at(s, i);

        if (c->pid != 0)
            waitpid(c->pid, NULL, 0);
        channel_free(&c->channel);
    }
    for (size_t i = 0; i < SUPERVISOR_TRIALS; i++)
        if (s->trials[i].pid != 0)
            waitpid(s->trials[i].pid, NULL, 0);
    orphans_end(s);
    logbook_close(&s->logbook);
    fd_close(&s->signals); /* they stay blocked: a second TERM is not to end by signal what ends well */
    area_free(&s->area);
    fd_close(&s->area_fd);
    fd_close(&s->command_line);
    edition_free(&s->now, NULL);
    bound_free(&s->bound);
    notify_close(&s->notify);
    free(s->binary_path);
}

void supervise_start_free(struct supervise_start *start)
{
    config_free(&start->config);
    fd_close(&start->config_text);
    fd_close(&start->command_line);
    fd_close(&start->binary);
    free(start->binary_path);
    notify_close(&start->notify);
    sockets_close(&start->sockets, NULL);
}

/* Runs to the end, and leaves nothing. Returns the exit code. */
static int serve(struct supervisor *s)
{
    int exit_code;

    jail_close_supervisor();
    run(s);
    kill_all(s);
    if (s->exit_code == 0)
        log_at(LOG_INFO, "stopped");
    close_all(s);
    exit_code = s->exit_code;
    free(s);
    return exit_code;
}

int supervise_run(struct supervise_start *start)
{
    struct supervisor *s = need_zero(1, sizeof(*s));
    struct error err;

    s->now = edition_new(0, CRESCENT_VERSION, &start->config, start->config_text, start->binary);
    s->command_line = start->command_line;
    s->binary_path = start->binary_path;
    s->notify = start->notify;
    s->signals = s->area_fd = -1;
    orphans_begin(s);
    if (open_all(s, &start->sockets, &err) == 0 && rights_give_up(&s->now->config, &err) == 0) {
        rights_warn(&s->now->config);
        warn_descriptors(&s->now->config);
        sockets_close(&start->sockets, &s->now->sockets);
        return serve(s);
    }
    fprintf(stderr, "crescent: %s\n", err.text);
    sockets_close(&start->sockets, NULL);
    close_all(s);
    free(s);
    return 1;
}

/* What is not handed over: signals (blocked all along), the way to the log, what the service manager is told. */
static int reopen_all(struct supervisor *s, struct error *err)
{
    const struct config *config = &s->now->config;

    log_open(STDERR_FILENO, config->log_level, "supervisor", config_log_form(config));
    if (notify_open(&s->notify, err) != 0 ||
        logbook_open(&s->logbook, config, s->area, s->area_fd, s->logbook.wake, err) != 0)
        return -1;
    return (s->signals = signals_open(err)) >= 0 ? 0 : -1;
}

int supervise_given_state(bool *rehearsal_out)
{
    return takeover_given(rehearsal_out);
}

int supervise_take_over(int state, bool rehearsal)
{
    struct supervisor *s = need_zero(1, sizeof(*s));
    struct error err;

    s->signals = s->area_fd = s->command_line = -1;
    s->notify.socket = -1;
    if (takeover_read(state, s, &err) != 0 || (!rehearsal && reopen_all(s, &err) != 0)) {
        fprintf(stderr, "crescent: cannot take over: %s\n", err.text);
        _exit(1); /* the children end with this process */
    }
    if (rehearsal)
        _exit(0);
    if (rights_give_up(&s->now->config, &err) != 0)
        log_at(LOG_ERROR, "the supervisor keeps all rights", LOG_STR("error", err.text));
    s->state = SUPERVISOR_RUNNING;
    orphans_begin(s);
    upgrade_done(s);
    reap(s); /* who ended between two programs */
    return serve(s);
}
