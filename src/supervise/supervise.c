/*
 * supervise.c: the supervisor's states (starting → running → draining → stopped) and its one poll loop. A pass:
 * signals, what children said, who is due to start, the watchdog. Nothing here waits for anything else. Owns: see
 * supervisor.h. Runs in: the supervisor's one thread. Fails: at start, with one line; then never by a child.
 */
#include "supervise/supervise.h"

#include "base/fd.h"
#include "base/log.h"
#include "base/panic.h"
#include "supervise/child.h"
#include "supervise/desk.h"
#include "supervise/signals.h"
#include "supervise/trials.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define WAIT_MOST DUR_S(3600)  /* what poll takes as an int of milliseconds */
#define KEEPER_LEAVES DUR_S(2) /* with no worker left it has nothing to wait for */

/* Child number i: the keeper, then the workers. */
static struct child *child_at(struct supervisor *s, uint32_t i)
{
    return i == 0 ? &s->keeper : &s->workers[i - 1];
}

static uint32_t child_count(const struct supervisor *s)
{
    return s->config->workers + 1;
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

static int open_all(struct supervisor *s, const struct sockets *handed, struct error *err)
{
    snapshots_init(&s->snapshots);
    s->signals = s->area_fd = -1;
    raise_descriptors();
    if (sockets_open(&s->sockets, s->config, handed, err) != 0)
        return -1;
    if ((s->area = area_new(&s->area_fd, err)) == NULL)
        return -1;
    atomic_store(&s->area->workers, s->config->workers);
    tickets_rotate(&s->area->tickets, mono_now());
    if (logbook_open(&s->logbook, s->config, s->area, s->area_fd, -1, err) != 0)
        return -1;
    if ((s->signals = signals_open(err)) < 0)
        return -1;
    child_init(&s->keeper, HERITAGE_KEEPER, 0, 0);
    s->workers = need_zero(s->config->workers, sizeof(*s->workers));
    for (uint32_t i = 0; i < s->config->workers; i++)
        child_init(&s->workers[i], HERITAGE_WORKER, i, i);
    return 0;
}

static void start_due(struct supervisor *s, mono_t now)
{
    if (s->state >= SUPERVISOR_DRAINING)
        return;
    for (uint32_t i = 0; i < child_count(s); i++) {
        struct child *c = child_at(s, i);

        if (c->pid == 0 && !mono_before(now, c->start_at))
            child_start(s, c, now);
    }
}

static void kill_all(struct supervisor *s)
{
    for (uint32_t i = 0; i < child_count(s); i++)
        if (child_at(s, i)->pid != 0)
            kill(child_at(s, i)->pid, SIGKILL);
    trials_abandon(s);
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
    log_at(LOG_INFO, "serving", LOG_JSON("listen", buf_slice(&s->sockets.listen_urls)),
           LOG_JSON("admin", buf_slice(&s->sockets.admin_urls)), LOG_JSON("health", buf_slice(&s->sockets.health_urls)),
           LOG_STR("hooks", s->config->hooks), LOG_INT("workers", s->config->workers),
           LOG_INT("generation", atomic_load(area_generation(s->area))));
    notify_ready(&s->notify, "serving");
}

/* What the service manager's watchdog hears of: this loop runs, and at least one worker takes requests up. */
static bool any_serves(const struct supervisor *s)
{
    for (uint32_t i = 0; i < s->config->workers; i++)
        if (s->workers[i].pid != 0 && s->workers[i].ready && !s->workers[i].orphaned)
            return true;
    return false;
}

/* --- leaving --- */

static void tell_drain(struct child *c, dur_t within)
{
    child_send(c, &(struct message){.type = MESSAGE_drain, .drain = {.deadline_ms = (uint64_t)dur_ms_up(within)}});
}

static void begin_drain(struct supervisor *s)
{
    log_at(LOG_INFO, "draining", LOG_INT("within_ms", dur_ms_up(s->config->drain)));
    s->state = SUPERVISOR_DRAINING;
    s->deadline = mono_add(mono_now(), s->config->drain);
    trials_abandon(s);
    notify_stopping(&s->notify, s->config->drain);
    sockets_shut(&s->sockets); /* the workers close theirs, too, once they have taken up who waits there */
    for (uint32_t i = 0; i < child_count(s); i++) {
        tell_drain(child_at(s, i), s->config->drain);
        if (i > 0)
            atomic_store(&s->area->worker[i - 1].state, AREA_DRAINING);
    }
}

/* Workers first, then the keeper; at the deadline without asking. */
static void go_on_draining(struct supervisor *s, mono_t now)
{
    bool workers = false;

    for (uint32_t i = 0; i < s->config->workers; i++)
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
            s->state = SUPERVISOR_STOPPED;
        break;
    case SIGHUP:
        log_at(LOG_WARN, "reload of configuration by HUP is not supported yet");
        break;
    case SIGUSR1:
        logbook_reopen(&s->logbook, s->config);
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

            if (c->pid == 0 && mono_before(c->start_at, next))
                next = c->start_at;
        }
    if (next.ns > mono_add(now, WAIT_MOST).ns)
        next = mono_add(now, WAIT_MOST);
    return (int)dur_ms_up(mono_since(next, now));
}

