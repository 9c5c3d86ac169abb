/*
 * area.h: the one mapping that all processes share, made by the supervisor, inherited by descriptor.
 * Every word has one writer, or is atomic and says so. Whoever reads treats it as hostile: a worker may have
 * written anything into its slot, so process ids and limits never come from here.
 * Owns: the mapping. Runs in: every process. Fails: at start only, with words.
 */
#ifndef CRESCENT_SHM_AREA_H
#define CRESCENT_SHM_AREA_H

#include "base/error.h"
#include "shm/counters.h"
#include "shm/progress.h"
#include <stdatomic.h>
#include <stdint.h>

#define AREA_WORKERS_MAX 128
#define AREA_WORDS 4096 /* last words of a process: what it wrote to its stderr stream, a ring */

enum area_state { AREA_DEAD, AREA_STARTING, AREA_SERVING, AREA_DRAINING };

struct area_worker {
    _Alignas(64) struct progress progress; /* written by the worker */
    _Alignas(64) struct counters counters; /* written by the worker */
    _Atomic uint64_t accepts;              /* connections accepted on its own member; worker */
    _Atomic uint64_t words_end;            /* bytes ever written to `words`; worker */
    char words[AREA_WORDS];
    _Alignas(64) _Atomic uint32_t state; /* enum area_state; written by the supervisor */
};

struct area {
    uint64_t magic;
    uint32_t version, workers;
    _Alignas(64) _Atomic uint64_t
        generation;                      /* the generation word: live scripts; 0 = none yet; written by the keeper */
    _Alignas(64) struct counters keeper; /* the keeper's own counters */
    struct area_worker worker[];         /* `workers` of them */
};

/* Supervisor: a new area for so many workers; the descriptor (cloexec) is for its children. */
struct area *area_new(uint32_t workers, int *fd_out, struct error *err);
/* A child: maps what it inherited; checks magic, version and size. */
struct area *area_map(int fd, struct error *err);
void area_free(struct area **a);
/* Supervisor, after a worker's death: everything of its slot but its counters back to zero. */
void area_reset_worker(struct area *a, uint32_t index);
/* Makes this process's stderr stream (not descriptor 2) write into the words ring of slot `index`, without a system
 * call: libh2o prints a line for each unknown frame a peer sends. */
void area_capture_stderr(struct area *a, uint32_t index);
/* The last words as text, oldest first, into room (AREA_WORDS + 1), unprintable bytes as '?'. Returns the length. */
size_t area_last_words(const struct area *a, uint32_t index, char *room);

#endif
