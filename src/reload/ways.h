/*
 * ways.h: what a path leads through: every link and every folder on its way. To watch only its end would miss a swap of
 * a link further up (a volume's ..data, a release's `current`) and a folder moved away.
 * Owns nothing. Runs in: the keeper's loop. Fails: never; it stops where the path does.
 */
#ifndef CRESCENT_RELOAD_WAYS_H
#define CRESCENT_RELOAD_WAYS_H

enum way_part { WAY_LINK, WAY_FOLDER, WAY_END };

/* path: absolute. Tells each part in order, by a path without links before its last name; WAY_END: what is at the end,
 * if it is there. */
void ways_walk(const char *path, void (*meet)(void *cookie, const char *at, enum way_part part), void *cookie);

#endif
