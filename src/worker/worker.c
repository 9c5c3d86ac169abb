/*
 * worker.c: PROCESS worker: heritage → user → spawner → jail → Lua state → the inherited scripts → server → links; then
 * the loop until drained. It accepts from the moment there is a live generation: connections wait in their queue until
 * then. Owns: everything in struct worker. Runs in: its only thread. Fails: see worker.h.
 */
#include "worker/worker.h"
#include "base/fd.h"
#include "base/jail_places.h"
#include "base/leave.h"
#include "base/log.h"
#include "base/panic.h"
#include "bind/bind.h"
#include "http/redact.h"
#include "server/access.h"
#include "server/cancel.h"
#include "worker/orders.h"
#include "worker/worn.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static int take_heritage(struct worker *w, struct error *err)
{
    struct slice text;
    if (heritage_read(&w->heritage, err) != 0 || fd_map_sealed(w->heritage.config, &text, err) != 0)
        return -1;
    int read = config_read(text, &w->config, err);
    if (text.len != 0)
        munmap((void *)text.at, text.len);
    fd_close(&w->heritage.config);
    if (read != 0)
        return -1;
    w->area = area_map(w->heritage.area, err);
    fd_close(&w->heritage.area);
    if (w->area == NULL)
        return -1;
    if (w->heritage.slot >= AREA_SLOTS)
        return error_set(err, "there is no slot %u", w->heritage.slot);
    area_set_edition(w->area, w->heritage.edition);
    snprintf(w->name, sizeof(w->name), "worker %u", w->heritage.member);
    log_open(STDERR_FILENO, w->config.log_level, w->name, config_log_form(&w->config));
    tape_writer_init(&w->records.writer, &w->area->worker[w->heritage.slot].tape, &w->area->bell, w->heritage.wake);
    w->records.process = w->heritage.member;
    records_divert(&w->records);
    panic_process(w->name);
    return 0;
}

static void tell_keeper(void *cookie, const struct message *m)
{
    orders_to_keeper(cookie, m);
}

static void hear_keeper(void *cookie)
{
    orders_hear(cookie);
}

static void on_live(void *cookie)
{
    struct worker *w = cookie;
    if (w->server != NULL)
        orders_serve(w);
}

static struct generation *live_generation(void *cookie)
{
    struct worker *w = cookie;
    return prepare_live(w->prepare);
}

static int make_state(struct worker *w, struct error *err)
{
    w->redact = redact_new();
    struct area_worker *slot = &w->area->worker[w->heritage.slot];
    w->script_host = (struct script_host){
        .loop = w->loop,
        .pool = w->pool,
        .exec = w->exec,
        .http = w->http,
        .http_private = w->config.http_private,
        .files = w->config.files,
        .calls = w->calls,
        .progress = &slot->progress,
        .counters = &slot->counters,
        .redact = w->redact,
        .labels = access_labels,
        .trace = access_trace,
        .deadline = cancel_deadline,
        .memory = w->config.limits.lua_memory,
        .max_run = w->config.limits.max_run,
        .full = worn_by_scripts,
        .owner = w,
        .limits = &w->config.limits,
        .sandbox = w->config.sandbox,
        .jit = true,
    };
    w->state = state_new(&w->script_host, bind_open, err);
    if (w->state == NULL)
        return -1;
    w->load = load_new(w->state, &w->config, false);
    const struct prepare_host prepare = {
        .loop = w->loop,
        .load = w->load,
        .redact = w->redact,
        .area = w->area,
        .slot = w->heritage.slot,
        .incarnation = w->heritage.incarnation,
        .tell = tell_keeper,
        .hear = hear_keeper,
        .live = on_live,
        .cookie = w,
    };
    w->prepare = prepare_new(&prepare);
    return 0;
}

static int make_http(struct worker *w, struct error *err)
{
    if (address_rules_read(slice_of(w->heritage.bound), &w->addresses, err) != 0)
        return -1;
    w->addresses.only = w->config.http_ports_only;
    w->addresses.ports = w->config.http_ports;
    w->addresses.port_count = w->config.http_port_count;
    const struct httpc_host host = {
        .loop = w->loop, .rules = &w->addresses, .root = w->config.root, .memory = w->config.limits.lua_memory};
    w->http = httpc_new(&host);
    return 0;
}

static int take_scripts(struct worker *w, struct error *err)
{
    int snapshot = w->heritage.snapshot;
    w->heritage.snapshot = HERITAGE_NO_FD;
    if (w->heritage.generation == 0 || snapshot == HERITAGE_NO_FD) {
        fd_close(&snapshot);
        return 0;
    }
    return prepare_inherited(w->prepare, w->heritage.generation, snapshot, err);
}

static int make_server(struct worker *w, struct error *err)
{
    const struct server_host host = {
        .loop = w->loop,
        .state = w->state,
        .config = &w->config,
        .area = w->area,
        .slot = w->heritage.slot,
        .member = w->heritage.member,
        .heritage = &w->heritage,
        .records = &w->records,
        .redact = w->redact,
        .generation = live_generation,
        .cookie = w,
    };
    w->server = server_new(&host, err);
    return w->server != NULL ? 0 : -1;
}

/* Before there are threads, and while this process holds next to nothing. */
static int start_exec(struct worker *w, struct error *err)
{
    char label[12];
    if (!w->config.exec_any && w->config.exec_count == 0)
        return 0;
    snprintf(label, sizeof(label), "%u", w->heritage.member);
    w->exec = exec_new(w->loop, &w->config, label, err);
    if (w->exec != NULL && w->config.sandbox) /* else its jail lets it start programs */
        exec_on_lost(w->exec, worn_by_spawner, w);
    return w->exec != NULL ? 0 : -1;
}

static int start(struct worker *w, struct error *err)
{
    if (take_heritage(w, err) != 0)
        return -1;
    if (jail_become(&w->config.user, err) != 0)
        return -1;
    area_capture_stderr(w->area, w->heritage.slot);
    w->loop = loop_new();
    loop_measure(w->loop, &w->area->worker[w->heritage.slot].counters);
    if (start_exec(w, err) != 0) /* outside the jail, and with the limits that were found */
        return -1;
    jail_close();
    jail_libraries_note(&w->libraries);
    jail_folder_note(&w->files, w->config.files, false);
    if (jail_places_enter(&w->config, JAIL_WORKER, err) != 0)
        return -1;
    if (w->files.inode == 0) /* it may have been made there */
        jail_folder_note(&w->files, w->config.files, false);
    w->pool = pool_new(w->loop);
    w->calls = calls_new(w->loop, &w->area->worker[w->heritage.slot].counters);
    if (make_http(w, err) != 0 || make_state(w, err) != 0 || take_scripts(w, err) != 0 || make_server(w, err) != 0)
        return -1;
    orders_open(w);
    if (prepare_live(w->prepare) != NULL)
        orders_serve(w);
    return 0;
}

int worker_main(void)
{
    struct worker *w = need_zero(1, sizeof(*w));
    struct error err;
    log_open(STDERR_FILENO, LOG_INFO, "worker", isatty(STDERR_FILENO) == 1 ? LOG_COLOURED : LOG_JSON_LINES);
    panic_process("worker");
    signal(SIGPIPE, SIG_IGN);
    if (start(w, &err) != 0) {
        log_at(LOG_ERROR, "worker cannot start", LOG_STR("error", err.text));
        return 1;
    }
    w->exit_code = 1; /* but for a drain, nothing ends the loop */
    loop_run(w->loop);
    /* Connections past the deadline may be left, so nothing is taken apart: the process's end does that. */
    leave_process(w->exit_code);
}
