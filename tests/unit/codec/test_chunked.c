/*
 * Promises of the chunked coding: what RFC 9112 7.1 has is decoded, however it is cut, and what follows is left as it
 * was; whatever the grammar does not have is refused, and so is a flood of what carries no data.
 */
#include "base/buf.h"
#include "base/panic.h"
#include "codec/chunked.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static struct buf data; /* what was decoded; behind its end, what follows */

/* As libh2o does: each piece is put behind what is decoded, and decoded there. */
static ssize_t feed(struct chunked *c, struct slice piece)
{
    size_t size = piece.len, before = data.len;
    buf_add_slice(&data, piece);
    ssize_t behind = chunked_decode(c, data.at + before, &size);
    data.len = before + size;
    return behind;
}

static ssize_t decode(struct slice bytes, size_t cut)
{
    struct chunked c = {0};
    buf_clear(&data);
    ssize_t behind = feed(&c, (struct slice){bytes.at, cut});
    if (behind == CHUNKED_MORE && cut < bytes.len)
        return feed(&c, slice_from(bytes, cut));
    return behind < 0 ? behind : behind + (ssize_t)(bytes.len - cut);
}

static ssize_t decode_singly(struct slice bytes)
{
    struct chunked c = {0};
    ssize_t behind = CHUNKED_MORE;
    buf_clear(&data);
    for (size_t i = 0; i < bytes.len && behind == CHUNKED_MORE; i++) {
        behind = feed(&c, (struct slice){bytes.at + i, 1});
        if (behind >= 0)
            behind = (ssize_t)(bytes.len - i - 1);
    }
    return behind;
}

static void good(const char *bytes, const char *body)
{
    static const char next[] = "GET / HTTP/1.1\r\n";
    struct slice whole = slice_of(bytes);
    struct buf more = {0};
    for (size_t cut = 0; cut <= whole.len; cut++)
        if (decode(whole, cut) != 0 || !slice_equal(buf_slice(&data), slice_of(body)))
            fail_msg("%s: cut at %zu", bytes, cut);
    for (size_t len = 0; len < whole.len; len++)
        if (decode((struct slice){whole.at, len}, len) != CHUNKED_MORE)
            fail_msg("%s: not more at %zu", bytes, len);
    assert_int_equal(decode_singly(whole), 0);
    assert_true(slice_equal(buf_slice(&data), slice_of(body)));
    buf_add_slice(&more, whole);
    buf_add_text(&more, next);
    assert_int_equal(decode(buf_slice(&more), more.len), sizeof(next) - 1);
    assert_memory_equal(data.at + data.len, next, sizeof(next) - 1);
    buf_free(&more);
}

static void bad(struct slice bytes)
{
    for (size_t cut = 0; cut <= bytes.len; cut++)
        if (decode(bytes, cut) != CHUNKED_BAD)
            fail_msg("%.*s: cut at %zu", SLICE_ARG(bytes), cut);
    assert_int_equal(decode_singly(bytes), CHUNKED_BAD);
}

static void what_the_grammar_has(void **state)
{
    good("0\r\n\r\n", "");
    good("5\r\nhello\r\n0\r\n\r\n", "hello");
    good("3\r\nhel\r\n02\r\nlo\r\n000\r\n\r\n", "hello");
    good("A\r\n0123456789\r\nb\r\n0123456789a\r\n0\r\n\r\n", "01234567890123456789a");
    good("0000000000000005\r\nhello\r\n0\r\n\r\n", "hello");
    good("4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n");
    good("5;a\r\nhello\r\n0;b=c\r\n\r\n", "hello");
    good("5 \t; a = \"b; \xc3\xa4\"\r\nhello\r\n0\r\n\r\n", "hello");
    good("5\r\nhello\r\n0\r\nX-Sum: 1\r\nempty:\r\nhost: other\r\n\r\n", "hello");
}

