/*
 * keeper.c: PROCESS keeper: heritage → user → jail → reload → store → admin listener → links; then the loop until the
 * supervisor says leave, or has gone.
 * Owns: everything in struct keeper. Runs in: its only thread. Fails: at start, with a log line and exit code 1.
 */
#include "keeper/keeper.h"
#include "admin/admin.h"
#include "base/config.h"
#include "base/fd.h"
#include "base/jail_folder.h"
#include "base/jail_places.h"
#include "base/leave.h"
#include "base/log.h"
#include "base/panic.h"
#include "ipc/heritage.h"
#include "ipc/link.h"
#include "keeper/desk.h"
#include "keeper/expiry.h"
#include "keeper/roster.h"
#include "keeper/storage.h"
#include "keeper/tapes.h"
#include "reload/reload.h"
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define LAST_COMMIT DUR_S(1) /* for the disk; what is not committed by then the workers ask of the next keeper */
#define LAST_LINES DUR_S(1)  /* for whoever reads the log to take them */

struct keeper {
    struct heritage heritage;
    struct config config;
    struct area *area;
    struct loop *loop;
    struct tapes *tapes;
    struct reload *reload;
    struct roster *roster;
    struct storage *storage;
    struct keeper_desk *desk;
    struct expiry *expiry;
    struct asker asker;
    struct admin *admin;
    struct link *supervisor;
    struct jail_folder store_folder, log_folder; /* as they were when the jail was entered */
    bool draining, leaving;
};

/* --- what reload needs of the others ------------------------------------------------------------------------------ */

static void to_supervisor(void *cookie, const struct message *m)
{
    struct keeper *k = cookie;
    link_send(k->supervisor, m);
}

static void to_workers(void *cookie, const struct message *m)
{
    struct keeper *k = cookie;
    roster_send_all(k->roster, m);
}

static size_t count_workers(void *cookie)
{
    struct keeper *k = cookie;
    return roster_count(k->roster);
}

/* --- the workers -------------------------------------------------------------------------------------------------- */

struct addressee {
    struct keeper *keeper;
    uint32_t slot;
};

static void to_one(void *cookie, const struct message *m)
{
    struct addressee *to = cookie;
    roster_send(to->keeper->roster, to->slot, m);
}

static void on_joined(void *cookie, uint32_t slot, uint32_t incarnation, uint64_t generation)
{
    struct addressee to = {cookie, slot};
    reload_worker_joined(to.keeper->reload, slot, incarnation, generation, to_one, &to);
}

static void on_left(void *cookie, uint32_t slot)
{
    struct keeper *k = cookie;
    reload_worker_left(k->reload, slot);
}

static void on_prepared(void *cookie, uint32_t slot, const struct message_prepared *m)
{
    struct keeper *k = cookie;
    reload_prepared(k->reload, slot, m);
}

static bool on_kv(void *cookie, uint32_t slot, const struct message_kv *m)
{
    struct keeper *k = cookie;
    return keeper_desk_kv(k->desk, slot, m);
}

static void on_gone(void *cookie, uint32_t slot)
{
    struct keeper *k = cookie;
    keeper_desk_left(k->desk, slot);
}

static void to_slot(void *cookie, uint32_t slot, const struct message *m)
{
    struct keeper *k = cookie;
    roster_send(k->roster, slot, m);
}

/* --- the store ---------------------------------------------------------------------------------------------------- */

static void on_storage_ready(void *cookie)
{
    struct keeper *k = cookie;
    link_send(k->supervisor,
              &(struct message){.type = MESSAGE_ready, .ready = {.incarnation = k->heritage.incarnation}});
}

static void on_storage_refused(void *cookie, const char *why)
{
    struct keeper *k = cookie;
    link_send(k->supervisor, &(struct message){.type = MESSAGE_objection, .objection = {.words = slice_of(why)}});
}

static int make_storage(struct keeper *k, struct error *err)
{
    const struct storage_host host = {
        .loop = k->loop,
        .config = &k->config,
        .area = k->area,
        .ready = on_storage_ready,
        .refused = on_storage_refused,
        .cookie = k,
    };
    k->storage = storage_new(&host, err);
    if (k->storage == NULL)
        return -1;
    k->desk = keeper_desk_new(AREA_SLOTS, storage_store(k->storage), to_slot, k);
    return 0;
}

