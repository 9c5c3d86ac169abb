/*
 * logwriter.h: the keeper's thread that writes the log. It alone waits for whoever reads it: when that one stalls, the
 * queue fills, the tapes are no longer read, and what finds no room there is dropped and counted.
 * Owns: the thread, the queue, the file. Runs in: the keeper's loop (all functions); its own thread (writing).
 * Fails: at start with words; then lines that cannot be written (a closed pipe, a full disk) are counted in `lost`.
 */
#ifndef CRESCENT_KEEPER_LOGWRITER_H
#define CRESCENT_KEEPER_LOGWRITER_H

#include "base/buf.h"
#include "base/error.h"
#include "base/time.h"
#include "shm/tape.h"

/* Lines in the queue: enough that a slow disk's pause costs nothing, and little beside the tapes. */
#define LOGWRITER_QUEUE_MAX (1u << 20)

struct logwriter;

struct logwriter_mark { /* once written: this tape may be overwritten up to there */
    struct tape *tape;
    uint64_t position;
};

/* path: the log's file; NULL: stderr. lost: counts lines (added to from the thread). cut: whether the log's last line
 * may have no end, of whoever wrote it. fault: gets the errno for which lines are lost. All of them outlive it. */
struct logwriter *logwriter_new(const char *path, _Atomic uint64_t *lost, _Atomic uint32_t *cut,
                                _Atomic uint32_t *fault, struct error *err);
/* Whether there is room in the queue. */
bool logwriter_ready(struct logwriter *w);
/* Whole lines; takes their memory and leaves {0}. The marks are copied. */
void logwriter_put(struct logwriter *w, struct buf *lines, const struct logwriter_mark *marks, size_t count);
/* Behind what is queued now: opens the file again, for what comes after. */
void logwriter_reopen(struct logwriter *w);
/* What the thread has to say since the last call: the outcome of a reopening. False: nothing. */
bool logwriter_said(struct logwriter *w, struct error *said_out, bool *failed_out);
/* Waits until all is written, at most so long. True: it is. The thread may still hang in a write: only exit then. */
bool logwriter_finish(struct logwriter *w, dur_t most);

#endif
