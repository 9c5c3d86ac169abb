/*
 * fake.h: a keeper's surroundings for tests of reload/: a folder, a supervisor that keeps snapshots, trials that
 * "evaluate" texts of words instead of Lua, and workers that prepare what they are told.
 * A text is words: BAD fails with "bad text", KILL dies of a signal,
 * route=/x claims a route, use=_lib.x uses a module (whose text may hold use= again, or BAD), SLOW is refused by
 * workers in prepare.
 */
#ifndef CRESCENT_TESTS_RELOAD_FAKE_H
#define CRESCENT_TESTS_RELOAD_FAKE_H

#include "base/config.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/panic.h"
#include "codec/json.h"
#include "ipc/channel.h"
#include "load/snapshot.h"
#include "load/trial.h"
#include "reload/internal.h"
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define FAKE_WORKERS 2

struct fake {
    char root[64], hooks[80], env_file[80];
    struct config config;
    struct loop *loop;
    struct area *area;
    int area_fd;
    struct reload *reload;
    struct timeout answer; /* messages are answered from the loop, as in life */
    struct message queue[64];
    size_t queued;
    struct channel *keeper; /* the trial's, while it waits for its candidate; or NULL */
    struct loop_watch candidate;
    uint32_t trial; /* its id */
    unsigned started;
    unsigned trials, tried; /* given a candidate; scripts evaluated in all of them */
    const char *env_value;  /* of NAME, in the next trial */
    const char *env_fault;  /* why the next trial cannot read it; NULL: it can */
    bool deaf;              /* workers do not answer prepare */
    unsigned prepares;
    struct snapshot snapshot; /* last one kept */
    int snapshot_fd;
    uint64_t flipped; /* last flip told to workers */
};

/* --- the folder --------------------------------------------------------------------------------------------------- */

static inline void fake_write(struct fake *f, const char *path, const char *text)
{
    char whole[256];
    snprintf(whole, sizeof(whole), "%s/%s", f->hooks, path);
    int fd = open(whole, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd != -1);
    assert_int_equal(fd_write_all(fd, slice_of(text)), 0);
    close(fd);
}

static inline void fake_remove(struct fake *f, const char *path)
{
    char whole[256];
    snprintf(whole, sizeof(whole), "%s/%s", f->hooks, path);
    assert_int_equal(unlink(whole), 0);
}

/* --- trials ------------------------------------------------------------------------------------------------------- */

static inline bool fake_word(struct slice text, const char *key, struct slice *value_out)
{
    struct slice word;
    while (slice_cut(&text, ' ', &word))
        if (slice_starts(word, slice_of(key))) {
            *value_out = slice_from(word, strlen(key));
            return true;
        }
    return false;
}

struct fake_uses {
    uint32_t at[16], requires[16][4];
    size_t require_counts[16];
    size_t count;
    bool bad;
};

static inline size_t fake_use(const struct snapshot *c, struct slice text, struct fake_uses *uses)
{
    struct slice word;
    size_t direct = SIZE_MAX;
    while (slice_cut(&text, ' ', &word)) {
        if (!slice_starts(word, SLICE("use=")))
            continue;
        uint32_t m = 0;
        while (m < c->module_count && !slice_equal(c->modules[m].name, slice_from(word, 4)))
            m++;
        if (m == c->module_count || slice_starts(c->modules[m].text, SLICE("BAD"))) {
            uses->bad = true;
            return direct;
        }
        size_t place = uses->count++;
        uses->at[place] = m;
        direct = m;
        size_t below = fake_use(c, c->modules[m].text, uses);
        if (below != SIZE_MAX)
            uses->requires[place][uses->require_counts[place]++] = (uint32_t)below;
    }
    return direct;
}

static inline void fake_describe(const struct snapshot_script *s, struct buf *out)
{
    struct slice route = SLICE_NONE;
    buf_addf(out, "{\"name\":\"%.*s\",\"file\":\"%.*s\",\"routes\":[\"", SLICE_ARG(s->name), SLICE_ARG(s->file));
    if (fake_word(s->text, "route=", &route))
        buf_add_slice(out, route);
    else
        buf_addf(out, "/%.*s", SLICE_ARG(s->name));
    buf_add_text(out, "\"],\"hosts\":[null],\"methods\":null,\"verify\":null,\"public\":true,\"events\":null,"
                      "\"max_body\":1048576,\"timeout\":10,\"max_run\":0.25,\"description\":null}");
}

static inline void fake_say(struct channel *c, const struct message *m)
{
    channel_send(c, m);
    assert_int_equal(channel_flush(c), 0);
}

static inline void fake_result(struct channel *c, uint32_t index, struct buf *bytes)
{
    struct error err;
    int fd = fd_sealed("result", buf_slice(bytes), &err);
    assert_true(fd != -1);
    fake_say(c, &(struct message){.type = MESSAGE_tried, .tried = {index, fd}});
    buf_clear(bytes);
}