static void wait_and_hear(struct supervisor *s, struct pollfd *fds)
{
    int number;

    fds[0] = (struct pollfd){.fd = s->signals, .events = POLLIN};
    for (uint32_t i = 0; i < child_count(s); i++) {
        const struct channel *c = child_at(s, i)->channel;
        bool alive = c != NULL && channel_why(c) == NULL;

        fds[i + 1] = (struct pollfd){.fd = alive ? channel_fd(c) : -1,
                                     .events = alive && channel_wants_write(c) ? POLLIN | POLLOUT : POLLIN};
    }
    if (poll(fds, child_count(s) + 1, wait_ms(s, mono_now())) <= 0)
        return;
    for (uint32_t i = 0; i < child_count(s); i++) {
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
    struct pollfd *fds = need_zero(child_count(s) + 1, sizeof(*fds));

    s->next_tick = mono_add(mono_now(), WATCHDOG_TICK);
    start_due(s, mono_now());
    while (s->state != SUPERVISOR_STOPPED) {
        mono_t now;

        wait_and_hear(s, fds);
        now = mono_now();
        start_due(s, now);
        if (s->state == SUPERVISOR_STARTING)
            check_start(s);
        if (s->state == SUPERVISOR_DRAINING)
            go_on_draining(s, now);
        if (!mono_before(now, s->next_tick)) { /* a drain, too, is not to wait for what is stuck */
            s->next_tick = mono_add(now, WATCHDOG_TICK);
            watchdog_tick(s, now);
            tickets_rotate(&s->area->tickets, now);
            logbook_tick(&s->logbook);
            trials_tick(s, now);
            notify_tick(&s->notify, now, any_serves(s));
        }
    }
    free(fds);
}

/* --- stopped --- */

static void close_all(struct supervisor *s)
{
    for (uint32_t i = 0; s->workers != NULL && i < child_count(s); i++) {
        struct child *c = child_at(s, i);

        if (c->pid != 0)
            waitpid(c->pid, NULL, 0);
        channel_free(&c->channel);
    }
    for (size_t i = 0; i < SUPERVISOR_TRIALS; i++)
        if (s->trials[i].pid != 0)
            waitpid(s->trials[i].pid, NULL, 0);
    logbook_close(&s->logbook);
    free(s->workers);
    if (s->signals >= 0)
        signals_close(&s->signals);
    area_free(&s->area);
    fd_close(&s->area_fd);
    snapshots_close(&s->snapshots);
    sockets_close(&s->sockets, NULL);
    notify_close(&s->notify);
}

void supervise_given_free(struct supervise_given *given)
{
    notify_close(&given->notify);
    sockets_close(&given->sockets, NULL);
}

int supervise_run(const struct config *config, int config_text, struct supervise_given *given)
{
    struct supervisor s = {.config = config, .config_text = config_text, .notify = given->notify};
    struct error err;

    given->notify = (struct notify){.socket = -1};
    if (open_all(&s, &given->sockets, &err) == 0) {
        sockets_close(&given->sockets, &s.sockets);
        run(&s);
        kill_all(&s);
        if (s.exit_code == 0)
            log_at(LOG_INFO, "stopped");
    } else {
        fprintf(stderr, "crescent: %s\n", err.text);
        s.exit_code = 1;
    }
    close_all(&s);
    supervise_given_free(given);
    return s.exit_code;
}
