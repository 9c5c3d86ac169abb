/*
 * batch.h: operations that share a transaction, and so a wait for the disk. Reads at the head of the line share one of
 * their own, which writes nothing; from the first change on, all that waits shares the next, reads included, so that
 * each sees what stood before it in the line. A batch is bounded by number, and by the bytes that go in and come out.
 * Owns nothing. Runs in: the store's thread. Fails: as a whole: then none of its operations was done, or (at the
 * commit, or the wait) it is not known.
 */
#ifndef CRESCENT_STORE_BATCH_H
#define CRESCENT_STORE_BATCH_H

#include "store/answers.h"

#define STORE_BATCH_MOST 1024u
#define STORE_BATCH_BYTES (8u << 20)

struct store_batch {
    struct list ops; /* done, each with its end */
    unsigned reads, changes;
    unsigned recalled; /* of the changes: known already */
    mono_t began;
    dur_t took;  /* until it was on the disk */
    bool waited; /* it had a wait for the disk, and is the first of those that shared it */
    bool failed;
    struct error why; /* of a failure */
};

/* Takes the operations that come first from todo (not empty), and does them; what it commits is not on the disk yet.
 * now: ms since 1970. */
void store_batch_run(const struct store_driver *driver, struct store_db *db, struct store_answers *answers,
                     struct list *todo, int64_t now, struct store_batch *batch_out);
/* What it did is undone, or in doubt: changes end as that, reads as not done. */
void store_batch_fail(struct store_batch *b, enum kv_end end, const struct error *why);
/* Ends all of them as not done. */
void store_batch_refuse(struct list *todo, const struct error *why, struct store_batch *batch_out);

#endif
