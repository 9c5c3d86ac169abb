/*
 * thread.c: one lock guards the queue; everything else is the thread's own. See thread.h.
 */
#include "store/thread.h"
#include "base/panic.h"
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STACK_SIZE ((size_t)512 << 10)
#define ROUND DUR_S(1) /* between tries to open it, and between looks for what is stale */
#define SWEEP_MOST 500u
#define CLOCK_HOLD_MS 60000
#define GATHER_MOST DUR_MS(1) /* what a call may wait longer for the sake of others */
#define QUICK_NS 300000       /* a wait for the disk that is over before those who were told have asked again */
#define NOBODY 0              /* no worker's life */

struct store_thread {
    struct store_place place;
    struct mailbox *out;
    pthread_t thread;

    struct store_db *db; /* NULL: not open */
    struct store_answers *answers;
    struct store_syncer *syncer;
    struct error why; /* it is not, or does not take changes */
    bool up, turned;  /* as it was told; whether it was */
    mono_t next_round;
    int64_t clock_ms;
    size_t told; /* by the last commit: so many may ask again soon */
    mono_t gather_until;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t more, over;
    struct list waiting;
    size_t waiting_count;
    bool leaving, gone;
};

/* --- on the thread ------------------------------------------------------------------------------------------------ */

int64_t store_thread_clock(int64_t last_ms, int64_t now_ms)
{
    return now_ms < last_ms && last_ms - now_ms < CLOCK_HOLD_MS ? last_ms : now_ms;
}

static int64_t clock_ms(struct store_thread *t)
{
    t->clock_ms = store_thread_clock(t->clock_ms, wall_now().ns / 1000000);
    return t->clock_ms;
}

static void turn(struct store_thread *t, bool up, const struct error *why)
{
    if (t->turned && t->up == up)
        return;
    t->turned = true;
    t->up = up;
    struct store_report *r = need_zero(1, sizeof(*r));
    r->turned = true;
    r->up = up;
    if (!up)
        t->why = r->why = *why;
    else if (t->place.driver->advise != NULL)
        t->place.driver->advise(t->db, &r->advice);
    list_init(&r->batch.ops);
    mailbox_put(t->out, &r->mail);
}

/* It is closed, and opened again: at once for the first time, then round by round. */
static void lose(struct store_thread *t, bool first)
{
    struct error known;
    store_syncer_settle(t->syncer, &known);
    t->place.driver->close(&t->db);
    store_answers_drop(t->answers);
    t->place.suspect = true;
    if (first)
        t->next_round = mono_now();
}

/* After a failure. */
static void judge(struct store_thread *t, const struct error *why)
{
    bool first = t->up;
    turn(t, false, why);
    t->why = *why;
    if (!t->place.driver->sound(t->db))
        lose(t, first);
}

/* Waits until what was done is on the disk, and has been told. False: it is not, and the store is lost. */
static bool settle(struct store_thread *t)
{
    struct error why;
    bool first = t->up;
    if (store_syncer_settle(t->syncer, &why) == 0)
        return true;
    turn(t, false, &why);
    t->why = why;
    lose(t, first);
    return false;
}

/*
 * While changes fail nobody may be asking for any: the answers to nobody are kept, to see whether they still do. What
 * was done before is waited for first: a file tells its fault once, and here it would be missed where it belongs.
 */
static void probe(struct store_thread *t)
{
    struct error why;
    const struct store_driver *d = t->place.driver;
    if (!settle(t))
        return;
    if (d->begin(t->db, true, &why) != 0) {
        judge(t, &why);
        return;
    }
    if (d->keep(t->db, NOBODY, clock_ms(t), SLICE(""), &why) != 0 || d->commit(t->db, &why) != 0) {
        d->rollback(t->db);
        judge(t, &why);
    } else if (d->sync(t->db, &why) != 0) {
        t->why = why;
        lose(t, false);
    } else {
        turn(t, true, NULL);
    }
}

static void open_again(struct store_thread *t)
{
    struct error why;
    t->db = t->place.driver->open(&t->place, &why);
    if (t->db == NULL) {
        turn(t, false, &why);
        t->why = why;
        return;
    }
    bool lost = t->turned && !t->place.may_create; /* it was open before: whether it takes changes now is to be seen */
    t->place.may_create = t->place.suspect = false;
    if (lost)
        probe(t);
    else
        turn(t, true, NULL);
}

