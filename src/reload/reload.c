/*
 * reload.c: the face of reload/ and the round: look → try → publish. See reload.h, internal.h.
 */
#include "reload/reload.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/panic.h"
#include "crypto/random.h"
#include "http/redact.h"
#include "reload/examine.h"
#include "reload/publish.h"
#include "reload/relief.h"
#include "reload/round.h"
#include <stdlib.h>

#define LOOK_AGAIN DUR_S(1) /* when the folder cannot be read */
#define WAIT_FOR_MORE DUR_S(5)
#define STRIKES_WHEN_LIVE 2 /* a live script loads in every new worker: one death may be a stranger's kill */

static void look(struct reload *r);
static void on_changed(void *cookie);
static void on_written(void *cookie);
static void on_env(void *cookie, const struct snapshot_env *set, const char *error);
static void on_tried(void *cookie, size_t script, const struct trial_result *result);
static void on_all_tried(void *cookie);

/* --- start and end ------------------------------------------------------------------------------------------------ */

/* What a dead keeper may have begun under the next numbers must not be taken for ours. */
static uint64_t leap(void)
{
    uint32_t some;
    random_fill(&some, sizeof(some));
    return (uint64_t)some + 1;
}

static void restore(struct reload *r, int fd, uint64_t generation)
{
    struct snapshot snap;
    struct error err;
    if (snapshot_map(fd, &snap, &err) != 0) {
        log_at(LOG_ERROR, "cannot read the live snapshot, loading the folder anew", LOG_STR("error", err.text));
        fd_close(&fd);
        return;
    }
    for (size_t i = 0; i < snap.env_count; i++)
        round_secrets(r, &snap.envs[i]);
    if (catalog_restore(&r->catalog, &snap, &err) != 0) {
        log_at(LOG_ERROR, "cannot use the live snapshot, loading the folder anew", LOG_STR("error", err.text));
        catalog_free(&r->catalog);
        fd_close(&fd);
    } else if (atomic_load(area_generation(r->host.area)) == 0) {
        /* Made under another configuration, or by another binary, whose workers still serve it: here all is tried. */
        fd_close(&fd);
        r->all = r->changed = true;
        relief_begin(r);
    } else {
        r->snapshot = fd;
        r->generation = generation;
        r->ask_env = true;
    }
    r->catalog.next_version = snap.next_version + leap();
    snapshot_free(&snap);
}

static void on_first(struct timeout *t)
{
    struct reload *r = CONTAINER_OF(t, struct reload, retry);
    look(r);
}

struct reload *reload_new(const struct reload_host *host, int snapshot, uint64_t generation)
{
    struct reload *r = need_zero(1, sizeof(*r));
    r->host = *host;
    r->redact = redact_new();
    r->snapshot = r->next_snapshot = -1;
    r->next_generation = generation;
    r->catalog.next_version = 1;
    r->patience = MONO_NEVER;
    r->workers = need_zero(AREA_SLOTS, sizeof(*r->workers));
    r->changed = generation == 0; /* the first generation goes out even when the folder is empty */
    if (snapshot != -1)
        restore(r, snapshot, generation);
    env_sources_list(host->config->env_file, &r->sources);
    r->watch = watch_new(host->loop, host->config->hooks, &r->sources, &(struct watch_host){on_changed, on_written, r});
    const struct attempt_host attempt = {
        .loop = host->loop,
        .max_run = host->config->limits.max_run,
        .to_supervisor = host->to_supervisor,
        .supervisor = host->cookie,
        .env = on_env,
        .tried = on_tried,
        .done = on_all_tried,
        .cookie = r,
    };
    r->attempt = attempt_new(&attempt);
    timeout_set(host->loop, &r->retry, mono_now(), on_first);
    return r;
}