/* False when the script ends the trial. */
static inline bool fake_try(struct fake *f, const struct snapshot *c, uint32_t i, struct channel *keeper)
{
    const struct snapshot_script *s = &c->scripts[i];
    struct trial_result r = {.is_public = true};
    struct fake_uses uses = {.count = 0};
    struct slice ignored;
    struct buf bytes = {0}, description = {0};
    fake_say(keeper, &(struct message){.type = MESSAGE_trying, .trying = {i}});
    if (fake_word(s->text, "KILL", &ignored))
        return false;
    f->tried++;
    fake_use(c, s->text, &uses);
    r.good = !uses.bad && !fake_word(s->text, "BAD", &ignored);
    uint32_t *requires[16];
    for (size_t m = 0; m < uses.count; m++)
        requires[m] = uses.requires[m];
    if (r.good) {
        fake_describe(s, &description);
        r.description = buf_slice(&description);
        r.modules = uses.at;
        r.module_count = uses.count;
        r.requires = requires;
        r.require_counts = uses.require_counts;
    } else {
        r.errors = SLICE("bad text");
    }
    trial_result_write(&r, &bytes);
    fake_result(keeper, i, &bytes);
    buf_free(&bytes);
    buf_free(&description);
    return true;
}

static inline void fake_trial(struct fake *f, struct channel *keeper, int candidate)
{
    struct snapshot c;
    struct error err;
    struct buf bytes = {0};
    struct slice name = SLICE("NAME"), value = slice_of(f->env_value);
    const struct snapshot_env env = {.names = &name, .values = &value, .count = 1};
    f->trials++;
    assert_int_equal(snapshot_map(candidate, &c, &err), 0);
    close(candidate);
    const struct trial_result fault = {.errors = slice_of(f->env_fault)};
    if (f->env_fault != NULL)
        trial_result_write(&fault, &bytes);
    else
        snapshot_env_write(&env, &bytes);
    fake_result(keeper, UINT32_MAX, &bytes);
    bool alive = true;
    for (uint32_t i = 0; i < c.script_count && alive && f->env_fault == NULL; i++)
        alive = fake_try(f, &c, i, keeper);
    if (alive)
        fake_say(keeper, &(struct message){.type = MESSAGE_tried_all, .tried_all = {(uint32_t)c.script_count}});
    channel_free(&keeper);
    reload_trial_ended(f->reload, f->trial, alive ? 0 : SIGXCPU);
    buf_free(&bytes);
    snapshot_free(&c);
}

static inline bool fake_waits(const struct fake *f)
{
    return f->keeper != NULL;
}

static inline void fake_trial_ends(struct fake *f)
{
    if (f->keeper != NULL)
        loop_unwatch(&f->candidate);
    channel_free(&f->keeper);
}

static inline void fake_trial_hears(struct loop_watch *w, unsigned events)
{
    struct fake *f = CONTAINER_OF(w, struct fake, candidate);
    struct channel *keeper = f->keeper;
    struct message m;
    channel_read(keeper);
    int got = channel_next(keeper, &m);
    if (got == 0)
        return;
    if (got == 1) {
        assert_int_equal(m.type, MESSAGE_candidate);
        f->keeper = NULL;
        loop_unwatch(&f->candidate);
        fake_trial(f, keeper, m.candidate.snapshot);
    } else {
        uint32_t id = f->trial;
        fake_trial_ends(f);
        reload_trial_ended(f->reload, id, 0);
    }
}

static inline void fake_trial_starts(struct fake *f, uint32_t id)
{
    int ends[2];
    fake_trial_ends(f);
    assert_int_equal(channel_pair(ends), 0);
    f->keeper = channel_new(ends[0]);
    f->trial = id;
    f->started++;
    loop_watch(f->loop, &f->candidate, ends[0], LOOP_READ, fake_trial_hears);
    reload_trial_started(f->reload, id, ends[1]);
}

/* --- supervisor and workers --------------------------------------------------------------------------------------- */

static inline void fake_keep(struct fake *f, uint64_t generation, int fd)
{
    struct error err;
    snapshot_free(&f->snapshot);
    fd_close(&f->snapshot_fd);
    assert_int_equal(snapshot_map(fd, &f->snapshot, &err), 0);
    f->snapshot_fd = fd;
    reload_snapshot_kept(f->reload, generation);
}

static inline void fake_prepare(struct fake *f, uint64_t generation)
{
    struct slice ignored;
    struct buf broken = {0};
    f->prepares++;
    if (f->deaf)
        return;
    for (size_t i = 0; i < f->snapshot.script_count; i++)
        if (f->snapshot.scripts[i].text.at != NULL && fake_word(f->snapshot.scripts[i].text, "SLOW", &ignored)) {
            buf_add_string(&broken, f->snapshot.scripts[i].name);
            buf_add_string(&broken, SLICE("too slow here"));
        }
    for (uint32_t w = 0; w < FAKE_WORKERS; w++) {
        struct message_prepared m = {.generation = generation, .incarnation = 1, .broken = buf_slice(&broken)};
        reload_prepared(f->reload, w, &m);
    }
    buf_free(&broken);
}

