/*
 * prepare.c: see prepare.h. The generation word decides what is live; this file sees to it that what it names is there.
 */
#include "worker/prepare.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/panic.h"
#include "http/redact.h"
#include <stdlib.h>

#define SLICE_TIME DUR_MS(5) /* of one loop pass; one script is never divided */

struct prepare {
    struct prepare_host host;
    struct generation *current; /* live, as far as this worker knows */
    struct generation *aside;   /* whole, told, not live yet */
    struct generation *building;
    struct snapshot snapshot;  /* of `building` */
    size_t next;               /* its next script */
    bool last_pass;            /* scripts that never loaded come after all others: they must not take a route away */
    struct buf broken;         /* name, error; for the message */
    struct buf inherited;      /* the same, of the snapshot of the start, */
    uint64_t inherited_number; /* this generation */
    struct loop_later step;
};

static void on_step(struct loop_later *later);

struct prepare *prepare_new(const struct prepare_host *host)
{
    struct prepare *p = need_zero(1, sizeof(*p));
    p->host = *host;
    loop_later_init(&p->step, on_step);
    return p;
}

static void drop_building(struct prepare *p)
{
    loop_later_cancel(&p->step);
    generation_release(&p->building);
    snapshot_free(&p->snapshot);
    buf_clear(&p->broken);
}

void prepare_free(struct prepare **p)
{
    struct prepare *gone = *p;
    *p = NULL;
    if (gone == NULL)
        return;
    drop_building(gone);
    generation_release(&gone->aside);
    generation_release(&gone->current);
    buf_free(&gone->broken);
    buf_free(&gone->inherited);
    free(gone);
}

/* --- one script after the other ----------------------------------------------------------------------------------- */

/* The keeper logs and keeps the words; they may quote what env gave. */
static void note_broken(struct prepare *p, struct slice name, struct slice error)
{
    struct buf clean = {0};
    buf_add_string(&p->broken, name);
    buf_add_string(&p->broken, redact_clean(p->host.redact, error, &clean));
    buf_free(&clean);
}

/* The endpoint as it is live, with a hold, if it has that name (and, asked for one, that version); or NULL. */
static struct endpoint *have(struct prepare *p, struct slice name, const uint64_t *version)
{
    if (p->current == NULL)
        return NULL;
    char *text = slice_dup(name);
    struct endpoint *e = generation_find(p->current, text);
    free(text);
    bool fits = e != NULL && e->broken == NULL && (version == NULL || e->version == *version);
    return fits ? endpoint_hold(e) : NULL;
}

static struct endpoint *load_one(struct prepare *p, size_t at)
{
    const struct snapshot_script *script = &p->snapshot.scripts[at];
    struct buf errors = {0};
    struct endpoint *e = load_script(p->host.load, &p->snapshot, at, &errors);
    if (e == NULL)
        note_broken(p, script->name, buf_slice(&errors));
    buf_free(&errors);
    return e;
}

static void add_one(struct prepare *p, size_t at)
{
    const struct snapshot_script *script = &p->snapshot.scripts[at];
    struct error err;
    struct endpoint *e = have(p, script->name, &script->version);
    if (e == NULL)
        e = load_one(p, at);
    if (e == NULL)
        e = have(p, script->name, NULL);
    if (e == NULL)
        e = load_broken(script);
    bool loaded = e->broken == NULL;
    if (generation_add(p->building, e, &err) != 0 && loaded)
        note_broken(p, script->name, slice_of(err.text));
}

/* A script that never loaded answers 503 on its file's route, if no other has it. */
static void add_unloaded(struct prepare *p, size_t at)
{
    struct error err;
    struct endpoint *e = load_broken(&p->snapshot.scripts[at]);
    generation_add(p->building, e, &err);
}

/* True when all is done. */
static bool build_until(struct prepare *p, mono_t until)
{
    while (p->next < p->snapshot.script_count) {
        size_t at = p->next++;
        bool loads = p->snapshot.scripts[at].text.at != NULL;
        if (loads && !p->last_pass)
            add_one(p, at);
        else if (!loads && p->last_pass)
            add_unloaded(p, at);
        if (p->next == p->snapshot.script_count && !p->last_pass) {
            p->last_pass = true;
            p->next = 0;
        }
        if (!mono_before(mono_now(), until))
            break;
    }
    return p->next == p->snapshot.script_count;
}

