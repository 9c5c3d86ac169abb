/*
 * store/kv.h: what the operations of kv mean, over any driver.
 *
 * A key that has expired is not there. set puts a value, and the time to live it names, or none: an earlier one ends.
 * add puts one where there is none. incr adds to a number, 0 where there is none, and gives a time to live to one that
 * it creates only.
 *
 * Runs in: the store's thread, within a transaction. Fails: -1 with the driver's words; what a script may meet is the
 * operation's end.
 */
#ifndef CRESCENT_STORE_KV_H
#define CRESCENT_STORE_KV_H

#include "store/store.h"

/* Fills in end, answer and bytes. now: ms since 1970. */
int store_kv_apply(const struct store_driver *driver, struct store_db *db, struct store_op *op, int64_t now,
                   struct error *err);

#endif