static inline void fake_answer(struct timeout *t)
{
    struct fake *f = CONTAINER_OF(t, struct fake, answer);
    while (f->queued != 0) {
        struct message m = f->queue[0];
        memmove(f->queue, f->queue + 1, --f->queued * sizeof(m));
        if (m.type == MESSAGE_trial_wanted)
            fake_trial_starts(f, m.trial_wanted.id);
        else if (m.type == MESSAGE_snapshot)
            fake_keep(f, m.snapshot.generation, m.snapshot.snapshot);
        else if (m.type == MESSAGE_prepare)
            fake_prepare(f, m.prepare.generation);
        else if (m.type == MESSAGE_flip)
            f->flipped = m.flip.generation;
    }
}

static inline void fake_queue(void *cookie, const struct message *m)
{
    struct fake *f = cookie;
    assert_true(f->queued < 64);
    f->queue[f->queued++] = *m;
    timeout_set(f->loop, &f->answer, mono_now(), fake_answer);
}

static inline size_t fake_workers(void *cookie)
{
    return FAKE_WORKERS;
}

static inline void fake_ignore(void *cookie, const struct message *m)
{
    struct message copy = *m;
    messages_close(&copy);
}

/* --- the whole ---------------------------------------------------------------------------------------------------- */

static inline void fake_begin_keeper(struct fake *f, int snapshot, uint64_t generation)
{
    const struct reload_host host = {.loop = f->loop,
                                     .config = &f->config,
                                     .area = f->area,
                                     .to_supervisor = fake_queue,
                                     .to_workers = fake_queue,
                                     .workers = fake_workers,
                                     .cookie = f};
    f->queued = 0;
    f->reload = reload_new(&host, snapshot, generation);
    for (uint32_t w = 0; w < FAKE_WORKERS; w++)
        reload_worker_joined(f->reload, w, 1, generation, fake_ignore, NULL);
}

static inline int fake_setup(void **state)
{
    struct fake *f = need_zero(1, sizeof(*f));
    struct error err;
    log_open(STDERR_FILENO, LOG_OFF, "test", false);
    snprintf(f->root, sizeof(f->root), "/tmp/crescent-reload-XXXXXX");
    assert_non_null(mkdtemp(f->root));
    snprintf(f->hooks, sizeof(f->hooks), "%s/hooks", f->root);
    snprintf(f->env_file, sizeof(f->env_file), "%s/.env", f->root);
    assert_int_equal(mkdir(f->hooks, 0755), 0);
    config_defaults(&f->config);
    f->config.hooks = need_strdup(f->hooks);
    f->config.env_file = need_strdup(f->env_file);
    f->env_value = "one";
    f->snapshot_fd = -1;
    f->loop = loop_new();
    f->area = area_new(&f->area_fd, &err);
    area_use(f->area, FAKE_WORKERS - 1);
    assert_non_null(f->area);
    *state = f;
    return 0;
}

static inline int fake_teardown(void **state)
{
    struct fake *f = *state;
    char command[128];
    reload_free(&f->reload);
    fake_trial_ends(f);
    timeout_clear(&f->answer);
    snapshot_free(&f->snapshot);
    fd_close(&f->snapshot_fd);
    fd_close(&f->area_fd);
    area_free(&f->area);
    loop_free(&f->loop);
    config_free(&f->config);
    snprintf(command, sizeof(command), "rm -rf '%s'", f->root);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

static inline void fake_run(struct fake *f, int ms)
{
    for (mono_t end = mono_add(mono_now(), DUR_MS(ms)); mono_before(mono_now(), end);)
        loop_pass(f->loop, DUR_MS(2));
}

/* Runs until the next flip, at most 3 s; false when none came. */
static inline bool fake_flip(struct fake *f)
{
    uint64_t before = f->flipped;
    for (mono_t end = mono_add(mono_now(), DUR_S(3)); f->flipped == before && mono_before(mono_now(), end);)
        loop_pass(f->loop, DUR_MS(2));
    return f->flipped != before;
}

static inline const struct snapshot_script *fake_script(struct fake *f, const char *name)
{
    for (size_t i = 0; i < f->snapshot.script_count; i++)
        if (slice_equal(f->snapshot.scripts[i].name, slice_of(name)))
            return &f->snapshot.scripts[i];
    return NULL;
}

static inline void fake_expect_text(struct fake *f, const char *name, const char *text)
{
    const struct snapshot_script *s = fake_script(f, name);
    assert_non_null(s);
    if (text == NULL)
        assert_null(s->text.at);
    else if (!slice_equal(s->text, slice_of(text)))
        fail_msg("%s: \"%.*s\" is live, not \"%s\"", name, SLICE_ARG(s->text), text);
}

#endif
