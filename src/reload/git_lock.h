/*
 * git_lock.h: whether a git command is changing files in the hooks folder: it holds .git/index.lock as long as it does,
 * of the repository that the folder is in. A command that crashed leaves the lock: one that is older than 10 s is told
 * in the log, once, and then no reason to wait.
 * Owns nothing. Runs in: the keeper's loop. Never fails.
 */
#ifndef CRESCENT_RELOAD_GIT_LOCK_H
#define CRESCENT_RELOAD_GIT_LOCK_H

#include "base/time.h"

struct git_lock {
    const char *folder;
    bool told;      /* that a lock is ignored */
    int64_t offset; /* from the monotonic to the wall clock: differs when one of them was set */
    mono_t set;     /* when that was noticed */
};

/* folder: absolute; it must stay valid. */
void git_lock_init(struct git_lock *l, const char *folder);
/* Whether to wait, as of now. */
bool git_lock_is_held(struct git_lock *l);

#endif
