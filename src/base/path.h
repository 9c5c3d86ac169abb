/*
 * path.h: paths as text, and where they really lead.
 * Runs in: any thread. Never fails.
 */
#ifndef CRESCENT_BASE_PATH_H
#define CRESCENT_BASE_PATH_H

#include <stdbool.h>

/* base/path, or path where it is absolute; without "." parts and doubled or trailing slashes. malloc'ed. */
char *path_join(const char *base, const char *path);
/*
 * Where it is, symbolic links resolved. Of what is not there yet its folder counts, and of a link to such a thing where
 * it leads; where that folder is not there either, the text does. malloc'ed.
 */
char *path_real(const char *path);
/* Whether it is the outer one, or lies in it, as texts: of real paths. */
bool path_is_in(const char *inner, const char *outer);
/*
 * Whether one is the other, or lies in it, by where they really are (path_real).
 */
bool path_overlap(const char *a, const char *b);

#endif
