/*
 * trial_main.c: PROCESS trial: heritage → configuration → user → the keeper's candidate, waited for → env values → jail
 * → each script's result to the keeper → exit. The first `tried` (index UINT32_MAX) carries the env set it read, or a
 * result with the fault of
 * `.env`. Owns: its channel, mapped files. Runs in: its own short-lived process. Fails: exit code 1 with a log line; a
 * script that ends the process is the one of the last `trying`.
 */
#include "base/fd.h"
#include "base/jail_places.h"
#include "base/log.h"
#include "base/logfile.h"
#include "base/panic.h"
#include "ipc/channel.h"
#include "ipc/heritage.h"
#include "load/trial.h"
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define ENV_INDEX UINT32_MAX

struct trial_process {
    struct config config;
    struct snapshot candidate;
    struct channel *keeper;
    struct buf room; /* the env values' bytes */
    struct snapshot_env env;
    uint32_t count;
};

static void say(struct trial_process *p, const struct message *m)
{
    channel_send(p->keeper, m);
    if (channel_flush(p->keeper) != 0)
        _exit(1); /* the keeper has gone: nobody wants to know */
}

static void say_tried(struct trial_process *p, uint32_t index, struct slice bytes)
{
    struct error err;
    int fd = fd_sealed("crescent-result", bytes, &err);
    if (fd < 0)
        PANIC("%s", err.text);
    say(p, &(struct message){.type = MESSAGE_tried, .tried = {index, fd}});
}

static void on_trying(void *cookie, size_t script)
{
    say(cookie, &(struct message){.type = MESSAGE_trying, .trying = {(uint32_t)script}});
}

static void on_tried(void *cookie, size_t script, const struct trial_result *r)
{
    struct trial_process *p = cookie;
    struct buf bytes = {0};
    trial_result_write(r, &bytes);
    say_tried(p, (uint32_t)script, buf_slice(&bytes));
    buf_free(&bytes);
    p->count++;
}

/* Gives the candidate env set 0, unless it has one; false when there is a fault to report instead. */
static bool read_env(struct trial_process *p)
{
    struct error err;
    struct buf bytes = {.secret = true};
    if (p->candidate.env_count > 0)
        return true;
    bool good = trial_read_env(p->config.env_file, &p->room, &p->env, &err) == 0;
    if (good) {
        snapshot_env_write(&p->env, &bytes);
        free(p->candidate.envs);
        p->candidate.envs = need_zero(1, sizeof *p->candidate.envs);
        p->candidate.envs[0] = p->env;
        p->candidate.env_count = 1;
    } else {
        struct trial_result r = {.errors = slice_of(err.text)};
        trial_result_write(&r, &bytes);
    }
    say_tried(p, ENV_INDEX, buf_slice(&bytes));
    buf_free(&bytes);
    return good;
}

static int take_heritage(struct trial_process *p, struct error *err)
{
    struct heritage h;
    struct slice text;
    if (heritage_read(&h, err) != 0)
        return -1;
    int done = fd_map_sealed(h.config, &text, err);
    if (done == 0) {
        done = config_read(text, &p->config, err);
        if (text.len > 0)
            munmap((void *)text.at, text.len);
    }
    fd_close(&h.config);
    if (done == 0)
        p->keeper = channel_new(h.extra);
    heritage_free(&h);
    return done;
}

/* The keeper asks for a trial as soon as it may need one: one that it does not need after all ends here. */
static int take_candidate(struct trial_process *p, struct error *err)
{
    struct message m;
    if (channel_wait(p->keeper, &m) != 1)
        _exit(0);
    if (m.type != MESSAGE_candidate) {
        messages_close(&m);
        return error_set(err, "unexpected message: %s", messages_name(m.type));
    }
    int done = snapshot_map(m.candidate.snapshot, &p->candidate, err);
    fd_close(&m.candidate.snapshot);
    return done;
}

int trial_main(void)
{
    struct trial_process p = {.room.secret = true};
    struct error err;
    log_open(STDERR_FILENO, LOG_INFO, "trial", isatty(STDERR_FILENO) == 1 ? LOG_COLOURED : LOG_JSON_LINES);
    panic_process("trial");
    int started = take_heritage(&p, &err);
    if (started == 0)
        started = jail_become(&p.config.user, &err);
    jail_close();
    if (started != 0 || take_candidate(&p, &err) != 0) {
        log_at(LOG_ERROR, "trial cannot start", LOG_STR("error", err.text));
        return 1;
    }
    /* A trial is not one of those who have a tape: it writes by itself, and is not held up by whoever reads. */
    int file = p.config.log_file != NULL ? logfile_open(p.config.log_file, NULL, &err) : -1;
    log_open(file >= 0 ? file : STDERR_FILENO, p.config.log_level, "trial", config_log_form(&p.config));
    bool good = read_env(&p); /* its values may lie in files anywhere */
    if (jail_places_enter(&p.config, JAIL_TRIAL, &err) != 0) {
        log_at(LOG_ERROR, "trial cannot start", LOG_STR("error", err.text));
        return 1;
    }
    if (good)
        trial_run(&p.candidate, &p.config, false, on_trying, on_tried, &p);
    say(&p, &(struct message){.type = MESSAGE_tried_all, .tried_all = {p.count}});
    channel_free(&p.keeper);
    snapshot_free(&p.candidate);
    buf_free(&p.room);
    config_free(&p.config);
    return 0;
}