/* --- the supervisor ----------------------------------------------------------------------------------------------- */

/* Whether the jail does not know the folder that is there now: then the next keeper takes this one's place, which it
 * costs no request to wait for. */
static bool has_lost(struct keeper *k, struct jail_folder *folder)
{
    char real[PATH_MAX];
    if (k->draining || k->leaving || atomic_load(area_generation(k->area)) == 0 || !jail_folder_lost(folder, real))
        return false;
    log_at(
        LOG_WARN,
        "a folder was replaced by another, which the jail of the keeper does not know: another keeper takes its place",
        LOG_STR("folder", real));
    k->leaving = true;
    loop_stop(k->loop);
    return true;
}

static void on_ping(struct link *l, const struct message *m, void *cookie)
{
    struct keeper *k = cookie;
    tapes_look(k->tapes);
    if (access(k->store_folder.path, F_OK) ==
        0)                             /* else the next one would find no store either, as it is never made anew */
        has_lost(k, &k->store_folder); /* this comes once a second */
    link_send(l, &(struct message){.type = MESSAGE_pong, .pong = {.sequence = m->ping.sequence}});
}

static void on_peer(struct link *l, const struct message *m, void *cookie)
{
    struct keeper *k = cookie;
    roster_peer(k->roster, &m->peer);
}

static void on_made_way(void *cookie)
{
    struct keeper *k = cookie;
    loop_stop(k->loop);
}

static void make_way(struct keeper *k)
{
    if (k->admin != NULL)
        admin_leave(k->admin, on_made_way, k);
    else
        loop_stop(k->loop);
}

/* The first: the workers leave, and load balancers should know. The second: they have left. */
static void on_drain(struct link *l, const struct message *m, void *cookie)
{
    struct keeper *k = cookie;
    if (m->drain.replaced != 0) {
        make_way(k);
        return;
    }
    if (k->draining)
        loop_stop(k->loop);
    k->draining = true;
    if (k->admin != NULL)
        admin_drain(k->admin);
}

static void on_reopen(struct link *l, const struct message *m, void *cookie)
{
    struct keeper *k = cookie;
    if (k->config.log_file == NULL || !has_lost(k, &k->log_folder)) /* else the next one opens it */
        tapes_reopen(k->tapes);
}

static void on_died(struct link *l, const struct message *m, void *cookie)
{
    struct keeper *k = cookie;
    reload_worker_died(k->reload, m->died.slot, &m->died);
}

static void on_trial(struct link *l, const struct message *m, void *cookie)
{
    struct keeper *k = cookie;
    reload_trial_started(k->reload, m->trial.id, m->trial.socket);
}

static void on_trial_ended(struct link *l, const struct message *m, void *cookie)
{
    struct keeper *k = cookie;
    reload_trial_ended(k->reload, m->trial_ended.id, m->trial_ended.status);
}

static void on_snapshot_kept(struct link *l, const struct message *m, void *cookie)
{
    struct keeper *k = cookie;
    reload_snapshot_kept(k->reload, m->snapshot_kept.generation);
}

static void on_supervisor_ended(struct link *l, const char *why, void *cookie)
{
    log_at(LOG_ERROR, "the supervisor has gone", LOG_STR("why", why));
    _exit(1);
}

static const struct link_handlers supervisor_handlers = {
    .on = {[MESSAGE_ping] = on_ping,
           [MESSAGE_peer] = on_peer,
           [MESSAGE_drain] = on_drain,
           [MESSAGE_reopen] = on_reopen,
           [MESSAGE_died] = on_died,
           [MESSAGE_trial] = on_trial,
           [MESSAGE_trial_ended] = on_trial_ended,
           [MESSAGE_snapshot_kept] = on_snapshot_kept},
    .ended = on_supervisor_ended,
};

/* --- birth -------------------------------------------------------------------------------------------------------- */

