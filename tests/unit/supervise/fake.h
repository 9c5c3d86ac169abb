/*
 * fake.h: the children of test_supervise: this binary again, playing keeper, worker and trial. They append what they
 * see to the file $REPORT, and do on a signal what a sick child does.
 */
#ifndef TESTS_SUPERVISE_FAKE_H
#define TESTS_SUPERVISE_FAKE_H

#include "base/fd.h"
#include "base/panic.h"
#include "ipc/channel.h"
#include "ipc/heritage.h"
#include "shm/area.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

struct fake {
    struct heritage h;
    struct channel *up, *peer;
    struct area *area;
    char name[32];
};
static volatile sig_atomic_t order; /* the signal that came */

static void on_order(int number)
{
    order = number;
}

__attribute__((format(printf, 2, 3))) static void report(const struct fake *f, const char *format, ...)
{
    char line[512];
    int fd = open(getenv("REPORT"), O_WRONLY | O_APPEND | O_CLOEXEC), n;
    va_list args;

    n = snprintf(line, sizeof(line), "%s/%u %d ", f->name, f->h.incarnation, (int)getpid());
    va_start(args, format);
    n += vsnprintf(line + n, sizeof(line) - (size_t)n - 1, format, args);
    va_end(args);
    line[n++] = '\n';
    NEED(write(fd, line, (size_t)n) == n);
    close(fd);
}

static size_t open_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    size_t count = 0;

    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count - 3; /* ".", "..", and the folder itself */
}

static void fake_tell(struct fake *f, struct message m)
{
    channel_send(f->up, &m);
    channel_flush(f->up);
}

static void fake_keeper_hears(struct fake *f, const struct message *m)
{
    switch (m->type) {
    case MESSAGE_died:
        report(f, "told died %u/%u script=%.*s version=%llu preparing=%u", m->died.slot, m->died.incarnation,
               SLICE_ARG(m->died.script), (unsigned long long)m->died.script_version, m->died.preparing);
        break;
    case MESSAGE_trial:
        report(f, "told trial %u", m->trial.id);
        f->peer = channel_new(m->trial.socket);
        break;
    case MESSAGE_trial_ended:
        report(f, "told trial_ended %u status=%x words=%.*s", m->trial_ended.id, m->trial_ended.status,
               SLICE_ARG(m->trial_ended.words));
        break;
    case MESSAGE_snapshot_kept:
        report(f, "told snapshot_kept %llu", (unsigned long long)m->snapshot_kept.generation);
        break;
    case MESSAGE_peer:
        report(f, "told peer %u/%u", m->peer.slot, m->peer.incarnation);
        close(m->peer.socket);
        break;
    case MESSAGE_reopen:
        report(f, "told reopen");
        break;
    default:
        break;
    }
}

static void fake_hears(struct fake *f, const struct message *m)
{
    if (m->type == MESSAGE_ping)
        fake_tell(f, (struct message){.type = MESSAGE_pong, .pong = {.sequence = m->ping.sequence}});
    else if (m->type == MESSAGE_drain) {
        report(f, "drains within %llu", (unsigned long long)m->drain.deadline_ms);
        if (f->h.kind == HERITAGE_KEEPER ? m->drain.deadline_ms == 0 : getenv("STUBBORN") == NULL)
            exit(0);
    } else if (m->type == MESSAGE_adopt)
        report(f, "adopts %u", m->adopt.member);
    else if (m->type == MESSAGE_release)
        report(f, "releases %u", m->release.member);
    else if (f->h.kind == HERITAGE_KEEPER)
        fake_keeper_hears(f, m);
    else if (m->type == MESSAGE_peer) {
        report(f, "has keeper/%u", m->peer.incarnation);
        close(m->peer.socket);
    }
}

static void be_stuck(struct fake *f)
{
    progress_begin(&f->area->worker[f->h.slot].progress, "bad/loop", 7, DUR_MS(250), true);
    fputs("last words\n", stderr);
    for (;;)
        __asm__ volatile("");
}

