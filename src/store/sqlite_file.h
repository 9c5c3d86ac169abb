/*
 * sqlite_file.h: the file of a SQLite store beneath SQLite: made with mode 0600, locked against a second server, and
 * whether it is still the one at its path. A path may be, or go through, symbolic links: all is done at the file
 * itself. Owns: a descriptor, which carries the lock, and one of the log. Runs in: the store's thread, sync in any.
 * Fails: words that name the file, and who has it.
 */
#ifndef CRESCENT_STORE_SQLITE_FILE_H
#define CRESCENT_STORE_SQLITE_FILE_H

#include "base/buf.h"
#include "base/error.h"
#include <stdbool.h>
#include <sys/types.h>

struct sqlite_file {
    int fd;                /* -1: none */
    char *given;           /* the path as it was named */
    char *path, *log_path; /* where the file is, with no links on the way */
    int log_fd;            /* of SQLite's write-ahead log beside it; -1: not noted */
    ino_t log_inode;
};

/* Born with both fds -1. The file must be one of SQLite's, or empty. */
int sqlite_file_open(struct sqlite_file *f, const char *path, bool may_create, struct error *err);
/*
 * SQLite has opened it: from here on its log, too, must stay where it is. Its descriptor is our own: SQLite locks
 * nothing in the log, so to close it drops no lock; and the kernel tells of a write that failed once for each
 * descriptor, so what SQLite heard of by its own, and passed over (in a checkpoint), is heard of here, too.
 */
int sqlite_file_note(struct sqlite_file *f, struct error *err);
/* Waits until all that was written to the log before is on the disk. */
int sqlite_file_sync(const struct sqlite_file *f, struct error *err);
/* Whether its path, as named and as it is, and its log's lead where they led. */
bool sqlite_file_there(const struct sqlite_file *f, struct error *err);
/* Appends a line about each of its files that others may read or change; nothing where all are private. */
void sqlite_file_advise(const struct sqlite_file *f, struct buf *words);
void sqlite_file_close(struct sqlite_file *f);

#endif
