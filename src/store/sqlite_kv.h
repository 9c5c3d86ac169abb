/*
 * sqlite_kv.h: the driver SQLite: rows and kept answers in the tables of sqlite_schema.c.
 * Keys and buckets are stored as text whatever bytes they hold (SQLite compares bytes), strings as text where they are
 * some, so that the sqlite3 shell shows them. Runs in: the store's thread. Fails: see driver.h.
 */
#ifndef CRESCENT_STORE_SQLITE_KV_H
#define CRESCENT_STORE_SQLITE_KV_H

#include "store/driver.h"

extern const struct store_driver sqlite_kv_driver;

#endif
