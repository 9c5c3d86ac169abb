/*
 * inflate.c: zlib behind inflate.h. A gzip text may be several members, one behind the other (RFC 1952 2.2).
 */
#include "codec/inflate.h"
#include "base/panic.h"
#include <stdbool.h>
#include <stdlib.h>
#include <zlib.h>

struct inflate {
    z_stream z;
    struct slice rest; /* not yet given to zlib, whose lengths are shorter than ours */
    size_t len;        /* of all that is packed */
    enum inflate_format format;
    unsigned members;
    bool ended; /* a text has: what comes now is another, or does not belong there */
};

/* RFC 1950 2.2: what begins like a zlib header is one; a bare deflate text cannot (its first block's type would be 0).
 */
static bool has_zlib_header(struct slice s)
{
    if (s.len < 2)
        return true; /* too short for either: the fault is zlib's to find */
    unsigned cmf = (unsigned char)s.at[0], flg = (unsigned char)s.at[1];
    return (cmf & 0x0f) == 8 && cmf >> 4 <= 7 && (cmf * 256 + flg) % 31 == 0;
}

struct inflate *inflate_open(enum inflate_format format, struct slice packed)
{
    struct inflate *z = need_zero(1, sizeof(*z));
    z->rest = packed;
    z->len = packed.len;
    z->format = format;
    z->members = 1;
    int bits = format == INFLATE_GZIP ? MAX_WBITS + 16 : has_zlib_header(packed) ? MAX_WBITS : -MAX_WBITS;
    NEED(inflateInit2(&z->z, bits) == Z_OK);
    return z;
}

void inflate_feed(struct inflate *z, struct slice more)
{
    CHECK(z->z.avail_in == 0 && z->rest.len == 0);
    z->rest = more;
    z->len += more.len;
}

struct slice inflate_leave(struct inflate *z)
{
    size_t rest = z->rest.len + z->z.avail_in; /* the one lies behind the other */
    struct slice left = {(const char *)z->z.next_in, rest};
    z->len -= rest;
    z->rest = SLICE_NONE;
    z->z.avail_in = 0;
    return left;
}

size_t inflate_offset(const struct inflate *z)
{
    return z->len - z->rest.len - z->z.avail_in;
}

static void feed(struct inflate *z)
{
    if (z->z.avail_in > 0 || z->rest.len == 0)
        return;
    uInt len = z->rest.len < UINT32_MAX ? (uInt)z->rest.len : UINT32_MAX;
    z->z.next_in = (Bytef *)z->rest.at; /* zlib does not write there */
    z->z.avail_in = len;
    z->rest = slice_from(z->rest, len);
}

/* A text has come to its end. INFLATE_MORE: another member follows. */
static enum inflate_code next_member(struct inflate *z)
{
    if (inflate_offset(z) == z->len)
        return INFLATE_DONE;
    if (z->format != INFLATE_GZIP)
        return INFLATE_TRAILING;
    feed(z);
    if (*z->z.next_in != 0x1f) /* a member's first byte */
        return INFLATE_TRAILING;
    if (++z->members > INFLATE_MEMBERS)
        return INFLATE_MANY;
    NEED(inflateReset(&z->z) == Z_OK);
    return INFLATE_MORE;
}

enum inflate_code inflate_read(struct inflate *z, char *room, size_t size, size_t *len_out)
{
    CHECK(size > 0 && size < UINT32_MAX);
    z->z.next_out = (Bytef *)room;
    z->z.avail_out = (uInt)size;
    enum inflate_code code = z->ended ? next_member(z) : INFLATE_MORE;
    while (code == INFLATE_MORE && z->z.avail_out > 0) {
        feed(z);
        int result = inflate(&z->z, Z_NO_FLUSH);
        NEED(result != Z_MEM_ERROR);
        if (result == Z_STREAM_END)
            code = next_member(z);
        else if (result == Z_BUF_ERROR || (result == Z_OK && z->z.avail_out > 0 && inflate_offset(z) == z->len))
            code = INFLATE_TRUNCATED; /* there is room, and nothing left to read */
        else if (result != Z_OK)
            code = INFLATE_CORRUPT;
    }
    z->ended = code == INFLATE_DONE;
    *len_out = size - z->z.avail_out;
    return code;
}

void inflate_close(struct inflate **z)
{
    if (*z != NULL)
        inflateEnd(&(*z)->z);
    free(*z);
    *z = NULL;
}

const char *inflate_words(enum inflate_code code)
{
    switch (code) {
    case INFLATE_TRUNCATED:
        return "ends too early";
    case INFLATE_TRAILING:
        return "has something behind its end";
    case INFLATE_MANY:
        return "has too many members";
    default:
        return "is corrupt";
    }
}
