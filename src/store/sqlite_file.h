/*
 * sqlite_file.h: the file of a SQLite store beneath SQLite: made with mode 0600, locked against a second server, and
 * whether it is still the one at its path. Owns: a descriptor, which carries the lock. Runs in: the store's thread.
 * Fails: words that name the file, and who has it.
 */
#ifndef CRESCENT_STORE_SQLITE_FILE_H
#define CRESCENT_STORE_SQLITE_FILE_H

#include "base/error.h"
#include <stdbool.h>
#include <sys/types.h>

struct sqlite_file {
    int fd; /* -1: none */
    char *path, *log_path;
    ino_t log_inode; /* of SQLite's write-ahead log beside it */
    bool noted;
};

/* Born with fd -1. The file must be one of SQLite's, or empty. */
int sqlite_file_open(struct sqlite_file *f, const char *path, bool may_create, struct error *err);
/* SQLite has opened it: from here on its log, too, must stay where it is. */
int sqlite_file_note(struct sqlite_file *f, struct error *err);
/* Whether its path, and its log's, lead where they led. */
bool sqlite_file_there(const struct sqlite_file *f, struct error *err);
void sqlite_file_close(struct sqlite_file *f);

#endif
