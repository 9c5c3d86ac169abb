/*
 * unreadable.h: folders and modules in the hooks folder that cannot be read: told when that begins and when it ends.
 * They are no scripts, so no script's error tells of them.
 * Owns: a list of them. Runs in: the keeper's loop. Never fails.
 */
#ifndef CRESCENT_RELOAD_UNREADABLE_H
#define CRESCENT_RELOAD_UNREADABLE_H

#include "load/scan.h"

struct unreadable_place {
    char *path, *error;
};

struct unreadable {                  /* zeroes: none */
    struct unreadable_place *places; /* sorted by path */
    size_t count;
};

/* Takes what a scan found in place of what was there before. Returns how many are new, or have another error now. */
size_t unreadable_update(struct unreadable *u, const struct scan *s);
void unreadable_free(struct unreadable *u);

#endif
