/*
 * watch.h: says when the hooks folder, or .env, has changed and come to rest: 20 ms without a further event, 5 s at
 * most; a git command under way (.git/index.lock) counts as unrest. It says only *that* something changed: what, the
 * next scan finds out, so that a lost event, an overflow and a swapped link are all the same case.
 * Owns: the inotify descriptor. Runs in: the keeper's loop. Fails: where the kernel cannot watch, it looks every second
 * instead, and says so in the log.
 */
#ifndef CRESCENT_RELOAD_WATCH_H
#define CRESCENT_RELOAD_WATCH_H

#include "io/loop.h"
#include "load/scan.h"

struct watch;

/* hooks, env_file: absolute, must stay valid. changed comes from the loop. */
struct watch *watch_new(struct loop *loop, const char *hooks, const char *env_file, void (*changed)(void *cookie),
                        void *cookie);
void watch_free(struct watch **w);
/* Whether something has changed that has not come to rest: `changed` will come. */
bool watch_restless(struct watch *w);
/*
 * Watches the folders of a scan, and no others any more. Returns true when one of them was not watched before: what
 * happened in it meanwhile is not known, so scan again.
 */
bool watch_folders(struct watch *w, const struct scan *scan);
/* Watches where a link to a file leads (an edit there is no event in the folder). Call for files that are new or
 * changed. */
void watch_file(struct watch *w, const char *path);

#endif