/* What is stale, where nobody's batch has taken it along. */
static void sweep(struct store_thread *t)
{
    struct error why;
    const struct store_driver *d = t->place.driver;
    int stale = d->stale(t->db, clock_ms(t), &why);
    if (stale == 0)
        return;
    bool begun = stale == 1 && d->begin(t->db, true, &why) == 0;
    if (begun && d->sweep(t->db, clock_ms(t), SWEEP_MOST, &why) >= 0 &&
        d->forget(t->db, clock_ms(t), SWEEP_MOST, &why) >= 0 && d->commit(t->db, &why) == 0)
        return;
    if (begun)
        d->rollback(t->db);
    judge(t, &why);
}

static void keep_house(struct store_thread *t)
{
    mono_t now = mono_now();
    if (mono_before(now, t->next_round))
        return;
    t->next_round = mono_add(now, ROUND);
    if (t->db == NULL)
        open_again(t);
    else if (!t->up)
        probe(t);
    else
        sweep(t);
}

/* How long the next commit waits for those who were just told: for half of what this one took. */
static void expect(struct store_thread *t, size_t told, dur_t took)
{
    dur_t most = {took.ns / 2 < GATHER_MOST.ns ? took.ns / 2 : GATHER_MOST.ns};
    t->told = told;
    t->gather_until = mono_add(mono_now(), most);
}

/*
 * While a quick disk works, the processors have the next batch to do: its callers go in two groups, in turns. To a slow
 * one all go together, and it is waited for here: two groups would wait twice for what one wait can do.
 */
static void go_on(struct store_thread *t, size_t told, mono_t began)
{
    dur_t wait = store_syncer_took(t->syncer);
    if (t->up && wait.ns > 0 && wait.ns < QUICK_NS)
        expect(t, 0, (dur_t){0});
    else if (settle(t)) {
        turn(t, true, NULL); /* it was away, perhaps, and takes changes now */
        expect(t, told, mono_since(mono_now(), began));
    }
}

static void run_batch(struct store_thread *t, struct list *todo)
{
    struct store_report *r = need_zero(1, sizeof(*r));
    if (t->db == NULL) {
        store_batch_refuse(todo, &t->why, &r->batch);
        mailbox_put(t->out, &r->mail);
        return;
    }
    store_batch_run(t->place.driver, t->db, t->answers, todo, clock_ms(t), &r->batch);
    bool failed = r->batch.failed, changes = r->batch.changes > 0;
    mono_t began = r->batch.began;
    size_t told = r->batch.reads + r->batch.changes;
    if (failed)
        judge(t, &r->batch.why);
    store_syncer_put(t->syncer, t->db, r);
    if (changes && !failed)
        go_on(t, told, began);
    else
        expect(t, 0, (dur_t){0});
}

/* How many there were. */
static size_t take_all(struct list *from, struct list *to)
{
    size_t count = 0;
    for (; !list_empty(from); count++) {
        struct list *one = from->next;
        list_remove(one);
        list_add(to, one);
    }
    return count;
}

static struct timespec at(mono_t t)
{
    return (struct timespec){.tv_sec = t.ns / 1000000000, .tv_nsec = t.ns % 1000000000};
}

static bool first_changes(const struct list *ops)
{
    return !list_empty(ops) && store_changes(CONTAINER_OF(ops->next, struct store_op, link)->what);
}

/*
 * Callers that set in a loop ask again as soon as they are told. Without a pause whoever comes first would have a
 * commit to itself, and the others the next one: two waits for the disk where one is enough. A caller that is alone,
 * and a read, wait for nobody. With the lock held.
 */
static void gather(struct store_thread *t, size_t expected)
{
    struct timespec until = at(t->gather_until);
    int waited = 0;
    while (first_changes(&t->waiting) && t->waiting_count < expected && !t->leaving && waited == 0 &&
           mono_before(mono_now(), t->gather_until))
        waited = pthread_cond_timedwait(&t->more, &t->lock, &until);
}

