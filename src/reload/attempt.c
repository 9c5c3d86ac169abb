/*
 * attempt.c: see attempt.h. One trial at a time; its messages (trying, tried, tried_all) come over its own socket, its
 * end over the supervisor's: so the socket is read empty before an end is believed.
 */
#include "reload/attempt.h"
#include "base/duration.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/panic.h"
#include "io/timeout.h"
#include "ipc/link.h"
#include "load/limit.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define IDLE_DEATHS 3 /* trials that die without having tried anything, until that is told for all */
#define AGAIN_AFTER DUR_MS(100)
#define EXPECT_AGAIN DUR_S(1) /* after a trial that was started for nothing */

struct attempt {
    struct attempt_host host;
    struct snapshot all;  /* the candidate as given */
    struct snapshot rest; /* what the trial under way was given: arrays borrowed from `all` but for the scripts */
    size_t *place;        /* of the rest's scripts in `all` */
    bool *told;           /* of `all`: has its result */
    bool under_way;
    bool waiting;       /* a trial was asked for before there was a candidate, and has none yet */
    uint32_t id;        /* of the trial under way, or waiting; counts up */
    int candidate;      /* sealed; for a trial that has not told of its start yet; or -1 */
    mono_t expect_from; /* until then none is started without a candidate */
    struct link *link;
    size_t trying; /* in `rest`; SIZE_MAX: nothing yet */
    unsigned idle_deaths;
    struct timeout again;
};

static void begin_trial(struct attempt *a);
static void on_trying(struct link *l, const struct message *m, void *cookie);
static void on_tried(struct link *l, const struct message *m, void *cookie);
static void on_tried_all(struct link *l, const struct message *m, void *cookie);
static void on_link_ended(struct link *l, const char *why, void *cookie);

static const struct link_handlers trial_handlers = {
    .on = {[MESSAGE_trying] = on_trying, [MESSAGE_tried] = on_tried, [MESSAGE_tried_all] = on_tried_all},
    .ended = on_link_ended,
};

struct attempt *attempt_new(const struct attempt_host *host)
{
    struct attempt *a = need_zero(1, sizeof(*a));
    a->host = *host;
    a->candidate = -1;
    return a;
}

static void drop_trial(struct attempt *a)
{
    link_free(&a->link);
    fd_close(&a->candidate);
    a->waiting = false;
    free(a->rest.scripts);
    free(a->place);
    a->rest = (struct snapshot){0};
    a->place = NULL;
}

static void drop_all(struct attempt *a)
{
    drop_trial(a);
    timeout_clear(&a->again);
    snapshot_free(&a->all);
    free(a->told);
    a->told = NULL;
    a->under_way = false;
}

void attempt_free(struct attempt **a)
{
    struct attempt *gone = *a;
    *a = NULL;
    if (gone == NULL)
        return;
    drop_all(gone);
    free(gone);
}

void attempt_begin(struct attempt *a, struct snapshot *candidate)
{
    CHECK(!a->under_way);
    a->all = *candidate;
    *candidate = (struct snapshot){0};
    a->told = need_zero(a->all.script_count + 1, sizeof(bool));
    a->under_way = true;
    a->idle_deaths = 0;
    begin_trial(a);
}

/* --- one trial ---------------------------------------------------------------------------------------------------- */

static void tell(struct attempt *a, size_t script, const struct trial_result *r)
{
    if (a->told[script])
        return;
    a->told[script] = true;
    a->host.tried(a->host.cookie, script, r);
}

static void tell_broken(struct attempt *a, size_t script, const char *words)
{
    struct slice file = a->all.scripts[script].file;
    struct buf errors = {0};
    buf_addf(&errors, "%.*s: %s", SLICE_ARG(file), words);
    const struct trial_result r = {.good = false, .errors = buf_slice(&errors)};
    tell(a, script, &r);
    buf_free(&errors);
}

static void all_broken(struct attempt *a, const char *words)
{
    for (size_t i = 0; i < a->all.script_count; i++)
        if (!a->told[i])
            tell_broken(a, i, words);
}

static bool all_told(const struct attempt *a)
{
    for (size_t i = 0; i < a->all.script_count; i++)
        if (!a->told[i])
            return false;
    return true;
}

static void finish(struct attempt *a)
{
    drop_all(a);
    a->host.done(a->host.cookie);
}

static void want_trial(struct attempt *a)
{
    const struct message m = {.type = MESSAGE_trial_wanted, .trial_wanted = {.id = ++a->id}};
    a->host.to_supervisor(a->host.supervisor, &m);
}

void attempt_expect(struct attempt *a)
{
    if (a->under_way || a->waiting || mono_before(loop_now(a->host.loop), a->expect_from))
        return;
    a->waiting = true;
    want_trial(a);
}

void attempt_dismiss(struct attempt *a)
{
    if (!a->waiting)
        return;
    drop_trial(a);
    a->expect_from = mono_add(loop_now(a->host.loop), EXPECT_AGAIN);
}

static void give_candidate(struct attempt *a)
{
    const struct message begins = {.type = MESSAGE_trial_begins, .trial_begins = {.id = a->id}};
    const struct message m = {.type = MESSAGE_candidate, .candidate = {.snapshot = a->candidate}};
    a->candidate = -1;
    a->host.to_supervisor(a->host.supervisor, &begins);
    link_send(a->link, &m);
}

