/*
 * Promises of the header of PROXY protocol: both versions as HAProxy's text has them, however the bytes are cut; what
 * the text does not allow is refused; what follows the header is not touched.
 */
#include "base/buf.h"
#include "codec/proxy_header.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static struct proxy_header header;
static const char *why;
static char text[IP_TEXT];

static enum proxy_header_result ask(struct slice bytes)
{
    why = NULL;
    return proxy_header_read(bytes, &header, &why);
}

static const char *client(void)
{
    return ip_text(&header.client, text).at;
}

/* It is read whole, with something behind it, and no part of it is. */
static void good(struct slice bytes, const char *from, unsigned port)
{
    struct buf longer = {0};
    for (size_t len = 0; len < bytes.len; len++)
        if (ask((struct slice){bytes.at, len}) != PROXY_HEADER_MORE)
            fail_msg("%.*s: not more at %zu", SLICE_ARG(bytes), len);
    assert_int_equal(ask(bytes), PROXY_HEADER_DONE);
    buf_add_slice(&longer, bytes);
    buf_add_text(&longer, "GET / HTTP/1.1\r\n");
    assert_int_equal(ask(buf_slice(&longer)), PROXY_HEADER_DONE);
    buf_free(&longer);
    assert_int_equal(header.len, bytes.len);
    assert_string_equal(client(), from);
    assert_int_equal(header.port, port);
}

static void lines_are_read(void **state)
{
    good(SLICE("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"), "255.255.255.255", 65535);
    good(SLICE("PROXY TCP4 192.0.2.1 10.0.0.1 0 80\r\n"), "192.0.2.1", 0);
    good(SLICE("PROXY TCP6 2001:db8::1 ::1 4711 443\r\n"), "2001:db8::1", 4711);
    good(SLICE("PROXY TCP6 ::ffff:192.0.2.1 ::1 4711 443\r\n"), "192.0.2.1", 4711);
    good(SLICE("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 "
               "65535\r\n"),
         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535);
    good(SLICE("PROXY UNKNOWN\r\n"), "unknown", 0);
    good(SLICE("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 "
               "65535\r\n"),
         "unknown", 0);
}