static void sizes_and_line_ends_that_readers_differ_about(void **state)
{
    static const char *const all[] = {
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\r\n0\n\r\n",
        "5\r\nhello\r\n0\r\n\n",
        "5\r\nhello\r\r\r\n0\r\n\r\n",
        "5\r\nhello\r\r\n0\r\n\r\n",
        "5\r\r\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5;x\nhello\r\n0\r\n\r\n",
        "5;\nhello\r\n0\r\n\r\n",
        "5;x\ry\r\nhello\r\n0\r\n\r\n",
        "5;\x7f\r\nhello\r\n0\r\n\r\n",
        "5xyz\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "5 6\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "5_0\r\nhello\r\n0\r\n\r\n",
        "\r\n5\r\nhello\r\n0\r\n\r\n",
        ";x\r\n5\r\nhello\r\n0\r\n\r\n",
        "zz\r\nabc\r\n0\r\n\r\n",
        "4\r\nhello\r\n0\r\n\r\n",
        "6\r\nhello\r\n0\r\n\r\n",
        "00000000000000005\r\nhello\r\n0\r\n\r\n", /* 17 digits */
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\nGET /hello HTTP/1.1\r\n\r\n",
        "5\r\nhello\r\n0\r\na: b\n\r\n",
        "5\r\nhello\r\n0\r\na: b\r\n\n",
        "5\r\nhello\r\n0\r\na: b\r\n c\r\n\r\n",
        "5\r\nhello\r\n0\r\na : b\r\n\r\n",
        "5\r\nhello\r\n0\r\n: b\r\n\r\n",
        "5\r\nhello\r\n0\r\na\r\n\r\n",
        "5\r\nhello\r\n0\r\na: \rb\r\n\r\n",
        "5\r\nhello\r\n0\r\n\r\r\n",
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        bad(slice_of(all[i]));
    bad(SLICE("5;\0\r\nhello\r\n0\r\n\r\n"));
    bad(SLICE("5\0\r\nhello\r\n0\r\n\r\n"));
    bad(SLICE("5\r\nhello\r\n0\r\na\0: b\r\n\r\n"));
    bad(SLICE("5\r\nhello\r\n0\r\na: \0\r\n\r\n"));
}

static void a_fault_stays(void **state)
{
    struct chunked c = {0};
    buf_clear(&data);
    assert_int_equal(feed(&c, SLICE("2\r\nab\r\n2\n")), CHUNKED_BAD);
    assert_int_equal(data.len, 2);
    assert_int_equal(feed(&c, SLICE("5\r\nhello\r\n0\r\n\r\n")), CHUNKED_BAD);
    assert_int_equal(data.len, 2);
}

static void the_largest_size_is_waited_for(void **state)
{
    struct chunked c = {0};
    buf_clear(&data);
    assert_int_equal(feed(&c, SLICE("ffffffffffffffff\r\nabc")), CHUNKED_MORE);
    assert_int_equal(data.len, 3);
    assert_true(c.left == UINT64_MAX - 3);
}

static void add_many(struct buf *b, char byte, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buf_add(b, &byte, 1);
}

static ssize_t with_aside(const char *before, size_t count, const char *behind)
{
    struct buf b = {0};
    buf_add_text(&b, before);
    add_many(&b, 'x', count);
    buf_add_text(&b, behind);
    ssize_t result = decode(buf_slice(&b), b.len / 2);
    buf_free(&b);
    return result;
}

static void what_carries_no_data_is_bounded(void **state)
{
    assert_int_equal(with_aside("1;", CHUNKED_ASIDE - 2, "\r\na\r\n0\r\n\r\n"), 0);
    assert_int_equal(with_aside("1;", CHUNKED_ASIDE, "\r\na\r\n0\r\n\r\n"), CHUNKED_BAD);
    assert_int_equal(with_aside("0\r\na:", CHUNKED_ASIDE - 6, "\r\n\r\n"), 0);
    assert_int_equal(with_aside("0\r\na:", CHUNKED_ASIDE - 5, "\r\n\r\n"), CHUNKED_BAD);
    assert_int_equal(with_aside("0\r\n", CHUNKED_ASIDE + 1, ""), CHUNKED_BAD); /* before its colon has come */
    struct chunked small = {0}, large = {0};
    struct buf b = {0};
    buf_add_text(&b, "1;signature=0123456789012345678901234567890123456789012345678901234567890123\r\na\r\n");
    ssize_t result = CHUNKED_MORE;
    buf_clear(&data);
    for (int i = 0; i < 1000 && result == CHUNKED_MORE; i++)
        result = feed(&small, buf_slice(&b));
    assert_int_equal(result, CHUNKED_BAD);
    buf_clear(&b);
    buf_add_text(&b, "400;signature=0123456789012345678901234567890123456789012345678901234567890123\r\n");
    add_many(&b, 'z', 1024);
    buf_add_text(&b, "\r\n");
    buf_clear(&data);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(feed(&large, buf_slice(&b)), CHUNKED_MORE);
    assert_int_equal(data.len, 1024000);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_grammar_has),
        cmocka_unit_test(sizes_and_line_ends_that_readers_differ_about),
        cmocka_unit_test(a_fault_stays),
        cmocka_unit_test(the_largest_size_is_waited_for),
        cmocka_unit_test(what_carries_no_data_is_bounded),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_free(&data);
    return failed;
}
