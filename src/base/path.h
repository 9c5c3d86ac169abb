/*
 * path.h: paths as text.
 * Runs in: any thread, pure. Never fails.
 */
#ifndef CRESCENT_BASE_PATH_H
#define CRESCENT_BASE_PATH_H

/* base/path, or path where it is absolute; without "." parts and doubled or trailing slashes. malloc'ed. */
char *path_join(const char *base, const char *path);

#endif
