/*
 * buf.h: a growing run of bytes. UNSAFE BYTES live here so that they live nowhere else: computed raw writes
 * belong in buf.c and in the codecs' inner loops.
 * Owns its memory. Born as {0}; buf_free leaves it {0}.
 * Runs in: any thread, one at a time. Fails: memory by NEED; a bounded buf says so by `overflow`.
 */
#ifndef CRESCENT_BASE_BUF_H
#define CRESCENT_BASE_BUF_H

#include "base/slice.h"
#include <stdarg.h>
#include <stdint.h>

struct buf {
    char *at;
    size_t len, room;
    size_t limit; /* 0: none; else more bytes than this are dropped and `overflow` is set */
    bool overflow;
    bool secret; /* set at its birth: nothing of what it held is left in freed memory, when it moves neither */
};

void buf_free(struct buf *b);
/* Empties it, keeps the memory and the limit. */
void buf_clear(struct buf *b);
/* Room for `more` bytes behind len; returns where they go (NULL when that would pass the limit). Does not change len.
 */
char *buf_reserve(struct buf *b, size_t more);
void buf_add(struct buf *b, const void *bytes, size_t len);
void buf_add_slice(struct buf *b, struct slice s);
void buf_add_text(struct buf *b, const char *text);
void buf_add_char(struct buf *b, char c);
void buf_addf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_addv(struct buf *b, const char *format, va_list args) __attribute__((format(printf, 2, 0)));
/* Little-endian integers, and a slice as u32 length and bytes: the wire form of ipc/ and load/snapshot. */
void buf_add_u32(struct buf *b, uint32_t n);
void buf_add_u64(struct buf *b, uint64_t n);
void buf_add_string(struct buf *b, struct slice s);
/* Forgets the first `len` bytes. */
void buf_drop(struct buf *b, size_t len);
/* The bytes, borrowed until the next change. */
static inline struct slice buf_slice(const struct buf *b)
{
    return (struct slice){b->at, b->len};
}
/* The bytes as a C string (a NUL is put behind them), borrowed until the next change. */
const char *buf_text(struct buf *b);
/* Gives the memory away as a NUL-terminated string, the caller's to free; leaves the buf empty. */
char *buf_take(struct buf *b);

/*
 * Reading the wire form back: each takes from the front of *from. A read past the end sets *bad_out to true
 * (never back to false) and gives 0 or an empty slice, so that a reader checks once at its end.
 */
uint32_t buf_take_u32(struct slice *from, bool *bad_out);
uint64_t buf_take_u64(struct slice *from, bool *bad_out);
struct slice buf_take_string(struct slice *from, bool *bad_out);

#endif
