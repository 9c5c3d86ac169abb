/*
 * logbook.h: the supervisor's log lines. They go onto its tape; while a keeper reads the tapes, that is all. While
 * there is none (at the start, between two, at the end) the supervisor writes what stands on its tape itself, without
 * waiting: what its reader does not take stays on the tape. Only at the very end does it wait a moment, and writes out
 * what the workers have left as well. Owns: the eventfd, the tape's writer, its own way to the log. Runs in: the
 * supervisor's thread. Fails: at start only.
 */
#ifndef CRESCENT_SUPERVISE_LOGBOOK_H
#define CRESCENT_SUPERVISE_LOGBOOK_H

#include "base/config.h"
#include "base/output.h"
#include "ipc/records.h"
#include "shm/area.h"

struct logbook {
    struct area *area;            /* NULL: not open */
    int area_fd;                  /* borrowed; carries the lock */
    int wake;                     /* eventfd for all who write onto tapes */
    const char *path;             /* the log's file; NULL: stderr */
    const struct jail_user *user; /* whose it is */
    enum log_form form;
    struct output output;
    struct records_sink sink;
    struct buf record, line;
    struct record decoded;
};

/* wake: of a supervisor that this one took over from (then a file that does not open is no reason to end: the lines go
 * to stderr until it is opened again); -1: make one. From here on log lines take this way. */
int logbook_open(struct logbook *b, const struct config *config, struct area *area, int area_fd, int wake,
                 struct error *err);
/* The log's file is opened again (USR1), or is another one (a new configuration). */
void logbook_reopen(struct logbook *b, const struct config *config);
/* Now and then: writes what stands on the tape when nobody else reads it. */
void logbook_tick(struct logbook *b);
/* All children have gone: the last lines of all of them, for at most a second. Then lines go to stderr directly. */
void logbook_close(struct logbook *b);

#endif