static int open_building(struct prepare *p, uint64_t generation, int snapshot, struct error *err)
{
    drop_building(p);
    int mapped = snapshot_map(snapshot, &p->snapshot, err);
    fd_close(&snapshot);
    if (mapped != 0)
        return -1;
    p->next = 0;
    p->last_pass = false;
    p->building = generation_new(generation);
    return 0;
}

/* --- from whole to live ------------------------------------------------------------------------------------------- */

static void tell_prepared(struct prepare *p, uint64_t generation, struct slice broken)
{
    const struct message m = {
        .type = MESSAGE_prepared,
        .prepared = {.generation = generation, .incarnation = p->host.incarnation, .broken = broken}};
    p->host.tell(p->host.cookie, &m);
}

static void become_live(struct prepare *p, struct generation **g)
{
    bool first = p->current == NULL;
    generation_release(&p->current);
    p->current = *g;
    *g = NULL;
    if (first && p->host.live != NULL)
        p->host.live(p->host.cookie);
}

static void finish_building(struct prepare *p)
{
    loop_later_cancel(&p->step);
    generation_release(&p->aside);
    p->aside = p->building;
    p->building = NULL;
    tell_prepared(p, p->aside->number, buf_slice(&p->broken));
    drop_building(p);
}

static uint64_t word(const struct prepare *p)
{
    return atomic_load_explicit(area_generation(p->host.area), memory_order_acquire);
}

static void on_step(struct loop_later *later)
{
    struct prepare *p = CONTAINER_OF(later, struct prepare, step);
    if (!build_until(p, mono_add(mono_now(), SLICE_TIME))) {
        loop_later(p->host.loop, &p->step);
        return;
    }
    finish_building(p);
    if (p->aside->number ==
        word(p)) /* it was live before we heard of it: no flip comes, nor a request that would ask */
        become_live(p, &p->aside);
}

int prepare_inherited(struct prepare *p, uint64_t generation, int snapshot, struct error *err)
{
    if (open_building(p, generation, snapshot, err) != 0)
        return -1;
    while (!build_until(p, MONO_NEVER))
        continue;
    become_live(p, &p->building);
    p->inherited_number = generation;
    p->inherited = p->broken; /* there is nobody to tell yet */
    p->broken = (struct buf){0};
    drop_building(p);
    return 0;
}

uint64_t prepare_new_keeper(struct prepare *p)
{
    prepare_live(p); /* what the word names is no longer only begun */
    drop_building(p);
    generation_release(&p->aside);
    return p->current != NULL ? p->current->number : 0;
}

void prepare_confess(struct prepare *p)
{
    if (p->inherited.len != 0 && p->current->number == p->inherited_number)
        tell_prepared(p, p->current->number, buf_slice(&p->inherited));
}

void prepare_begin(struct prepare *p, uint64_t generation, int snapshot)
{
    struct error err;
    if (p->building != NULL && p->building->number == word(p)) { /* live already, and owed */
        while (!build_until(p, MONO_NEVER))
            continue;
        finish_building(p);
    }
    if (p->aside != NULL && p->aside->number == word(p))
        become_live(p, &p->aside);
    generation_release(&p->aside); /* it will not become live any more */
    if (open_building(p, generation, snapshot, &err) != 0) {
        log_at(LOG_ERROR, "cannot read the snapshot of the scripts", LOG_STR("error", err.text));
        return;
    }
    loop_later(p->host.loop, &p->step);
}

/* The word names what is not live here: what it names is aside, being built, still in the link, or nowhere. */
static void catch_up(struct prepare *p, uint64_t live)
{
    if ((p->aside == NULL || p->aside->number != live) && (p->building == NULL || p->building->number != live))
        p->host.hear(p->host.cookie);
    if (p->current != NULL && p->current->number == live)
        return;
    if (p->building != NULL && p->building->number == live) {
        while (!build_until(p, MONO_NEVER))
            continue;
        finish_building(p);
    }
    if (p->aside != NULL && p->aside->number == live)
        become_live(p, &p->aside);
}

struct generation *prepare_live(struct prepare *p)
{
    uint64_t live = word(p);
    if (live != 0 && (p->current == NULL || p->current->number != live))
        catch_up(p, live);
    return p->current;
}
