/*
 * inflate.h: gzip (RFC 1952) and deflate (RFC 1950, and the bare RFC 1951 that some clients send under its name),
 * unpacked piece by piece into the caller's memory, so that the caller decides how much there may be.
 * Owns: zlib's state, some 40 KB, between open and close. Runs in: any thread. Fails: codes, with the place.
 */
#ifndef CRESCENT_CODEC_INFLATE_H
#define CRESCENT_CODEC_INFLATE_H

#include "base/slice.h"
#include <stdint.h>

#define INFLATE_MEMBERS 1000 /* of one gzip text: empty ones cost time, and give nothing */

enum inflate_format { INFLATE_GZIP, INFLATE_DEFLATE };

enum inflate_code {
    INFLATE_MORE,      /* the room is full; there may be more */
    INFLATE_DONE,      /* this was all, and its checksum is right */
    INFLATE_CORRUPT,   /* no such text, or a wrong checksum or length */
    INFLATE_TRUNCATED, /* it ends too early */
    INFLATE_TRAILING,  /* something stands behind its end */
    INFLATE_MANY       /* more than INFLATE_MEMBERS members */
};

struct inflate;

/* Begins to unpack `packed`, which is borrowed until inflate_close. Memory by NEED; never NULL. */
struct inflate *inflate_open(enum inflate_format format, struct slice packed);
/*
 * Gives the next piece of what is packed, when the one before is used up: after INFLATE_TRUNCATED, which then says that
 * more is needed, or INFLATE_DONE. Borrowed until it is used up.
 */
void inflate_feed(struct inflate *z, struct slice more);
/*
 * After INFLATE_MORE: what was given and is not used up, which is not borrowed any more. Whoever reads on feeds it
 * again, also where it is empty: some of what was used up may not have been given out yet.
 */
struct slice inflate_leave(struct inflate *z);
/* Unpacks into room; *len_out: how many bytes it was. After anything but INFLATE_MORE it is not called again, but for
 * what has been fed. */
enum inflate_code inflate_read(struct inflate *z, char *room, size_t size, size_t *len_out);
/* How many bytes have been taken of what was packed: the place of a fault. */
size_t inflate_offset(const struct inflate *z);
/* Leaves NULL; NULL is fine. */
void inflate_close(struct inflate **z);
/* A code in words: "is corrupt". */
const char *inflate_words(enum inflate_code code);

#endif
