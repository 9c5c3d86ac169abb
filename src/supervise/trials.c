/*
 * trials.c: see trials.h.
 */
#include "supervise/trials.h"

#include "base/fd.h"
#include "supervise/child.h"
#include "supervise/spawn.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRIAL_TIME DUR_S(30)
#define NOT_STARTED (127 << 8) /* as of a failed exec */

static void tell_ended(struct supervisor *s, uint32_t id, int status, const char *words)
{
    struct message m = {.type = MESSAGE_trial_ended,
                        .trial_ended = {.id = id, .status = (uint32_t)status, .words = slice_of(words)}};

    child_send(&s->keeper, &m);
}

/* The process, with its end of the channel; the other end goes to the keeper. */
static int start(struct supervisor *s, struct supervisor_trial *t, struct error *err)
{
    int ends[2];
    struct heritage h = {.kind = HERITAGE_TRIAL,
                         .supervisor = HERITAGE_NO_FD,
                         .area = HERITAGE_NO_FD,
                         .wake = HERITAGE_NO_FD,
                         .snapshot = HERITAGE_NO_FD};
    struct spawn what = {.heritage = &h, .binary = s->keeper.edition->binary, .words = -1};

    if (channel_pair(ends) != 0)
        return error_errno(err, "cannot start a trial: socketpair");
    h.extra = ends[0];
    h.config = edition_open_text(s->keeper.edition, err);
    bool started = h.config >= 0 && spawn_child(&what, &t->pid, err) == 0;
    fd_close(&h.config);
    fd_close(&ends[0]);
    if (!started) {
        t->pid = 0;
        fd_close(&ends[1]);
        return -1;
    }
    child_send(&s->keeper, &(struct message){.type = MESSAGE_trial, .trial = {.id = t->id, .socket = ends[1]}});
    return 0;
}

void trials_start(struct supervisor *s, uint32_t id, mono_t now)
{
    struct supervisor_trial *t = NULL;
    struct error err;

    for (size_t i = 0; i < SUPERVISOR_TRIALS && t == NULL; i++)
        if (s->trials[i].pid == 0)
            t = &s->trials[i];
    if (t == NULL) {
        tell_ended(s, id, NOT_STARTED, "too many trials at once");
    } else {
        *t = (struct supervisor_trial){.id = id, .deadline = mono_add(now, TRIAL_TIME)};
        if (start(s, t, &err) != 0)
            tell_ended(s, id, NOT_STARTED, err.text);
    }
}

void trials_begin(struct supervisor *s, uint32_t id, mono_t now)
{
    for (size_t i = 0; i < SUPERVISOR_TRIALS; i++)
        if (s->trials[i].pid != 0 && s->trials[i].id == id && !s->trials[i].abandoned)
            s->trials[i].deadline = mono_add(now, TRIAL_TIME);
}

void trials_tick(struct supervisor *s, mono_t now)
{
    for (size_t i = 0; i < SUPERVISOR_TRIALS; i++) {
        struct supervisor_trial *t = &s->trials[i];

        if (t->pid == 0 || t->late || mono_before(now, t->deadline))
            continue;
        t->late = true;
        kill(t->pid, SIGKILL);
    }
}

void trials_reap(struct supervisor *s)
{
    for (size_t i = 0; i < SUPERVISOR_TRIALS; i++) {
        struct supervisor_trial *t = &s->trials[i];
        int status;

        if (t->pid == 0 || waitpid(t->pid, &status, WNOHANG) != t->pid)
            continue;
        t->pid = 0;
        if (!t->abandoned)
            tell_ended(s, t->id, status, t->late ? "loading took more than 30 s" : "");
    }
}

void trials_abandon(struct supervisor *s)
{
    for (size_t i = 0; i < SUPERVISOR_TRIALS; i++)
        if (s->trials[i].pid != 0) {
            s->trials[i].abandoned = true;
            kill(s->trials[i].pid, SIGKILL);
        }
}

bool trials_none(const struct supervisor *s)
{
    for (size_t i = 0; i < SUPERVISOR_TRIALS; i++)
        if (s->trials[i].pid != 0)
            return false;
    return true;
}
