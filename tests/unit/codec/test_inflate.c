/*
 * test_inflate.c: texts packed by gzip(1) and by hand come out whole, into rooms of any size; what is cut, changed or
 * followed by something is told apart.
 */
#include "base/buf.h"
#include "codec/inflate.h"
#include <stdlib.h>
#include <zlib.h>
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on

/* printf 'hello hello hello\n' | gzip -n */
static const char gzipped[] =
    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xcb\x48\xcd\xc9\xc9\x57\xc8\x40\x90\x5c\x00\x3b\x7c"
    "\x8a\xdf\x12\x00\x00\x00";
#define GZIPPED ((struct slice){gzipped, sizeof(gzipped) - 1})
/* python3: zlib.compress(b"abc"); the same without header and checksum */
#define ZLIBBED SLICE("\x78\x9c\x4b\x4c\x4a\x06\x00\x02\x4d\x01\x27")
#define BARE SLICE("\x4b\x4c\x4a\x06\x00")
/* RFC 1951 3.2.4 by hand: one stored block, last, length 2 */
#define STORED SLICE("\x01\x02\x00\xfd\xffhi")

static enum inflate_code unpack(enum inflate_format format, struct slice packed, size_t room, struct buf *out)
{
    struct inflate *z = inflate_open(format, packed);
    enum inflate_code code = INFLATE_MORE;
    buf_clear(out);
    while (code == INFLATE_MORE) {
        size_t len;
        code = inflate_read(z, buf_reserve(out, room), room, &len);
        out->len += len;
    }
    assert_true(inflate_offset(z) <= packed.len);
    inflate_close(&z);
    assert_null(z);
    return code;
}

static void all_formats_in_rooms_of_any_size(void **state)
{
    const struct {
        enum inflate_format format;
        struct slice packed;
        const char *text;
    } rows[] = {{INFLATE_GZIP, GZIPPED, "hello hello hello\n"},
                {INFLATE_DEFLATE, ZLIBBED, "abc"},
                {INFLATE_DEFLATE, BARE, "abc"},
                {INFLATE_DEFLATE, STORED, "hi"}};
    struct buf out = {0};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (size_t room = 1; room < 40; room++) {
            assert_int_equal(unpack(rows[i].format, rows[i].packed, room, &out), INFLATE_DONE);
            assert_string_equal(buf_text(&out), rows[i].text);
        }
    buf_free(&out);
}

static void every_cut_and_every_tail_is_told(void **state)
{
    struct buf out = {0}, packed = {0};
    for (size_t len = 0; len < GZIPPED.len; len++)
        assert_int_equal(unpack(INFLATE_GZIP, (struct slice){gzipped, len}, 64, &out), INFLATE_TRUNCATED);
    for (size_t len = 0; len < ZLIBBED.len; len++)
        assert_int_equal(unpack(INFLATE_DEFLATE, (struct slice){ZLIBBED.at, len}, 64, &out), INFLATE_TRUNCATED);
    buf_add_slice(&packed, GZIPPED);
    buf_add_text(&packed, "x");
    assert_int_equal(unpack(INFLATE_GZIP, buf_slice(&packed), 64, &out), INFLATE_TRAILING);
    packed.at[packed.len - 1] = '\x1f'; /* like a member's begin */
    assert_int_equal(unpack(INFLATE_GZIP, buf_slice(&packed), 64, &out), INFLATE_TRUNCATED);
    buf_clear(&packed);
    buf_add_slice(&packed, ZLIBBED);
    buf_add_char(&packed, '\0');
    assert_int_equal(unpack(INFLATE_DEFLATE, buf_slice(&packed), 64, &out), INFLATE_TRAILING);
    buf_free(&packed);
    buf_free(&out);
}

static void changed_bytes_are_told(void **state)
{
    struct buf out = {0}, packed = {0};
    for (size_t i = 0; i < GZIPPED.len; i++) {
        if (i >= 4 && i < 10)
            continue; /* time, level and system mean nothing here */
        buf_clear(&packed);
        buf_add_slice(&packed, GZIPPED);
        packed.at[i] ^= 0x20;
        enum inflate_code code = unpack(INFLATE_GZIP, buf_slice(&packed), 64, &out);
        assert_true(code == INFLATE_CORRUPT || code == INFLATE_TRUNCATED);
    }
    assert_int_equal(unpack(INFLATE_GZIP, ZLIBBED, 64, &out), INFLATE_CORRUPT);
    assert_int_equal(unpack(INFLATE_GZIP, SLICE("no gzip at all"), 64, &out), INFLATE_CORRUPT);
    buf_free(&packed);
    buf_free(&out);
}

static void members_follow_each_other_and_are_bounded(void **state)
{
    struct buf out = {0}, packed = {0};
    for (int i = 0; i < 3; i++)
        buf_add_slice(&packed, GZIPPED);
    assert_int_equal(unpack(INFLATE_GZIP, buf_slice(&packed), 7, &out), INFLATE_DONE);
    assert_string_equal(buf_text(&out), "hello hello hello\nhello hello hello\nhello hello hello\n");
    while (packed.len < INFLATE_MEMBERS * GZIPPED.len)
        buf_add_slice(&packed, GZIPPED);
    assert_int_equal(unpack(INFLATE_GZIP, buf_slice(&packed), 4096, &out), INFLATE_DONE);
    buf_add_slice(&packed, GZIPPED);
    assert_int_equal(unpack(INFLATE_GZIP, buf_slice(&packed), 4096, &out), INFLATE_MANY);
    buf_free(&packed);
    buf_free(&out);
}

/* As a reader does that stops where it has enough for now, whatever becomes of the packed bytes meanwhile. */
static void what_is_not_used_up_can_be_moved(void **state)
{
    struct buf packed = {0}, out = {0};
    char room[5];
    size_t len;
    enum inflate_code code;
    buf_add_slice(&packed, GZIPPED);
    struct inflate *z = inflate_open(INFLATE_GZIP, buf_slice(&packed));
    while ((code = inflate_read(z, room, sizeof(room), &len)) == INFLATE_MORE) {
        buf_add(&out, room, len);
        struct buf moved = {0};
        buf_add_slice(&moved, inflate_leave(z));
        buf_free(&packed);
        packed = moved;
        inflate_feed(z, buf_slice(&packed));
    }
    buf_add(&out, room, len);
    assert_int_equal(code, INFLATE_DONE);
    assert_int_equal(inflate_offset(z), GZIPPED.len);
    assert_string_equal(buf_text(&out), "hello hello hello\n");
    inflate_close(&z);
    buf_free(&packed);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_formats_in_rooms_of_any_size), cmocka_unit_test(every_cut_and_every_tail_is_told),
        cmocka_unit_test(changed_bytes_are_told),           cmocka_unit_test(members_follow_each_other_and_are_bounded),
        cmocka_unit_test(what_is_not_used_up_can_be_moved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
