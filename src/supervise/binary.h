/*
 * binary.h: the file that this program runs from, and the one that stands at its path now: a package manager or a copy
 * may have put another there.
 * Owns nothing. Runs in: the supervisor, and commands that start a child. Fails: with words that name the path.
 */
#ifndef CRESCENT_SUPERVISE_BINARY_H
#define CRESCENT_SUPERVISE_BINARY_H

#include "base/error.h"

#include <stdbool.h>

/* The running one, by descriptor (O_PATH, close-on-exec): what happens at its path changes nothing. -1 with words. */
int binary_running(struct error *err);
/*
 * The absolute path to look for a newer one at: as the program was called (a link that leads to one version today leads
 * to another tomorrow), else where the kernel says it is, be it deleted there. The caller's to free; NULL: none is
 * known. Call it before the working directory changes.
 */
char *binary_path(void);
/* The one that stands there now: a regular file that may be executed. -1 with words. */
int binary_open(const char *path, struct error *err);

/* Whether this program runs from the file of that descriptor. */
bool binary_runs(int fd);

#endif