static void lines_that_are_none_are_refused(void **state)
{
    static const struct {
        const char *line, *why;
    } cases[] = {
        {"PROXY \r\n", "the protocol is none of"},
        {"PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n", "the protocol is none of"},
        {"PROXY tcp4 1.2.3.4 1.2.3.4 1 2\r\n", "the protocol is none of"},
        {"PROXY TCP4\r\n", "there are not two addresses"},
        {"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", "there are not two addresses"},
        {"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n", "there are not two addresses"},
        {"PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n", "there are not two addresses"},
        {"PROXY TCP4 1.2.3.4 1.2.3.4  1\r\n", "a port is no number"},
        {"PROXY TCP4 ::1 1.2.3.4 1 2\r\n", "an address is none"},
        {"PROXY TCP4 1.2.3.4 ::1 1 2\r\n", "an address is none"},
        {"PROXY TCP6 1.2.3.4 ::1 1 2\r\n", "an address is none"},
        {"PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n", "an address is none"},
        {"PROXY TCP4 01.2.3.4 1.2.3.4 1 2\r\n", "an address is none"},
        {"PROXY TCP6 [::1] ::1 1 2\r\n", "an address is none"},
        {"PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n", "a port is no number"},
        {"PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n", "a port is no number"},
        {"PROXY TCP4 1.2.3.4 1.2.3.4 1 -2\r\n", "a port is no number"},
        {"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n", "does not end with CR LF"},
        {"PROXY TCP4 1.2.3.4 1.2.3.4 1\r2\r\n", "a control character"},
        {"PROXY UNKNOWN \x1b[2J\r\n", "a control character"},
        {"PROXY UNKNOWN xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
         "xxxx\r\n",
         "longer than 107"},
        {"PROXY UNKNOWN xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
         "xxxxxx",
         "longer than 107"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(ask(slice_of(cases[i].line)), PROXY_HEADER_BAD);
        if (strstr(why, cases[i].why) == NULL)
            fail_msg("%s: %s", cases[i].line, why);
    }
    assert_int_equal(ask(SLICE("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n\0")), PROXY_HEADER_DONE);
    assert_int_equal(ask(SLICE("PROXY TCP4 1.2.3.4\0 1.2.3.4 1 2\r\n")), PROXY_HEADER_BAD);
}

static void what_is_no_header_at_all_is_told_apart(void **state)
{
    static const char *const others[] = {"GET / HTTP/1.1\r\n", "PRI * HTTP/2.0\r\n", "PROXI",       "proxy TCP4",
                                         "\x16\x03\x01",       "\r\n\r\nGET",        "\r\n\r\n\r\n"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_int_equal(ask(slice_of(others[i])), PROXY_HEADER_MISSING);
    assert_int_equal(ask(SLICE("\0")), PROXY_HEADER_MISSING);
    assert_int_equal(ask(SLICE_NONE), PROXY_HEADER_MORE);
}

/* --- version 2 --- */

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

static struct slice binary(struct buf *to, unsigned command, unsigned family, struct slice rest)
{
    buf_clear(to);
    buf_add_slice(to, SLICE(SIGNATURE));
    buf_add_char(to, (char)command);
    buf_add_char(to, (char)family);
    buf_add_char(to, (char)(rest.len >> 8));
    buf_add_char(to, (char)rest.len);
    buf_add_slice(to, rest);
    return buf_slice(to);
}

#define V4 "\xc0\x00\x02\x01\x0a\x00\x00\x01\x12\x67\x00\x50"
#define V6                                                                                                         \
    "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" \
    "\x00\x00\x00\x00\x01\x12\x67\x01\xbb"
#define MAPPED                                                                                                     \
    "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc0\x00\x02\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" \
    "\x00\x00\x00\x00\x01\x12\x67\x01\xbb"

static void binary_headers_are_read(void **state)
{
    struct buf b = {0};
    char ends[216] = "/run/a";
    good(binary(&b, 0x21, 0x11, SLICE(V4)), "192.0.2.1", 4711);
    good(binary(&b, 0x21, 0x21, SLICE(V6)), "2001:db8::1", 4711);
    good(binary(&b, 0x21, 0x21, SLICE(MAPPED)), "192.0.2.1", 4711);
    good(binary(&b, 0x21, 0x31, (struct slice){ends, sizeof(ends)}), "unix:", 0);
    /* LOCAL, not told, and what is no stream: the peer is who it is */
    good(binary(&b, 0x20, 0x00, SLICE("")), "unknown", 0);
    good(binary(&b, 0x20, 0x11, SLICE(V4)), "unknown", 0);
    good(binary(&b, 0x20, 0xff, SLICE("nonsense")), "unknown", 0);
    assert_true(header.local);
    good(binary(&b, 0x21, 0x00, SLICE("")), "unknown", 0);
    assert_false(header.local);
    good(binary(&b, 0x21, 0x00, SLICE("anything")), "unknown", 0);
    good(binary(&b, 0x21, 0x12, SLICE(V4)), "unknown", 0);
    good(binary(&b, 0x21, 0x22, SLICE(V6)), "unknown", 0);
    good(binary(&b, 0x21, 0x32, (struct slice){ends, sizeof(ends)}), "unknown", 0);
    /* TLVs are passed over: an empty one, a name, one of a type that nobody knows */
    good(binary(&b, 0x21, 0x11, SLICE(V4 "\x04\x00\x00\x02\x00\x05hooks\xee\x00\x01x")), "192.0.2.1", 4711);
    buf_free(&b);
}

/* The sum is another implementation's: a table-driven one in Python, checked with RFC 3720's "123456789". */
static void a_sum_is_verified(void **state)
{
    struct buf b = {0};
    binary(&b, 0x21, 0x11, SLICE(V4 "\x03\x00\x04\xd4\x57\xb5\x81"));
    good(buf_slice(&b), "192.0.2.1", 4711);
    for (size_t i = 16; i < b.len; i++) {
        if (i >= 28 && i < 31)
            continue; /* its own type and length */
        b.at[i] ^= 0x10;
        assert_int_equal(ask(buf_slice(&b)), PROXY_HEADER_BAD);
        assert_string_equal(why, "the checksum is wrong");
        b.at[i] ^= 0x10;
    }
    assert_int_equal(ask(binary(&b, 0x21, 0x11, SLICE(V4 "\x03\x00\x03xyz"))), PROXY_HEADER_BAD);
    buf_free(&b);
}

static void binary_headers_that_are_none_are_refused(void **state)
{
    struct buf b = {0}, large = {0};
    static const struct {
        unsigned command, family;
        struct slice rest;
        const char *why;
    } cases[] = {
        {0x11, 0x11, {V4, 12}, "its version is not 2"},
        {0x31, 0x11, {V4, 12}, "its version is not 2"},
        {0x22, 0x11, {V4, 12}, "its command is none"},
        {0x2f, 0x11, {V4, 12}, "its command is none"},
        {0x21, 0x10, {V4, 12}, "its family and protocol are not known"},
        {0x21, 0x13, {V4, 12}, "its family and protocol are not known"},
        {0x21, 0x41, {V4, 12}, "its family and protocol are not known"},
        {0x21, 0x01, {V4, 12}, "its family and protocol are not known"},
        {0x21, 0x11, {V4, 11}, "shorter than its addresses"},
        {0x21, 0x21, {V6, 35}, "shorter than its addresses"},
        {0x21, 0x31, {V6, 36}, "shorter than its addresses"},
        {0x21, 0x11, {V4 "\x04", 13}, "a TLV is cut short"},
        {0x21, 0x11, {V4 "\x04\x00", 14}, "a TLV is cut short"},
        {0x21, 0x11, {V4 "\x04\x00\x01", 15}, "a TLV is cut short"},
        {0x21, 0x11, {V4 "\x04\xff\xffx", 16}, "a TLV is cut short"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(ask(binary(&b, cases[i].command, cases[i].family, cases[i].rest)), PROXY_HEADER_BAD);
        if (strstr(why, cases[i].why) == NULL)
            fail_msg("%zu: %s", i, why);
    }
    /* Too long is known before it has come. */
    while (large.len < 4081)
        buf_add_char(&large, 'x');
    binary(&b, 0x20, 0x00, buf_slice(&large));
    assert_int_equal(ask((struct slice){b.at, 16}), PROXY_HEADER_BAD);
    good(binary(&b, 0x20, 0x00, (struct slice){large.at, 4080}), "unknown", 0);
    buf_free(&b);
    buf_free(&large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_read),
        cmocka_unit_test(lines_that_are_none_are_refused),
        cmocka_unit_test(what_is_no_header_at_all_is_told_apart),
        cmocka_unit_test(binary_headers_are_read),
        cmocka_unit_test(a_sum_is_verified),
        cmocka_unit_test(binary_headers_that_are_none_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
