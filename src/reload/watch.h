/*
 * watch.h: says when the hooks folder, or a source of `env`, has changed and come to rest: 20 ms without a further
 * event, 5 s at most; a git command under way (see git_lock.h) and a script that is being written (not closed yet)
 * count as unrest. It says only *that* something changed: what, the next scan finds out, so that a lost event, an
 * overflow and a swapped link are all the same case. What makes no event at all, a patrol finds.
 * Owns: the inotify descriptor. Runs in: the keeper's loop. Fails: where the kernel cannot watch, it looks every second
 * instead, and says so in the log.
 */
#ifndef CRESCENT_RELOAD_WATCH_H
#define CRESCENT_RELOAD_WATCH_H

#include "io/loop.h"
#include "load/env_sources.h"
#include "load/scan.h"

struct watch;

struct watch_host { /* from the loop */
    void (*changed)(void *cookie);
    /* A script, or a file that values of `env` lie in, is being changed: `changed` will come. At each such event. */
    void (*written)(void *cookie);
    void *cookie;
};

/* hooks: absolute; hooks and sources must stay valid. */
struct watch *watch_new(struct loop *loop, const char *hooks, const struct env_sources *sources,
                        const struct watch_host *host);
void watch_free(struct watch **w);
/* Whether something has changed that has not come to rest: `changed` will come. */
bool watch_restless(struct watch *w);
/*
 * Watches the folders of a scan, what its links lead through, and the way to all of it; and nothing else any more.
 * Returns true when one of them was not watched before: what happened in it meanwhile is not known, so scan again.
 * NULL: there is no folder to be read; the way to it is watched.
 */
bool watch_folders(struct watch *w, const struct scan *scan);
/* Whether a file (its path below the hooks folder) has been changed and not closed since, as far as is known now. One
 * that stays so for 5 s is no longer waited for. */
bool watch_is_written(struct watch *w, const char *path);
/* Some file was read so soon after its change that it must be read again, a little later. */
void watch_unsettled(struct watch *w, bool unsettled);

#endif
