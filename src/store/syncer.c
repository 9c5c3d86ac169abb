/*
 * syncer.c: one lock guards the queue and what is known of the last wait. See syncer.h.
 */
#include "store/syncer.h"
#include "base/panic.h"
#include <pthread.h>
#include <stdlib.h>

struct store_syncer {
    const struct store_driver *driver;
    struct mailbox *out;
    pthread_t thread;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t more, idle;
    struct list waiting; /* reports */
    struct store_db *db;
    bool busy, leaving, failed;
    struct error why;
    dur_t took;
};

/* --- on its thread ------------------------------------------------------------------------------------------------ */

static struct store_report *first(const struct list *of)
{
    return CONTAINER_OF(of->next, struct store_report, link);
}

static bool must_wait(const struct store_report *r)
{
    return r->batch.changes > 0 && !r->batch.failed;
}

/* The wait is counted with the first of those that share it. */
static void tell_all(struct store_syncer *s, struct list *group, bool failed, const struct error *why)
{
    mono_t now = mono_now();
    bool counted = false;
    while (!list_empty(group)) {
        struct store_report *r = first(group);
        struct store_batch *b = &r->batch;
        list_remove(&r->link);
        b->waited = must_wait(r) && !counted && !failed;
        counted = counted || b->waited;
        b->took = mono_since(now, b->began);
        if (failed && !b->failed)
            store_batch_fail(b, KV_UNKNOWN, why);
        mailbox_put(s->out, &r->mail);
    }
}

/* Takes all that waits; false: no more will. With the lock held. */
static bool take(struct store_syncer *s, struct list *group, bool *must_wait_out)
{
    while (list_empty(&s->waiting) && !s->leaving)
        pthread_cond_wait(&s->more, &s->lock);
    *must_wait_out = false;
    s->busy = !list_empty(&s->waiting);
    while (!list_empty(&s->waiting)) {
        struct store_report *r = first(&s->waiting);
        *must_wait_out = *must_wait_out || must_wait(r);
        list_remove(&r->link);
        list_add(group, &r->link);
    }
    return s->busy;
}

static void *work(void *cookie)
{
    struct store_syncer *s = cookie;
    struct list group;
    bool must_wait;
    list_init(&group);
    pthread_mutex_lock(&s->lock);
    while (take(s, &group, &must_wait)) {
        struct error why = s->why;
        bool failed = s->failed, try = must_wait && !failed;
        struct store_db *db = s->db;
        pthread_mutex_unlock(&s->lock);
        mono_t began = mono_now();
        if (try)
            failed = s->driver->sync(db, &why) != 0;
        dur_t took = mono_since(mono_now(), began);
        tell_all(s, &group, failed, &why);
        pthread_mutex_lock(&s->lock);
        s->failed = failed;
        s->why = why;
        s->took = try ? took : s->took;
        s->busy = false;
        if (list_empty(&s->waiting))
            pthread_cond_signal(&s->idle);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* --- on the store's thread ---------------------------------------------------------------------------------------- */

void store_syncer_put(struct store_syncer *s, struct store_db *db, struct store_report *r)
{
    pthread_mutex_lock(&s->lock);
    bool now = list_empty(&s->waiting) && !s->busy && !s->failed && !must_wait(r);
    if (!now) {
        s->db = db;
        list_add(&s->waiting, &r->link);
    }
    pthread_mutex_unlock(&s->lock);
    if (now)
        mailbox_put(s->out, &r->mail);
    else
        pthread_cond_signal(&s->more);
}

int store_syncer_settle(struct store_syncer *s, struct error *err)
{
    pthread_mutex_lock(&s->lock);
    while (s->busy || !list_empty(&s->waiting))
        pthread_cond_wait(&s->idle, &s->lock);
    bool failed = s->failed;
    s->failed = false;
    if (failed)
        *err = s->why;
    pthread_mutex_unlock(&s->lock);
    return failed ? -1 : 0;
}

bool store_syncer_failed(struct store_syncer *s)
{
    pthread_mutex_lock(&s->lock);
    bool failed = s->failed;
    pthread_mutex_unlock(&s->lock);
    return failed;
}

dur_t store_syncer_took(struct store_syncer *s)
{
    pthread_mutex_lock(&s->lock);
    dur_t took = s->took;
    pthread_mutex_unlock(&s->lock);
    return took;
}

struct store_syncer *store_syncer_new(const struct store_driver *driver, struct mailbox *out)
{
    struct store_syncer *s = need_zero(1, sizeof(*s));
    s->driver = driver;
    s->out = out;
    list_init(&s->waiting);
    NEED(pthread_mutex_init(&s->lock, NULL) == 0 && pthread_cond_init(&s->more, NULL) == 0 &&
         pthread_cond_init(&s->idle, NULL) == 0);
    NEED(pthread_create(&s->thread, NULL, work, s) == 0);
    return s;
}

void store_syncer_free(struct store_syncer **sp)
{
    struct store_syncer *s = *sp;
    *sp = NULL;
    if (s == NULL)
        return;
    pthread_mutex_lock(&s->lock);
    s->leaving = true;
    pthread_mutex_unlock(&s->lock);
    pthread_cond_signal(&s->more);
    CHECK(pthread_join(s->thread, NULL) == 0);
    pthread_cond_destroy(&s->more);
    pthread_cond_destroy(&s->idle);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
