/*
 * mailbox.c: a list under a lock, and an eventfd that wakes the loop when the list is no longer empty. See mailbox.h.
 */
#include "io/mailbox.h"
#include "base/panic.h"
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct mailbox {
    void (*deliver)(void *cookie, struct mail *mail);
    void *cookie;
    struct loop_watch watch; /* of `wake` */
    int wake;                /* eventfd: the list is not empty */

    pthread_mutex_t lock; /* guards what follows */
    struct list mails;
};

void mailbox_put(struct mailbox *b, struct mail *mail)
{
    list_init(&mail->link);
    pthread_mutex_lock(&b->lock);
    bool first = list_empty(&b->mails);
    list_add(&b->mails, &mail->link);
    if (first) /* else the loop has been woken and has not looked yet */
        NEED(eventfd_write(b->wake, 1) == 0);
    pthread_mutex_unlock(&b->lock);
}

static void deliver_all(struct mailbox *b)
{
    eventfd_t count;
    struct list now;
    list_init(&now);
    pthread_mutex_lock(&b->lock);
    if (!list_empty(&b->mails))
        CHECK(eventfd_read(b->wake, &count) == 0);
    while (!list_empty(&b->mails)) {
        struct list *first = b->mails.next;
        list_remove(first);
        list_add(&now, first);
    }
    pthread_mutex_unlock(&b->lock);
    while (!list_empty(&now)) {
        struct mail *mail = CONTAINER_OF(now.next, struct mail, link);
        list_remove(&mail->link);
        b->deliver(b->cookie, mail);
    }
}

static void on_wake(struct loop_watch *w, unsigned events)
{
    deliver_all(CONTAINER_OF(w, struct mailbox, watch));
}

struct mailbox *mailbox_new(struct loop *l, void (*deliver)(void *cookie, struct mail *mail), void *cookie)
{
    struct mailbox *b = need_zero(1, sizeof(*b));
    b->deliver = deliver;
    b->cookie = cookie;
    list_init(&b->mails);
    NEED(pthread_mutex_init(&b->lock, NULL) == 0);
    b->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    NEED(b->wake != -1);
    loop_watch(l, &b->watch, b->wake, LOOP_READ, on_wake);
    return b;
}

void mailbox_free(struct mailbox **bp)
{
    struct mailbox *b = *bp;
    *bp = NULL;
    if (b == NULL)
        return;
    deliver_all(b);
    loop_unwatch(&b->watch);
    close(b->wake);
    pthread_mutex_destroy(&b->lock);
    free(b);
}
