/*
 * file_internal.h: what file.c and file_save.c share.
 */
#ifndef CRESCENT_IO_FILE_INTERNAL_H
#define CRESCENT_IO_FILE_INTERNAL_H

#include "io/file.h"

/* The code and words of errno for this path. */
enum file_code file_fault(const char *path, struct error *err);
/* The root, for looking things up beneath it; -1 with errno. */
int file_open_root(const char *root);
/* Opens `path` beneath the descriptor `root`; -1 with errno. */
int file_open_beneath(int root, const char *path, int flags);

#endif