/* Until something waits, or the next round. False: no more. */
static bool wait_for_more(struct store_thread *t, struct list *todo)
{
    struct timespec until = at(t->next_round);
    pthread_mutex_lock(&t->lock);
    int waited = 0;
    size_t expected = t->told + t->waiting_count;
    while (list_empty(&t->waiting) && list_empty(todo) && !t->leaving && waited == 0)
        waited = pthread_cond_timedwait(&t->more, &t->lock, &until);
    if (list_empty(todo))
        gather(t, expected);
    bool leaving = t->leaving;
    if (!leaving) {
        take_all(&t->waiting, todo);
        t->waiting_count = 0;
    } else /* what was taken and not done is given back, before what came later */
        while (!list_empty(todo)) {
            struct list *last = todo->prev;
            list_remove(last);
            list_add(t->waiting.next, last);
        }
    pthread_mutex_unlock(&t->lock);
    return !leaving;
}

static void *work(void *cookie)
{
    struct store_thread *t = cookie;
    struct list todo;
    list_init(&todo);
    t->syncer = store_syncer_new(t->place.driver, t->out);
    do {
        if (store_syncer_failed(t->syncer))
            settle(t);
        keep_house(t);
        if (!list_empty(&todo))
            run_batch(t, &todo);
    } while (wait_for_more(t, &todo));
    if (t->db != NULL && settle(t))
        t->place.driver->close(&t->db);
    store_syncer_free(&t->syncer);
    pthread_mutex_lock(&t->lock);
    t->gone = true;
    pthread_cond_signal(&t->over);
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

/* --- on the loop -------------------------------------------------------------------------------------------------- */

/* Signals are for the loop's thread: the mask is inherited, so it is set around the birth. */
static int start(struct store_thread *t, struct error *err)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    sigfillset(&all);
    NEED(pthread_attr_init(&attributes) == 0 && pthread_attr_setstacksize(&attributes, STACK_SIZE) == 0);
    NEED(pthread_sigmask(SIG_BLOCK, &all, &before) == 0);
    int failed = pthread_create(&t->thread, &attributes, work, t);
    NEED(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    pthread_attr_destroy(&attributes);
    return failed == 0 ? 0 : error_set(err, "the store's thread cannot be started: %s", strerror(failed));
}

static void release(struct store_thread *t)
{
    pthread_cond_destroy(&t->more);
    pthread_cond_destroy(&t->over);
    pthread_mutex_destroy(&t->lock);
    store_answers_free(&t->answers);
    free(t->place.path);
    free(t);
}

struct store_thread *store_thread_new(const struct store_place *place, struct mailbox *out, struct error *err)
{
    struct store_thread *t = need_zero(1, sizeof(*t));
    pthread_condattr_t monotonic;
    t->place = *place;
    t->place.path = place->path != NULL ? need_strdup(place->path) : NULL;
    t->out = out;
    t->answers = store_answers_new(place->driver);
    list_init(&t->waiting);
    NEED(pthread_condattr_init(&monotonic) == 0 && pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) == 0);
    NEED(pthread_mutex_init(&t->lock, NULL) == 0 && pthread_cond_init(&t->more, &monotonic) == 0 &&
         pthread_cond_init(&t->over, &monotonic) == 0);
    pthread_condattr_destroy(&monotonic);
    if (start(t, err) == 0)
        return t;
    release(t);
    return NULL;
}

void store_thread_put(struct store_thread *t, struct list *ops)
{
    pthread_mutex_lock(&t->lock);
    t->waiting_count += take_all(ops, &t->waiting);
    pthread_mutex_unlock(&t->lock);
    pthread_cond_signal(&t->more); /* now: woken before, it would wait for the lock, and be woken twice */
}

bool store_thread_free(struct store_thread **tp, dur_t most, struct list *left_out)
{
    struct store_thread *t = *tp;
    *tp = NULL;
    if (t == NULL)
        return true;
    struct timespec until = at(mono_add(mono_now(), most));
    int waited = 0;
    pthread_mutex_lock(&t->lock);
    t->leaving = true;
    pthread_cond_signal(&t->more);
    while (!t->gone && waited == 0)
        waited = pthread_cond_timedwait(&t->over, &t->lock, &until);
    bool gone = t->gone;
    pthread_mutex_unlock(&t->lock);
    if (!gone)
        return false;
    CHECK(pthread_join(t->thread, NULL) == 0);
    take_all(&t->waiting, left_out);
    release(t);
    return true;
}
