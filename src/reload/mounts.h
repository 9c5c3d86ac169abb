/*
 * mounts.h: whether something was mounted or unmounted in this mount namespace, which inotify does not tell.
 * Owns: a descriptor. Runs in: the keeper's loop. Fails: without /proc it knows of nothing.
 */
#ifndef CRESCENT_RELOAD_MOUNTS_H
#define CRESCENT_RELOAD_MOUNTS_H

#include <stdbool.h>

/* The mount table, open; or -1. The caller closes it. */
int mounts_open(void);
/* Whether it has changed since it was opened, or since the last call. */
bool mounts_changed(int table);

#endif
