/*
 * progress.h: what a worker is doing in Lua, for the supervisor's watchdog: a sequence number that is odd inside a
 * stretch of Lua, the script's name, and whether it is preparing or answering.
 * Written by the worker only; read by the supervisor, who treats it as hostile (the name is bounded and cleaned).
 */
#ifndef CRESCENT_SHM_PROGRESS_H
#define CRESCENT_SHM_PROGRESS_H

#include "base/time.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define PROGRESS_NAME 128

struct progress {
    _Atomic uint64_t sequence;       /* odd: in a stretch */
    _Atomic uint32_t preparing;      /* the stretch loads a script of a generation that is not live yet */
    _Atomic uint64_t script_version; /* which version of it (load/snapshot.h); 0 = none */
    _Atomic int64_t max_run;         /* CPU time that the stretch may take, ns */
    char name[PROGRESS_NAME];        /* script's name, NUL-terminated, written before the sequence turns odd */
};

/* Begins a stretch of Lua. name may be NULL (keeps the one that is there). */
void progress_begin(struct progress *p, const char *name, uint64_t version, dur_t max_run, bool preparing);
void progress_end(struct progress *p);

struct progress_view {
    uint64_t sequence;
    bool inside, preparing;
    uint64_t version;
    dur_t max_run; /* as it was written: any number */
    char name[PROGRESS_NAME];
};
/* The supervisor's copy, cleaned: the name ends in NUL and holds printable characters only. */
void progress_read(const struct progress *p, struct progress_view *view_out);

#endif