static int take_heritage(struct keeper *k, struct error *err)
{
    struct slice text;
    if (heritage_read(&k->heritage, err) != 0 || fd_map_sealed(k->heritage.config, &text, err) != 0)
        return -1;
    int read = config_read(text, &k->config, err);
    if (text.len != 0)
        munmap((void *)text.at, text.len);
    fd_close(&k->heritage.config);
    if (read != 0)
        return -1;
    k->area = area_map(k->heritage.area, err); /* the descriptor stays: it carries the lock of the tapes */
    if (k->area == NULL)
        return -1;
    area_set_edition(k->area, k->heritage.edition);
    return 0;
}

static void make_reload(struct keeper *k)
{
    const struct roster_host roster = {
        .loop = k->loop,
        .places = AREA_SLOTS,
        .edition = k->heritage.edition,
        .joined = on_joined,
        .left = on_left,
        .prepared = on_prepared,
        .kv = on_kv,
        .gone = on_gone,
        .cookie = k,
    };
    const struct reload_host reload = {
        .loop = k->loop,
        .config = &k->config,
        .area = k->area,
        .to_supervisor = to_supervisor,
        .to_workers = to_workers,
        .workers = count_workers,
        .cookie = k,
    };
    int snapshot = k->heritage.snapshot;
    k->heritage.snapshot = HERITAGE_NO_FD;
    k->supervisor = link_new(k->loop, k->heritage.supervisor, &supervisor_handlers, k);
    k->heritage.supervisor = HERITAGE_NO_FD;
    k->roster = roster_new(&roster);
    k->reload = reload_new(&reload, snapshot, k->heritage.generation);
}

static int make_tapes(struct keeper *k, struct error *err)
{
    const struct tapes_host tapes = {
        .loop = k->loop,
        .config = &k->config,
        .area = k->area,
        .area_fd = k->heritage.area,
        .wake = k->heritage.wake,
    };
    k->tapes = tapes_new(&tapes, err);
    return k->tapes != NULL ? 0 : -1;
}

static int start(struct keeper *k, struct error *err)
{
    if (take_heritage(k, err) != 0)
        return -1;
    log_open(STDERR_FILENO, k->config.log_level, "keeper", config_log_form(&k->config));
    uid_t started_as = geteuid();
    if (jail_become(&k->config.user, err) != 0)
        return -1;
    jail_close();
    asker_init(&k->asker);
    if (k->config.admin_token == NULL && geteuid() != started_as)
        asker_begin(&k->asker, geteuid(), &k->heritage);
    jail_folder_note(&k->store_folder, strchr(k->config.store, ':') + 1, true);
    if (k->config.log_file != NULL)
        jail_folder_note(&k->log_folder, k->config.log_file, true);
    if (jail_places_enter(&k->config, JAIL_KEEPER, err) != 0)
        return -1;
    k->loop = loop_new();
    if (make_tapes(k, err) != 0)
        return -1;
    make_reload(k);
    k->expiry = expiry_new(k->loop, &k->config);
    const struct admin_host admin = {
        .loop = k->loop,
        .config = &k->config,
        .area = k->area,
        .reload = k->reload,
        .heritage = &k->heritage,
        .asker = &k->asker,
        .tls_ends = expiry_first(k->expiry),
    };
    k->admin = admin_new(&admin);
    return make_storage(k, err);
}

int keeper_main(void)
{
    struct keeper *k = need_zero(1, sizeof(*k));
    struct error err;
    log_open(STDERR_FILENO, LOG_INFO, "keeper", isatty(STDERR_FILENO) == 1 ? LOG_COLOURED : LOG_JSON_LINES);
    panic_process("keeper");
    signal(SIGPIPE, SIG_IGN);
    if (start(k, &err) != 0) {
        log_at(LOG_ERROR, "keeper cannot start", LOG_STR("error", err.text));
        return 1;
    }
    loop_run(k->loop);
    storage_free(&k->storage, LAST_COMMIT);
    tapes_finish(k->tapes, LAST_LINES);
    /* Connections of the admin listener may be open: the process's end closes them. */
    leave_process(0);
}
