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
#include "shm/limits.h"
#include "shm/peers.h"
#include "shm/progress.h"
#include "shm/quarantine.h"
#include "shm/tape.h"
#include "shm/tickets.h"
#include <stdatomic.h>
#include <stdint.h>

#define AREA_SLOTS 256   /* twice the most workers: in an upgrade old and new ones live side by side */
#define AREA_EDITIONS 16 /* generation words; an edition that comes round again finds nobody of 16 upgrades ago */
#define AREA_WORDS 4096  /* last words of a process: what it wrote to its stderr stream, a ring */

enum area_state { AREA_DEAD, AREA_STARTING, AREA_SERVING, AREA_DRAINING };

struct area_worker {
    _Alignas(64) struct progress progress; /* written by the worker */
    _Alignas(64) struct counters counters; /* written by the worker */
    _Atomic uint64_t accepts;              /* connections accepted on its own member; worker */
    _Atomic uint64_t open;                 /* connections it has now; worker */
    _Atomic uint64_t descriptors;          /* that it has open, as of its last sign of life; worker */
    _Atomic uint64_t words_end;            /* bytes ever written to `words`; worker */
    char words[AREA_WORDS];
    _Alignas(64) _Atomic uint32_t state; /* enum area_state; written by the supervisor */
    struct tape tape;                    /* its log lines and exchanges; worker, and the keeper who reads it */
};

struct area {
    uint64_t magic;
    uint32_t version;
    _Atomic uint32_t workers; /* as configured; written by the supervisor */
    _Atomic uint32_t used;    /* slots that ever had a worker are below it; written by the supervisor */
    /* The generation words: live scripts; 0 = none yet. One for each edition of configuration and binary (modulo their
     * number), so that in an upgrade old workers stay on what they can load; written by that edition's keeper. */
    _Alignas(64) _Atomic uint64_t generation[AREA_EDITIONS];
    _Alignas(64) struct counters keeper;      /* the keeper's own counters */
    _Alignas(64) struct tickets tickets;      /* written by the supervisor */
    int64_t started;                          /* wall clock, ns; written by the first supervisor */
    struct tape_bell bell;                    /* of who reads the tapes */
    struct quarantine quarantine;             /* any process */
    struct limits limits;                     /* any process; the seed: the first supervisor */
    _Atomic uint64_t body_memory[AREA_SLOTS]; /* bytes of bodies that a worker holds (shm/body_memory); worker */
    _Atomic uint64_t log_lost;                /* lines that could not be written; added to by whoever reads the tapes */
    _Atomic uint64_t log_told;  /* dropped lines, of all tapes too, that the log has told of; the same one */
    _Atomic uint32_t log_cut;   /* the log's last line may have no end: the next one begins with it; the same one */
    _Atomic uint32_t log_fault; /* errno of a write that lost lines, while the log has not told of it; the same one */
    struct tape tape;           /* the supervisor's lines */
    _Atomic uint64_t supervisor_descriptors; /* that it has open; supervisor */
    _Atomic uint64_t
        store; /* a number made of the path of the store that was open last: that one must be there; keeper */
    uint64_t peers_secret[PEERS_ROWS]; /* written by the first supervisor */
    struct area_worker worker[AREA_SLOTS];
    struct peers_slot peers[PEERS_KINDS][AREA_SLOTS]; /* what addresses have (shm/peers); worker */
};

/* Supervisor: a new area; the descriptor (cloexec) is for its children. Slots that nobody uses take no memory. */
struct area *area_new(int *fd_out, struct error *err);
/* A child, and a supervisor that took over: maps what it inherited; checks magic, version and size. */
struct area *area_map(int fd, struct error *err);
void area_free(struct area **a);
/* Of which version such a mapping is: only equal ones fit together. */
uint32_t area_version(void);
/* The edition that this process belongs to; 0 until it is said. */
void area_set_edition(struct area *a, uint32_t edition);
/* The generation word of this process's edition; of another one. */
_Atomic uint64_t *area_generation(struct area *a);
_Atomic uint64_t *area_generation_of(struct area *a, uint32_t edition);
/* How many slots, from 0, have ever had a worker: what a sum has to look at. */
uint32_t area_used(const struct area *a);
/* Supervisor: a worker will use this slot. */
void area_use(struct area *a, uint32_t slot);
/* The right to read the tapes: one process has it, and loses it with its life. It lies on the area's descriptor, which
 * must stay open. True: it is ours (also if it was before). */
bool area_lock_tapes(int fd);
void area_unlock_tapes(int fd);
/* Supervisor, after a worker's death: everything of its slot but its counters back to zero. */
void area_reset_worker(struct area *a, uint32_t slot);
/* Makes this process's stderr stream (not descriptor 2) write into the words ring of this slot, without a system
 * call: libh2o prints a line for each unknown frame a peer sends. */
void area_capture_stderr(struct area *a, uint32_t slot);
/* The last words as text, oldest first, into room (AREA_WORDS + 1), unprintable bytes as '?'. Returns the length. */
size_t area_last_words(const struct area *a, uint32_t slot, char *room);

#endif
