/*
 * syncer.h: tells what a batch did when it is on the disk, while the store's thread goes on with the next one. All that
 * is put in meanwhile shares the next wait for the disk. Reports are told in the order in which they were put: one that
 * saw what is not on the disk yet, of a read too, is not told before it is.
 * Owns: a thread, the reports until they are told. Runs in: the store's thread (the functions below); its own thread
 * (the rest). Fails: at its birth (NEED). A wait that fails fails all batches that it was for, and all that come
 * after them, until store_syncer_settle has said so: then the store must be closed.
 */
#ifndef CRESCENT_STORE_SYNCER_H
#define CRESCENT_STORE_SYNCER_H

#include "io/mailbox.h"
#include "store/batch.h"

struct store_syncer;

/* What the store's threads say, in order; freed by whoever gets it, when the operations have been told. */
struct store_report {
    struct mail mail;
    struct list link;
    bool turned; /* it is up, or away, since this; else it is about a batch */
    bool up;
    struct error why;  /* of being away */
    struct buf advice; /* of being up; see store/driver.h */
    struct store_batch batch;
};

/* On the store's thread: it gets no signals, as that one. */
struct store_syncer *store_syncer_new(const struct store_driver *driver, struct mailbox *out);
/* Nothing of it is under way any more (settle). Leaves NULL. */
void store_syncer_free(struct store_syncer **s);
/* Of a batch, which was committed in db, or failed. Each db stays open until it has been settled. */
void store_syncer_put(struct store_syncer *s, struct store_db *db, struct store_report *r);
/* Waits until all are told. -1 with the words: since the last time something could not be brought to the disk. */
int store_syncer_settle(struct store_syncer *s, struct error *err);
/* Whether settle would fail; costs nothing. */
bool store_syncer_failed(struct store_syncer *s);
/* How long the last wait for the disk took; 0: there was none. */
dur_t store_syncer_took(struct store_syncer *s);

#endif
