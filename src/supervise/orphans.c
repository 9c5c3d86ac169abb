/*
 * orphans.c: see orphans.h.
 */
#include "supervise/orphans.h"

#include "base/fd.h"
#include "base/log.h"
#include "exec/descendants.h"
#include "supervise/supervisor.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define HUNT DUR_S(10)        /* after a worker's death, and after the last time there was somebody */
#define HUNT_LOOKS 5          /* of a tick, a millisecond apart */
#define SPAWNER_TIME DUR_S(5) /* for the spawner of a dead worker to do what it is there for */
#define LOOK DUR_S(1)         /* between two looks in quiet times */
#define AT_THE_END DUR_S(1)

static bool is_ours(const struct supervisor *s, pid_t pid)
{
    if (pid == s->keeper.pid || pid == s->upgrade.candidate.pid || pid == s->upgrade.rehearsal)
        return true;
    for (uint32_t i = 0; i < s->places; i++)
        if (pid == s->workers[i].pid)
            return true;
    for (size_t i = 0; i < SUPERVISOR_TRIALS; i++)
        if (pid == s->trials[i].pid)
            return true;
    return false;
}

static bool is_foreign(const struct orphans *o, pid_t pid)
{
    for (size_t i = 0; i < o->foreign_count; i++)
        if (pid == o->foreign[i])
            return true;
    return false;
}

static bool is_spawner(pid_t pid)
{
    char path[40], words[32] = "";
    int fd;

    snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd >= 0 ? read(fd, words, sizeof(words) - 1) : -1;
    fd_close(&fd);
    return len > 0 && strcmp(words, "crescent") == 0 && strcmp(words + sizeof("crescent"), "spawner") == 0;
}

/* Believed for no more than a little patience, and woken up: a program may have stopped it. */
static bool is_spawner_at_work(pid_t pid)
{
    return is_spawner(pid) && kill(pid, SIGCONT) == 0;
}

struct look {
    const struct supervisor *s;
    bool patient; /* with spawners */
};

static bool is_spared(pid_t pid, void *cookie)
{
    const struct look *l = cookie;

    return is_ours(l->s, pid) || is_foreign(&l->s->orphans, pid) || (l->patient && is_spawner_at_work(pid));
}

/* None of ours, nor of a dead worker's. */
static void note_foreign(struct supervisor *s)
{
    struct orphans *o = &s->orphans;
    size_t count;
    pid_t *list = descendants_children(getpid(), &count);

    for (size_t i = 0; i < count && o->foreign_count < ORPHANS_FOREIGN; i++)
        if (!is_ours(s, list[i]) && !is_foreign(o, list[i]) && !is_spawner(list[i]))
            o->foreign[o->foreign_count++] = list[i];
    free(list);
}

static void collect_foreign(struct orphans *o)
{
    for (size_t i = 0; i < o->foreign_count;)
        if (waitpid(o->foreign[i], NULL, WNOHANG) != 0) /* ended, or another's by now */
            o->foreign[i] = o->foreign[--o->foreign_count];
        else
            i++;
}

void orphans_begin(struct supervisor *s)
{
    s->orphans = (struct orphans){.worker_died = mono_now(), .hunt_until = mono_now()};
    descendants_adopt();
    note_foreign(s);
}

void orphans_worker_died(struct supervisor *s, mono_t now)
{
    s->orphans.worker_died = s->orphans.next = now;
    s->orphans.hunt_until = mono_add(now, HUNT);
}

/* What forks is to meet more than a look each tick. What cannot be killed is not waited for. */
static void hunt(struct orphans *o, struct look *look, mono_t now)
{
    for (int i = 0; i < HUNT_LOOKS && descendants_kill(is_spared, look) == DESCENDANTS_LEFT; i++) {
        o->hunt_until = mono_add(now, HUNT);
        poll(NULL, 0, 1);
    }
}

void orphans_tick(struct supervisor *s, mono_t now)
{
    struct orphans *o = &s->orphans;
    dur_t since = mono_since(now, o->worker_died);
    struct look look = {.s = s, .patient = since.ns < SPAWNER_TIME.ns};

    if (mono_before(now, o->next))
        return;
    collect_foreign(o);
    if (mono_before(now, o->hunt_until)) {
        hunt(o, &look, now);
        return;
    }
    note_foreign(s);
    o->next = mono_add(now, LOOK);
}

static bool any_left(const struct supervisor *s)
{
    size_t count, left = 0;
    pid_t *list = descendants_children(getpid(), &count);

    for (size_t i = 0; i < count; i++)
        left += !is_foreign(&s->orphans, list[i]);
    free(list);
    return left > 0;
}

void orphans_end(struct supervisor *s)
{
    mono_t began = mono_now();
    struct look look = {.s = s};

    for (dur_t past = {0}; any_left(s); past = mono_since(mono_now(), began)) {
        if (past.ns > 2 * AT_THE_END.ns) {
            log_at(LOG_WARN, "programs of scripts hang in the system, and outlive the server");
            return;
        }
        look.patient = past.ns < AT_THE_END.ns;
        descendants_kill(is_spared, &look);
        poll(NULL, 0, 2);
    }
}