void reload_free(struct reload **r)
{
    struct reload *gone = *r;
    *r = NULL;
    if (gone == NULL)
        return;
    timeout_clear(&gone->tick);
    timeout_clear(&gone->retry);
    attempt_free(&gone->attempt);
    watch_free(&gone->watch);
    env_sources_free(&gone->sources);
    round_end(gone);
    catalog_free(&gone->catalog);
    redact_free(&gone->redact);
    fd_close(&gone->snapshot);
    fd_close(&gone->next_snapshot);
    free(gone->scan_error);
    free(gone->env_error);
    unreadable_free(&gone->unreadable);
    free(gone->workers);
    free(gone);
}

/* --- a round ------------------------------------------------------------------------------------------------------ */

static void on_changed(void *cookie)
{
    struct reload *r = cookie;
    if (r->state == RELOAD_IDLE)
        look(r);
    else
        r->look = true;
}

/* The process that will try it starts while the change comes to rest. */
static void on_written(void *cookie)
{
    struct reload *r = cookie;
    attempt_expect(r->attempt);
}

static void nothing_to_try(struct reload *r)
{
    if (!watch_restless(r->watch))
        attempt_dismiss(r->attempt);
}

static void unreadable(struct reload *r, const char *why)
{
    nothing_to_try(r);
    if (r->scan_error == NULL || strcmp(r->scan_error, why) != 0)
        log_at(LOG_ERROR, "cannot read the hooks folder, the live scripts stay", LOG_STR("error", why));
    free(r->scan_error);
    r->scan_error = need_strdup(why);
    timeout_set(r->host.loop, &r->retry, mono_add(mono_now(), LOOK_AGAIN), on_first);
}

/*
 * What changed while this was tried may belong to it (a checkout, "save all", a folder swapped under the scan): then
 * they go live together. A folder that never comes to rest is not waited for.
 */
static bool more_to_come(struct reload *r)
{
    mono_t now = mono_now();
    bool more = r->generation != 0 && (watch_restless(r->watch) || r->look);
    if (more && r->patience.ns == MONO_NEVER.ns)
        r->patience = mono_add(now, WAIT_FOR_MORE);
    if (more && mono_before(now, r->patience))
        return true;
    r->patience = MONO_NEVER;
    return false;
}

static void publish(struct reload *r)
{
    if (!more_to_come(r)) {
        publish_begin(r);
        return;
    }
    round_end(r);
    r->state = RELOAD_IDLE;
    if (r->look)
        timeout_set(r->host.loop, &r->retry, mono_now(), on_first);
}

static void look(struct reload *r)
{
    struct error err;
    struct snapshot candidate;
    if (r->state != RELOAD_IDLE)
        return;
    r->look = false;
    r->began = mono_now();
    timeout_clear(&r->retry);
    if (examine_folder(r, &err) != 0) {
        unreadable(r, err.text);
        return;
    }
    free(r->scan_error);
    r->scan_error = NULL;
    if (r->try_count == 0 && !r->ask_env && !r->trying_all && r->catalog.env != NULL) {
        nothing_to_try(r);
        publish(r);
        return;
    }
    r->state = RELOAD_TRYING;
    round_candidate(r, &candidate);
    attempt_begin(r->attempt, &candidate);
}

static void on_env(void *cookie, const struct snapshot_env *set, const char *error)
{
    round_env(cookie, set, error);
}

static void on_tried(void *cookie, size_t script, const struct trial_result *result)
{
    round_tried(cookie, script, result);
}

static void on_all_tried(void *cookie)
{
    publish(cookie);
}

void reload_round_over(struct reload *r)
{
    round_end(r);
    r->state = RELOAD_IDLE;
    if (r->look || r->changed)
        timeout_set(r->host.loop, &r->retry, mono_now(), on_first);
}

/* --- from the supervisor ------------------------------------------------------------------------------------------ */

void reload_trial_started(struct reload *r, uint32_t id, int socket)
{
    attempt_started(r->attempt, id, socket);
}

void reload_trial_ended(struct reload *r, uint32_t id, uint32_t status)
{
    attempt_ended(r->attempt, id, status);
}

