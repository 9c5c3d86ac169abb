/*
 * tape.c: see tape.h. A record is a word (length, mark) and its payload, filled up to 8 bytes; it never wraps: what is
 * left at the ring's end is jumped over. Positions count bytes since the beginning and are taken modulo the ring.
 *
 * Sleep and wake are Dekker's pattern: the writer stores `written`, then loads `asleep`; the reader stores `asleep`,
 * then loads `written`; all four sequentially consistent, so one of the two sees the other.
 * UNSAFE BYTES: put_word, get_word, copy_out.
 */
#include "shm/tape.h"
#include "base/panic.h"
#include <unistd.h>

#define WORD 8u
#define MARK_RECORD 0x63655221u
#define MARK_JUMP 0x706d754au /* go on at the ring's start */

_Static_assert((TAPE_BYTES & (TAPE_BYTES - 1)) == 0, "positions are taken modulo the ring");

static size_t filled(size_t len)
{
    return (len + WORD - 1) & ~(size_t)(WORD - 1);
}

static size_t offset(uint64_t position)
{
    return (size_t)(position & (TAPE_BYTES - 1));
}

static uint64_t *word_at(const struct tape *t, uint64_t position)
{
    return (uint64_t *)(void *)&t->bytes[offset(position)];
}

static void put_word(struct tape *t, uint64_t position, uint32_t mark, size_t len)
{
    *word_at(t, position) = (uint64_t)mark << 32 | (uint32_t)len;
}

/* --- writer ------------------------------------------------------------------------------------------------------- */

void tape_writer_init(struct tape_writer *w, struct tape *t, struct tape_bell *bell, int wake)
{
    uint64_t written = atomic_load(&t->written), read = atomic_load(&t->read);
    /* An earlier life may have left anything there. */
    if (written - read > TAPE_BYTES || written % WORD != 0)
        written = read & ~(uint64_t)(WORD - 1);
    *w = (struct tape_writer){.tape = t, .bell = bell, .wake = wake, .written = written, .read = read};
    atomic_store(&t->written, written);
}

static bool has_room(struct tape_writer *w, uint64_t end)
{
    if (end - w->read <= TAPE_BYTES)
        return true;
    w->read = atomic_load_explicit(&w->tape->read, memory_order_acquire);
    return end - w->read <= TAPE_BYTES;
}

void *tape_begin(struct tape_writer *w, size_t len)
{
    size_t whole = WORD + filled(len), left = TAPE_BYTES - offset(w->written);
    bool jump = left < whole;
    uint64_t start = jump ? w->written + left : w->written;
    w->begun = 0;
    if (len > TAPE_RECORD_MAX || !has_room(w, start + whole)) {
        atomic_store_explicit(&w->tape->dropped, tape_dropped(w->tape) + 1, memory_order_relaxed);
        return NULL;
    }
    if (jump)
        put_word(w->tape, w->written, MARK_JUMP, left - WORD);
    w->begun = start + WORD;
    return word_at(w->tape, w->begun);
}

void tape_commit(struct tape_writer *w, size_t len)
{
    CHECK(w->begun != 0);
    put_word(w->tape, w->begun - WORD, MARK_RECORD, len);
    w->written = w->begun + filled(len);
    w->begun = 0;
    atomic_store(&w->tape->written, w->written);
    if (atomic_load(&w->bell->asleep) == 0 || atomic_exchange(&w->bell->asleep, 0) == 0 || w->wake < 0)
        return;
    /* Only a full eventfd (2^64 calls) could fail, and then the reader is awake. */
    if (write(w->wake, &(uint64_t){1}, sizeof(uint64_t)) < 0)
        return;
}

/* --- reader ------------------------------------------------------------------------------------------------------- */

void tape_reader_init(struct tape_reader *r, struct tape *t)
{
    *r = (struct tape_reader){.tape = t, .position = atomic_load(&t->read) & ~(uint64_t)(WORD - 1)};
}

bool tape_waiting(const struct tape_reader *r)
{
    return atomic_load(&r->tape->written) != r->position;
}

static uint64_t get_word(const struct tape *t, uint64_t position)
{
    return __atomic_load_n(word_at(t, position), __ATOMIC_RELAXED);
}

/* Word by word, atomic: a writer that does not keep to its own records changes them under our hands. */
static void copy_out(const struct tape *t, uint64_t position, size_t len, struct buf *out)
{
    size_t whole = filled(len);
    buf_clear(out);
    buf_reserve(out, whole + 1);
    for (size_t i = 0; i < whole; i += WORD) {
        uint64_t word = get_word(t, position + i);
        memcpy(out->at + i, &word, WORD);
    }
    out->len = len;
}

/* Nothing that was written can be trusted: all of it is passed over. */
static bool reset(struct tape_reader *r, uint64_t written)
{
    r->position = (written + WORD - 1) & ~(uint64_t)(WORD - 1);
    atomic_store_explicit(&r->tape->resets, tape_resets(r->tape) + 1, memory_order_relaxed);
    return false;
}

bool tape_next(struct tape_reader *r, struct buf *record_out)
{
    uint64_t written = atomic_load_explicit(&r->tape->written, memory_order_acquire);
    while (written != r->position) {
        uint64_t there = written - r->position, left = TAPE_BYTES - offset(r->position);
        if (there > TAPE_BYTES || there < WORD)
            return reset(r, written);
        uint64_t word = get_word(r->tape, r->position);
        size_t len = (uint32_t)word;
        uint32_t mark = (uint32_t)(word >> 32);
        uint64_t whole = WORD + (uint64_t)filled(len);
        if (whole > there || whole > left)
            return reset(r, written);
        if (mark == MARK_JUMP && whole == left) {
            r->position += whole;
            continue;
        }
        if (mark != MARK_RECORD || len > TAPE_RECORD_MAX)
            return reset(r, written);
        copy_out(r->tape, r->position + WORD, len, record_out);
        r->position += whole;
        return true;
    }
    return false;
}

void tape_release(struct tape *t, uint64_t position)
{
    atomic_store_explicit(&t->read, position, memory_order_release);
}

void tape_sleep(struct tape_bell *bell)
{
    atomic_store(&bell->asleep, 1);
}

void tape_wake(struct tape_bell *bell)
{
    atomic_store(&bell->asleep, 0);
}
