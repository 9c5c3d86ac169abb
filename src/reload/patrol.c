/*
 * sweep.c: see patrol.h. Two sweeps shortly after each other must find the same before it counts: what is being written
 * is not looked at.
 */
#include "reload/patrol.h"
#include "base/fd.h"
#include "base/panic.h"
#include "base/slice.h"
#include "reload/mounts.h"

#define EVERY DUR_S(2)
#define EVERY_BLIND DUR_S(1)
#define ASK DUR_MS(500) /* for mounts */
#define QUIET DUR_MS(200)
#define QUIET_TRIES 25 /* then what never comes to rest is looked at all the same */
#define SHARE 100      /* for each part of the time that a look took, so many go by until the next */

static void on_next(struct timeout *t);

/* FNV-1a, 64 bits at a time: a difference must show, nobody attacks it. */
static void mix(uint64_t *sum, uint64_t n)
{
    *sum = (*sum ^ n) * 0x100000001b3u;
    *sum ^= *sum >> 29;
}

static void mix_text(uint64_t *sum, const char *text)
{
    for (; *text != '\0'; text++)
        *sum = (*sum ^ (unsigned char)*text) * 0x100000001b3u;
    mix(sum, 0);
}

static uint64_t sum_of(const struct patrol *p, const struct scan *scan)
{
    uint64_t sum = 0xcbf29ce484222325u, stamp[4];
    env_sources_stamp(p->sources, stamp);
    for (size_t k = 0; k < 4; k++)
        mix(&sum, stamp[k]);
    if (scan == NULL)
        return sum;
    mix(&sum, 1);
    for (size_t i = 0; i < scan->count; i++) {
        const struct scan_file *f = &scan->files[i];
        mix_text(&sum, f->path);
        mix_text(&sum, f->error != NULL ? f->error : "");
        for (size_t k = 0; k < 4; k++)
            mix(&sum, f->stamp[k]);
    }
    return sum;
}

static uint64_t look(const struct patrol *p)
{
    struct scan scan;
    struct error err;
    if (scan_folder(p->hooks, &scan, &err) != 0)
        return sum_of(p, NULL);
    uint64_t sum = sum_of(p, &scan);
    scan_free(&scan);
    return sum;
}

/* It wakes more often than it looks: to ask for mounts costs next to nothing. */
static void plan(struct patrol *p, dur_t wait)
{
    mono_t now = mono_now(), soon = mono_add(now, ASK);
    p->due = mono_add(now, wait);
    timeout_set(p->loop, &p->next, mono_before(p->due, soon) ? p->due : soon, on_next);
}

static void go(struct patrol *p)
{
    dur_t wait = p->blind ? EVERY_BLIND : EVERY;
    mono_t began = mono_now();
    uint64_t before = p->found;
    p->found = look(p);
    dur_t cost = mono_since(mono_now(), began);
    if (cost.ns > wait.ns / SHARE)
        wait.ns = cost.ns * SHARE;
    bool news = p->found != p->seen, moving = news && p->found != before && ++p->tries < QUIET_TRIES;
    plan(p, moving ? QUIET : wait);
    if (moving || (!news && !p->unsettled))
        return;
    p->tries = 0;
    p->trusts = !news;
    p->differs(p);
}

static void on_next(struct timeout *t)
{
    struct patrol *p = CONTAINER_OF(t, struct patrol, next);
    mono_t now = mono_now();
    bool mounted = mounts_changed(p->mounts);
    if (p->busy(p))
        plan(p, ASK); /* a look will come anyway; another may be due */
    else if (mounted || !mono_before(now, p->due))
        go(p);
    else
        plan(p, mono_since(p->due, now));
}

void patrol_begin(struct patrol *p)
{
    p->trusts = true;
    p->mounts = mounts_open();
    plan(p, EVERY);
}

void patrol_end(struct patrol *p)
{
    fd_close(&p->mounts);
    timeout_clear(&p->next);
}

void patrol_saw(struct patrol *p, const struct scan *scan)
{
    p->seen = sum_of(p, scan);
}

void patrol_blind(struct patrol *p, bool blind)
{
    if (blind && !p->blind)
        plan(p, EVERY_BLIND);
    p->blind = blind;
}

bool patrol_restless(struct patrol *p)
{
    if (p->trusts || look(p) == p->seen)
        return false;
    plan(p, QUIET);
    return true;
}
