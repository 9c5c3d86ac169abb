/*
 * thread.h: the store's thread: opens the store, takes all that waits, does it in batches, tells; opens it again when
 * it was lost. Owns: the thread, the queue, the open store, its syncer. Runs in: the keeper's loop (the functions
 * below); its own thread (the rest), which speaks through the mailbox only. Fails: at its birth with words; a store
 * that cannot be opened is told, and tried again each second.
 */
#ifndef CRESCENT_STORE_THREAD_H
#define CRESCENT_STORE_THREAD_H

#include "store/syncer.h"

struct store_thread;

/* It says struct store_report through the mailbox. */
struct store_thread *store_thread_new(const struct store_place *place, struct mailbox *out, struct error *err);
/* Hands over all of them; leaves the list empty. */
void store_thread_put(struct store_thread *t, struct list *ops);
/*
 * No more: it ends the batch under way, closes the store, and leaves; what waits is moved to left_out. False: it did
 * not within that time, and everything stays as it is. Leaves NULL.
 */
bool store_thread_free(struct store_thread **t, dur_t most, struct list *left_out);

/*
 * The time by which keys expire, in ms since 1970: the wall clock; where it was set back by less than a minute, the
 * last time that it showed, so that what has expired stays so. By more: it was wrong before, and is believed now.
 */
int64_t store_thread_clock(int64_t last_ms, int64_t now_ms);

#endif
