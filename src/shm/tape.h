/*
 * tape.h: a ring of length-prefixed records in shared memory: one writer, one reader, two processes. The writer makes
 * no system call but to wake a reader that said it sleeps, and never waits: without room a record is dropped and
 * counted. The position after the last whole record is stored last, so a writer that is killed in the middle leaves
 * nothing of that record; the reader's position is in shared memory too, so its next life goes on where it left off.
 * The reader treats all of it as hostile: a record that does not fit into what was written resets the tape, counted.
 * Owns: nothing but the reader's copy. Runs in: writer and reader each in one thread of their own. Never fails.
 */
#ifndef CRESCENT_SHM_TAPE_H
#define CRESCENT_SHM_TAPE_H

#include "base/buf.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* At 100,000 records of 200 bytes a second: 50 ms for a reader that looks each 10 ms. Pages cost when first written. */
#define TAPE_BYTES (1u << 20)
#define TAPE_RECORD_MAX (TAPE_BYTES / 8) /* a record's payload: one may not push out all others */
/* No tape has more records than words: who reads on until there is none ends here, whatever a hostile writer says. */
#define TAPE_RECORDS (TAPE_BYTES / sizeof(uint64_t))

struct tape {                              /* zeroed memory is an empty one */
    _Alignas(64) _Atomic uint64_t written; /* bytes ever; writer */
    _Atomic uint64_t dropped;              /* records; writer */
    _Alignas(64) _Atomic uint64_t read;    /* bytes ever; reader */
    _Atomic uint64_t resets;               /* reader */
    _Alignas(64) unsigned char bytes[TAPE_BYTES];
};

/* One for all tapes of a reader. */
struct tape_bell {
    _Alignas(64) _Atomic uint32_t asleep; /* set by the reader, cleared by the writer who wakes it */
};

struct tape_writer {
    struct tape *tape;
    struct tape_bell *bell;
    int wake;               /* eventfd (nonblocking); -1: nobody is woken */
    uint64_t written, read; /* read: as last seen */
    uint64_t begun;         /* where the payload of the record in the making starts; 0: none is */
};

/* Goes on where the writer's last life stopped. All of it outlives w. */
void tape_writer_init(struct tape_writer *w, struct tape *t, struct tape_bell *bell, int wake);
/* Room for a record of at most `len` bytes, 8-aligned, until the commit; NULL: none (counted). Without a commit there
 * is no record. */
void *tape_begin(struct tape_writer *w, size_t len);
/* The record is whole and has `len` bytes, at most those asked for. */
void tape_commit(struct tape_writer *w, size_t len);

struct tape_reader {
    struct tape *tape;
    uint64_t position; /* read up to here; not released yet */
};

/* Goes on where the reader's last life released. */
void tape_reader_init(struct tape_reader *r, struct tape *t);
/* Copies the next record's payload into `record_out` (its content is replaced). False: there is none now. */
bool tape_next(struct tape_reader *r, struct buf *record_out);
/* Whether there is something to read. */
bool tape_waiting(const struct tape_reader *r);
/* What lies before this position of a reader may be overwritten. From one thread at a time. */
void tape_release(struct tape *t, uint64_t position);

/* The reader goes to sleep, and must then look at all its tapes once more; it is awake. */
void tape_sleep(struct tape_bell *bell);
void tape_wake(struct tape_bell *bell);

/* Records dropped and resets so far. */
static inline uint64_t tape_dropped(const struct tape *t)
{
    return atomic_load_explicit(&t->dropped, memory_order_relaxed);
}
static inline uint64_t tape_resets(const struct tape *t)
{
    return atomic_load_explicit(&t->resets, memory_order_relaxed);
}

#endif
