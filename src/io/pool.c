/*
 * pool.c: one lock guards two lists: what waits for a thread, and what waits to be told. A thread puts a finished job
 * on the second and wakes the loop through an eventfd. See pool.h.
 */
#include "io/pool.h"
#include "base/panic.h"
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define THREADS_MAX 4                  /* as many operations meet the disk at once; each sleeps, it does not compute */
#define STACK_SIZE ((size_t)256 << 10) /* system calls and a path of 4 KiB; the sanitizers want the rest */
#define WAITING_MAX 256 /* new operations are refused behind so many: seconds of work, even on a slow disk */

struct pool {
    struct loop *loop;
    struct loop_watch watch; /* of `wake` */
    int wake;                /* eventfd: `finished` is not empty */
    pthread_t threads[THREADS_MAX];
    unsigned thread_count; /* loop's thread only */
    size_t held;           /* jobs submitted and not yet told; loop's thread only */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t more;
    struct list waiting, finished;
    size_t waiting_count;
    unsigned idle; /* threads that wait for a job */
    bool leaving;
};

/* --- on a helper thread ----------------------------------------------------------------------------------------- */

static struct pool_job *take(struct list *from)
{
    struct pool_job *job = CONTAINER_OF(from->next, struct pool_job, link);
    list_remove(&job->link);
    return job;
}

static void finish(struct pool *p, struct pool_job *job)
{
    bool first = list_empty(&p->finished);
    list_add(&p->finished, &job->link);
    if (first) /* else the loop has been woken and has not looked yet */
        NEED(eventfd_write(p->wake, 1) == 0);
}

static void *work(void *cookie)
{
    struct pool *p = cookie;
    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (list_empty(&p->waiting) && !p->leaving) {
            p->idle++;
            pthread_cond_wait(&p->more, &p->lock);
            p->idle--;
        }
        if (list_empty(&p->waiting))
            break;
        struct pool_job *job = take(&p->waiting);
        p->waiting_count--;
        pthread_mutex_unlock(&p->lock);
        job->run(job);
        pthread_mutex_lock(&p->lock);
        finish(p, job);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* --- on the loop ------------------------------------------------------------------------------------------------ */

static void tell(struct loop_watch *w, unsigned events)
{
    struct pool *p = CONTAINER_OF(w, struct pool, watch);
    eventfd_t count;
    struct list now;
    list_init(&now);
    pthread_mutex_lock(&p->lock);
    CHECK(eventfd_read(p->wake, &count) == 0);
    while (!list_empty(&p->finished))
        list_add(&now, &take(&p->finished)->link);
    pthread_mutex_unlock(&p->lock);
    while (!list_empty(&now)) {
        struct pool_job *job = take(&now);
        p->held--;
        job->done(job);
    }
}

struct pool *pool_new(struct loop *l)
{
    struct pool *p = need_zero(1, sizeof(*p));
    p->loop = l;
    list_init(&p->waiting);
    list_init(&p->finished);
    NEED(pthread_mutex_init(&p->lock, NULL) == 0 && pthread_cond_init(&p->more, NULL) == 0);
    p->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    NEED(p->wake != -1);
    loop_watch(l, &p->watch, p->wake, LOOP_READ, tell);
    return p;
}

void pool_free(struct pool **pp)
{
    struct pool *p = *pp;
    if (p == NULL)
        return;
    CHECK(p->held == 0);
    pthread_mutex_lock(&p->lock);
    p->leaving = true;
    pthread_cond_broadcast(&p->more);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->thread_count; i++)
        CHECK(pthread_join(p->threads[i], NULL) == 0);
    loop_unwatch(&p->watch);
    close(p->wake);
    pthread_cond_destroy(&p->more);
    pthread_mutex_destroy(&p->lock);
    free(p);
    *pp = NULL;
}

/* One more thread. Signals are for the loop's thread: the mask is inherited, so it is set around the birth. */
static int start_thread(struct pool *p, struct error *err)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    sigfillset(&all);
    NEED(pthread_attr_init(&attributes) == 0 && pthread_attr_setstacksize(&attributes, STACK_SIZE) == 0);
    NEED(pthread_sigmask(SIG_BLOCK, &all, &before) == 0);
    int failed = pthread_create(&p->threads[p->thread_count], &attributes, work, p);
    NEED(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    pthread_attr_destroy(&attributes);
    if (failed != 0)
        return error_set(err, "no helper thread can be started: %s", strerror(failed));
    p->thread_count++;
    return 0;
}

int pool_submit(struct pool *p, struct pool_job *job, struct error *err)
{
    pthread_mutex_lock(&p->lock);
    bool another = p->idle <= p->waiting_count && p->thread_count < THREADS_MAX;
    pthread_mutex_unlock(&p->lock);
    if (another && start_thread(p, err) != 0 && p->thread_count == 0)
        return -1;
    p->held++;
    list_init(&job->link);
    pthread_mutex_lock(&p->lock);
    list_add(&p->waiting, &job->link);
    p->waiting_count++;
    pthread_cond_signal(&p->more);
    pthread_mutex_unlock(&p->lock);
    return 0;
}

bool pool_full(const struct pool *p)
{
    struct pool *it = (struct pool *)p; /* only its lock is touched */
    pthread_mutex_lock(&it->lock);
    bool full = p->waiting_count >= WAITING_MAX;
    pthread_mutex_unlock(&it->lock);
    return full;
}
