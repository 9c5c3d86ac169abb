/*
 * memory.h: a driver without a disk, for tests of what stands above drivers: it fails at the call that it is told to,
 * or stands still. Owns: what it was given, across closings, as a file would. Runs in: the store's thread, but the
 * fields that are atomic.
 */
#ifndef CRESCENT_STORE_MEMORY_H
#define CRESCENT_STORE_MEMORY_H

#include "store/driver.h"
#include <stdatomic.h>

enum store_memory_call { /* each as in struct store_driver */
                         STORE_MEMORY_NONE,
                         STORE_MEMORY_BEGIN,
                         STORE_MEMORY_COMMIT,
                         STORE_MEMORY_SYNC,
                         STORE_MEMORY_GET,
                         STORE_MEMORY_PUT,
                         STORE_MEMORY_DROP,
                         STORE_MEMORY_LIST,
                         STORE_MEMORY_RECALL,
                         STORE_MEMORY_KEEP,
                         STORE_MEMORY_SWEEP,
                         STORE_MEMORY_STALE
};

struct store_memory;

struct store_memory *store_memory_new(void);
void store_memory_free(struct store_memory **m);
struct store_place store_memory_place(struct store_memory *m);
/* From any thread. This call fails from now on; lost: and the store must be opened again, as always after a sync. A
 * commit that fails by losing the store has been done, or not, as `done` says. */
void store_memory_fail(struct store_memory *m, enum store_memory_call which, bool lost, bool done);
/* From any thread: it cannot be opened as long as it is shut. */
void store_memory_shut(struct store_memory *m, bool shut);
/* From any thread: commits, or syncs, stand still until it is NONE again. */
void store_memory_hold(struct store_memory *m, enum store_memory_call which);
/* From any thread: each sync takes so long. */
void store_memory_slow(struct store_memory *m, unsigned us);
/* From any thread: transactions that changed something, and how often it was opened. */
unsigned store_memory_commits(const struct store_memory *m);
unsigned store_memory_opened(const struct store_memory *m);
/* From any thread: the most syncs that were under way at once; more than one is nothing that a driver must bear. */
int store_memory_most_syncs(const struct store_memory *m);
/* Rows, and lives of which answers are kept; only while no thread uses it. */
size_t store_memory_rows(const struct store_memory *m);
size_t store_memory_kept(const struct store_memory *m);

#endif
