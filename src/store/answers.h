/*
 * answers.h: the answers of calls that change something, kept so that a call which is asked again gets the answer that
 * was given, and changes nothing twice. They are kept by the asker's life: one row of the store holds all of a life's
 * that may still be asked for, and is written once for each transaction. What the asker calls settled it will not ask
 * again; so a row holds about as many as are under way.
 *
 * What stands in memory is what the store holds: after a transaction that was taken back, or with another file, it must
 * be dropped. Owns: that memory. Runs in: the store's thread, within a transaction. Fails: -1 with the driver's words.
 */
#ifndef CRESCENT_STORE_ANSWERS_H
#define CRESCENT_STORE_ANSWERS_H

#include "store/store.h"

struct store_answers;

struct store_answers *store_answers_new(const struct store_driver *driver);
/* Leaves NULL. */
void store_answers_free(struct store_answers **a);
/* 1: the call has been done, and its operation has its end and answer; 0: it has not. */
int store_answers_recall(struct store_answers *a, struct store_db *db, struct store_op *op, struct error *err);
/* It is done now. Just after a recall that knew nothing of it. */
void store_answers_add(struct store_answers *a, const struct store_op *op);
/* Writes what was added since the last time, without what is settled. now: ms since 1970. */
int store_answers_keep(struct store_answers *a, struct store_db *db, int64_t now, struct error *err);
/* Drops what is in memory: it is read again where it is needed. */
void store_answers_drop(struct store_answers *a);

#endif
