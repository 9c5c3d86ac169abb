/*
 * mailbox.h: messages from another thread onto a loop. A message lives in the sender's own struct; from mailbox_put to
 * `deliver` it is the mailbox's. In order, each exactly once, none lost: what is left at the end is delivered then.
 * Owns: an eventfd; the messages under way. Runs in: the loop's thread, but mailbox_put. Fails: at creation (NEED).
 */
#ifndef CRESCENT_IO_MAILBOX_H
#define CRESCENT_IO_MAILBOX_H

#include "io/loop.h"

struct mailbox;

struct mail {
    struct list link;
};

/* deliver: on the loop, once for each message, which is the receiver's from then on. It may not free the mailbox. */
struct mailbox *mailbox_new(struct loop *l, void (*deliver)(void *cookie, struct mail *mail), void *cookie);
/* Nobody may put any more; what is there is delivered inside this call. Leaves NULL. */
void mailbox_free(struct mailbox **b);
/* From any thread. Never waits but for the lock of a list. */
void mailbox_put(struct mailbox *b, struct mail *mail);

#endif