static void fake_obeys(struct fake *f)
{
    int number = order, fd;

    order = 0;
    if (number == SIGUSR1 && f->h.kind == HERITAGE_WORKER)
        be_stuck(f);
    if (number == SIGUSR2) /* bytes that are no message */
        NEED(write(channel_fd(f->up), "GET / HTTP/1.1\r\n", 16) == 16);
    if (number == SIGUSR1) {
        fake_tell(f, (struct message){.type = MESSAGE_trial_wanted, .trial_wanted = {.id = 5}});
        fake_tell(f, (struct message){.type = MESSAGE_trial_begins, .trial_begins = {.id = 5}});
    }
    if (number == SIGALRM) { /* keeper: generation 1 goes live */
        fd = memfd_create("snapshot", MFD_CLOEXEC);
        fake_tell(f, (struct message){.type = MESSAGE_snapshot, .snapshot = {.generation = 1, .snapshot = fd}});
        atomic_store(area_generation(f->area), 1);
    }
    if (number == SIGWINCH) /* worker: what only a keeper may say */
        fake_tell(f, (struct message){.type = MESSAGE_flip, .flip = {.generation = 9}});
    if (number == SIGPROF) /* worker: it is worn */
        fake_tell(f, (struct message){.type = MESSAGE_worn, .worn = {.incarnation = f->h.incarnation}});
    if (number == SIGVTALRM) /* a death by itself */
        _exit(3);
}

static void fake_serve(struct fake *f)
{
    struct pollfd p = {.fd = channel_fd(f->up), .events = POLLIN};
    struct message m;
    int got = 0;

    while (got >= 0) {
        if (order != 0)
            fake_obeys(f);
        if (poll(&p, 1, 20) > 0)
            channel_read(f->up);
        while ((got = channel_next(f->up, &m)) > 0)
            fake_hears(f, &m);
    }
}

/* A trial: says one word to the keeper and goes. */
static int fake_trial(struct fake *f)
{
    struct channel *c = channel_new(f->h.extra);
    struct rlimit stack;

    getrlimit(RLIMIT_STACK, &stack);
    report(f, "trial stack=%lu", (unsigned long)stack.rlim_cur);
    channel_send(c, &(struct message){.type = MESSAGE_tried_all, .tried_all = {.count = 1}});
    channel_flush(c);
    channel_free(&c);
    heritage_free(&f->h);
    return 4;
}

static inline int fake_main(const char *kind, const char *label)
{
    static const int orders[] = {SIGUSR1, SIGUSR2, SIGALRM, SIGWINCH, SIGVTALRM, SIGPROF};
    struct fake f = {0};
    struct error err;
    sigset_t mask;
    int seals = 0;

    for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++)
        signal(orders[i], on_order);
    if (heritage_read(&f.h, &err) != 0) {
        fprintf(stderr, "fake: %s\n", err.text);
        return 9;
    }
    snprintf(f.name, sizeof(f.name), "%s%s", kind, label != NULL ? label : "");
    if (f.h.kind == HERITAGE_TRIAL)
        return fake_trial(&f);
    if (getenv("STILLBORN") != NULL)
        return 1;
    sigprocmask(SIG_SETMASK, NULL, &mask);
    seals = fcntl(f.h.config, F_GET_SEALS);
    report(&f, "born fds=%zu sockets=%zu generation=%llu snapshot=%s blocked=%d sealed=%d", open_descriptors(),
           f.h.socket_count, (unsigned long long)f.h.generation, f.h.snapshot >= 0 ? "yes" : "no",
           sigismember(&mask, SIGTERM), (seals & F_SEAL_WRITE) != 0);
    f.up = channel_new(f.h.supervisor);
    if ((f.area = area_map(f.h.area, &err)) == NULL)
        return 9;
    if (f.h.kind == HERITAGE_WORKER)
        area_capture_stderr(f.area, f.h.slot);
    fake_tell(&f, (struct message){.type = MESSAGE_ready, .ready = {.incarnation = f.h.incarnation}});
    fake_serve(&f);
    return 0;
}

#endif