void reload_snapshot_kept(struct reload *r, uint64_t generation)
{
    publish_kept(r, generation);
}

/* Something in the catalog went back: what is on its way has it still, so it is made again. */
static void republish(struct reload *r)
{
    if (r->state != RELOAD_TRYING)
        publish_begin(r); /* else the round under way publishes it */
}

void reload_worker_died(struct reload *r, uint32_t slot, const struct message_died *m)
{
    char *name = slice_dup(m->script);
    struct catalog_script *s = catalog_find(&r->catalog, name, NULL);
    free(name);
    if (m->preparing == 0 || s == NULL || s->next == NULL || s->next->version != m->script_version)
        return;
    if (s->next == s->live && ++s->strikes < STRIKES_WHEN_LIVE)
        return;
    r->desperate = r->desperate || s->next == s->live;
    struct buf words = {0};
    buf_addf(&words, "%s: loading it killed a worker (it ran too long, or crashed)", s->file);
    round_demote(r, s, buf_text(&words));
    buf_free(&words);
    republish(r);
}

/* --- from the workers --------------------------------------------------------------------------------------------- */

void reload_worker_joined(struct reload *r, uint32_t slot, uint32_t incarnation, uint64_t generation,
                          void (*send)(void *cookie, const struct message *m), void *cookie)
{
    if (slot >= AREA_SLOTS)
        return;
    r->workers[slot] = (struct reload_worker){.linked = true, .incarnation = incarnation, .moved = mono_now()};
    publish_welcome(r, generation, send, cookie);
}

void reload_worker_left(struct reload *r, uint32_t slot)
{
    if (slot >= AREA_SLOTS)
        return;
    r->workers[slot].linked = false;
    publish_check(r);
}

/* Each script it names could not be loaded there, though the trial could. True when one went back. */
static bool take_broken(struct reload *r, uint64_t generation, struct slice broken)
{
    bool bad = false, any = false;
    while (broken.len != 0 && !bad) {
        struct slice name = buf_take_string(&broken, &bad), error = buf_take_string(&broken, &bad);
        if (bad)
            break;
        char *name_text = slice_dup(name), *error_text = slice_dup(error);
        struct catalog_script *s = catalog_find(&r->catalog, name_text, NULL);
        /* What was published since is not what it speaks of. */
        bool current = s != NULL && s->next != NULL && (generation == r->next_generation || s->next == s->live);
        if (current)
            round_demote(r, s, error_text);
        any = any || current;
        free(name_text);
        free(error_text);
    }
    return any;
}

void reload_prepared(struct reload *r, uint32_t slot, const struct message_prepared *m)
{
    if (slot >= AREA_SLOTS || r->workers[slot].incarnation != m->incarnation)
        return;
    bool on_its_way = r->state == RELOAD_PREPARING && m->generation == r->next_generation;
    if (!on_its_way && m->generation != r->generation)
        return;
    if (take_broken(r, m->generation, m->broken)) {
        republish(r);
        return;
    }
    if (on_its_way)
        r->workers[slot].prepared = true;
    publish_check(r);
}

/* --- what it knows ------------------------------------------------------------------------------------------------ */

size_t reload_script_count(const struct reload *r)
{
    return r->catalog.script_count;
}

struct reload_script reload_script_at(const struct reload *r, size_t i)
{
    CHECK(i < r->catalog.script_count);
    const struct catalog_script *s = r->catalog.scripts[i];
    return (struct reload_script){.name = s->name,
                                  .file = s->file,
                                  .error = s->error,
                                  .live = s->live != NULL,
                                  .version = s->live != NULL ? s->live->version : 0};
}

size_t reload_unreadable_count(const struct reload *r)
{
    return r->unreadable.count + (r->scan_error != NULL);
}

bool reload_is_live(const struct reload *r)
{
    return r->generation != 0 || r->relieves;
}