static void begin_trial(struct attempt *a)
{
    struct buf bytes = {.secret = true};
    struct error err;
    a->rest = a->all;
    a->rest.scripts = need_zero(a->all.script_count + 1, sizeof(*a->rest.scripts));
    a->place = need_zero(a->all.script_count + 1, sizeof(*a->place));
    a->rest.script_count = 0;
    for (size_t i = 0; i < a->all.script_count; i++)
        if (!a->told[i]) {
            a->place[a->rest.script_count] = i;
            a->rest.scripts[a->rest.script_count++] = a->all.scripts[i];
        }
    a->trying = SIZE_MAX;
    snapshot_write(&a->rest, &bytes);
    a->candidate = fd_sealed("candidate", buf_slice(&bytes), &err);
    buf_free(&bytes);
    if (a->candidate == -1) {
        all_broken(a, err.text);
        finish(a);
        return;
    }
    if (!a->waiting)
        want_trial(a);
    a->waiting = false;
    if (a->link != NULL)
        give_candidate(a);
}

void attempt_started(struct attempt *a, uint32_t id, int socket)
{
    if ((!a->under_way && !a->waiting) || id != a->id || a->link != NULL) {
        fd_close(&socket);
        return;
    }
    a->link = link_new(a->host.loop, socket, &trial_handlers, a);
    if (!a->waiting)
        give_candidate(a);
}

static void on_trying(struct link *l, const struct message *m, void *cookie)
{
    struct attempt *a = cookie;
    if (m->trying.index < a->rest.script_count)
        a->trying = m->trying.index;
}

/* The first result is the env set, or why there is none. */
static void take_env(struct attempt *a, struct slice bytes)
{
    struct snapshot_env set = {0};
    struct trial_result failed = {0};
    struct error err;
    if (snapshot_env_parse(bytes, &set, &err) == 0) {
        a->host.env(a->host.cookie, &set, NULL);
        snapshot_env_free(&set);
        return;
    }
    if (trial_result_read(bytes, &failed, &err) == 0)
        error_set(&err, "%.*s", SLICE_ARG(failed.errors));
    a->host.env(a->host.cookie, NULL, err.text);
    trial_result_free(&failed);
    all_broken(a, err.text);
}

static void on_tried(struct link *l, const struct message *m, void *cookie)
{
    struct attempt *a = cookie;
    struct slice bytes = SLICE_NONE;
    struct trial_result r = {0};
    struct error err;
    int fd = m->tried.result;
    int mapped = fd_map_sealed(fd, &bytes, &err);
    fd_close(&fd);
    if (m->tried.index == UINT32_MAX) {
        take_env(a, bytes);
    } else if (m->tried.index < a->rest.script_count) {
        size_t script = a->place[m->tried.index];
        if (mapped == 0 && trial_result_read(bytes, &r, &err) == 0)
            tell(a, script, &r);
        else
            tell_broken(a, script, err.text);
        trial_result_free(&r);
        a->trying = SIZE_MAX;
        a->idle_deaths = 0;
    }
    if (bytes.len != 0)
        munmap((void *)bytes.at, bytes.len);
}

static void on_tried_all(struct link *l, const struct message *m, void *cookie)
{
    struct attempt *a = cookie;
    all_broken(a, "the trial said nothing about it");
    finish(a);
}

/* The supervisor tells the process's end; until then nothing is known of why. */
static void on_link_ended(struct link *l, const char *why, void *cookie)
{
    log_at(LOG_DEBUG, "trial closed its socket", LOG_STR("why", why));
}

/* --- its end ------------------------------------------------------------------------------------------------------ */

static const char *death_words(const struct attempt *a, uint32_t status, char *room, size_t size)
{
    char limit[32];
    int how = (int)status;
    if (WIFEXITED(how) && WEXITSTATUS(how) == LIMIT_STUCK)
        snprintf(room, size, "top level was killed: ran longer than %s, within one C function",
                 duration_text(a->host.max_run, limit));
    else if (WIFSIGNALED(how) && (WTERMSIG(how) == SIGXCPU || WTERMSIG(how) == SIGKILL))
        snprintf(room, size, "top level was killed: ran longer than %s, or took too much memory",
                 duration_text(a->host.max_run, limit));
    else if (WIFSIGNALED(how))
        snprintf(room, size, "top level was killed by signal %d (%s)", WTERMSIG(how), strsignal(WTERMSIG(how)));
    else
        snprintf(room, size, "top level ended the trial process (exit code %d)", WEXITSTATUS(how));
    return room;
}

static void on_again(struct timeout *t)
{
    begin_trial(CONTAINER_OF(t, struct attempt, again));
}

void attempt_ended(struct attempt *a, uint32_t id, uint32_t status)
{
    char words[160];
    if (id == a->id)
        attempt_dismiss(a); /* it died as it waited: the next one is started with a candidate */
    if (!a->under_way || id != a->id)
        return;
    if (a->link != NULL)
        link_drain(a->link); /* what it said before it ended */
    if (!a->under_way || id != a->id)
        return;
    size_t last = a->trying;
    size_t guilty = last != SIZE_MAX ? a->place[last] : 0;
    drop_trial(a);
    if (last != SIZE_MAX) {
        tell_broken(a, guilty, death_words(a, status, words, sizeof(words)));
        if (all_told(a))
            finish(a);
        else
            begin_trial(a);
        return;
    }
    if (++a->idle_deaths >= IDLE_DEATHS) {
        log_at(LOG_ERROR, "scripts cannot be tried: the trial process ends at once", LOG_INT("status", status));
        all_broken(a, "could not be tried: the trial process ended at once");
        finish(a);
        return;
    }
    timeout_set(a->host.loop, &a->again, mono_add(loop_now(a->host.loop), AGAIN_AFTER), on_again);
}
