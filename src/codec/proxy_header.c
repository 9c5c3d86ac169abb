/*
 * proxy_header.c: see proxy_header.h. Strict, as the text of the protocol asks of receivers: what it does not list is
 * refused, so that nobody can hide a second meaning in a header.
 */
#include "codec/proxy_header.h"
#include <stdint.h>
#include <sys/socket.h>

#define LINE_MOST 107 /* of version 1, with its line break */
#define FIXED 16      /* of version 2: signature, command, family, length */
#define TLV_CRC32C 0x03

static const char signature[12] = "\r\n\r\n\0\r\nQUIT\n";

static enum proxy_header_result bad(const char **why_out, const char *why)
{
    *why_out = why;
    return PROXY_HEADER_BAD;
}

/* --- version 1 ---------------------------------------------------------------------------------------------------- */

static bool read_port(struct slice text, unsigned short *port_out)
{
    unsigned long long port;
    if (!slice_to_u64(text, 65535, &port) || (text.len > 1 && text.at[0] == '0'))
        return false;
    *port_out = (unsigned short)port;
    return true;
}

static bool read_address(struct slice text, bool v6, struct ip *ip_out)
{
    return (slice_find(text, ':') != SIZE_MAX) == v6 && ip_parse(text, ip_out);
}

/* What stands behind "PROXY ". */
static enum proxy_header_result read_words(struct slice rest, struct proxy_header *out, const char **why_out)
{
    struct slice family, from, to, from_port, to_port;
    struct ip destination;
    unsigned short ignored;
    slice_cut(&rest, ' ', &family);
    if (slice_equal(family, SLICE("UNKNOWN")))
        return PROXY_HEADER_DONE; /* and whatever follows says nothing */
    bool v6 = slice_equal(family, SLICE("TCP6"));
    if (!v6 && !slice_equal(family, SLICE("TCP4")))
        return bad(why_out, "the protocol is none of TCP4, TCP6 and UNKNOWN");
    if (!slice_cut(&rest, ' ', &from) || !slice_cut(&rest, ' ', &to) || !slice_cut(&rest, ' ', &from_port) ||
        !slice_cut(&rest, ' ', &to_port) || rest.at != NULL)
        return bad(why_out, "there are not two addresses and two ports");
    if (!read_address(from, v6, &out->client) || !read_address(to, v6, &destination))
        return bad(why_out, "an address is none of its protocol");
    if (!read_port(from_port, &out->port) || !read_port(to_port, &ignored))
        return bad(why_out, "a port is no number 0-65535");
    return PROXY_HEADER_DONE;
}

static enum proxy_header_result read_line(struct slice bytes, struct proxy_header *out, const char **why_out)
{
    struct slice begin = SLICE("PROXY ");
    size_t end = slice_find(bytes, '\n');
    if (end == SIZE_MAX && bytes.len < LINE_MOST)
        return PROXY_HEADER_MORE;
    if (end == SIZE_MAX || end >= LINE_MOST)
        return bad(why_out, "the line is longer than 107 bytes");
    if (bytes.at[end - 1] != '\r')
        return bad(why_out, "the line does not end with CR LF");
    out->len = end + 1;
    struct slice line = {bytes.at + begin.len, end - 1 - begin.len};
    for (size_t i = 0; i < line.len; i++)
        if (line.at[i] < ' ' || line.at[i] == 0x7f)
            return bad(why_out, "a control character is in the line");
    return read_words(line, out, why_out);
}

/* --- version 2 ---------------------------------------------------------------------------------------------------- */

/* UNSAFE BYTES: the caller has seen to the two bytes. */
static unsigned read_u16(const char *at)
{
    return (unsigned)((unsigned char)at[0] << 8 | (unsigned char)at[1]);
}

/* Castagnoli's CRC (RFC 3720 B.4), bit by bit: headers are short, and few have one. */
static uint32_t crc32c(uint32_t crc, struct slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        crc ^= (unsigned char)bytes.at[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0x82f63b78u & (0u - (crc & 1)));
    }
    return crc;
}

/* Whether the sum at `at` is right: that of the whole header, with four zero bytes in its own place. */
static bool sum_is_right(struct slice header, size_t at)
{
    uint32_t crc = crc32c(0xffffffffu, (struct slice){header.at, at});
    crc = crc32c(crc, (struct slice){"\0\0\0\0", 4});
    crc = ~crc32c(crc, slice_from(header, at + 4));
    return read_u16(header.at + at) == crc >> 16 && read_u16(header.at + at + 2) == (crc & 0xffff);
}

/* Type, length, value: one after the other, to the header's end. */
static enum proxy_header_result read_tlvs(struct slice header, size_t at, const char **why_out)
{
    while (at < header.len) {
        if (header.len - at < 3 || header.len - at - 3 < read_u16(header.at + at + 1))
            return bad(why_out, "a TLV is cut short");
        size_t len = read_u16(header.at + at + 1);
        if (header.at[at] == TLV_CRC32C && (len != 4 || !sum_is_right(header, at + 3)))
            return bad(why_out, "the checksum is wrong");
        at += 3 + len;
    }
    return PROXY_HEADER_DONE;
}

static void take_address(struct slice header, bool v6, struct proxy_header *out)
{
    struct sockaddr_storage address;
    struct ip raw = {.kind = v6 ? IP_V6 : IP_V4};
    size_t bytes = v6 ? 16 : 4;
    memcpy(raw.at, header.at + FIXED, bytes);
    out->port = (unsigned short)read_u16(header.at + FIXED + 2 * bytes);
    ip_to_sockaddr(&raw, 0, &address); /* there and back: an IPv4 address in IPv6 form is one */
    ip_of_sockaddr((struct sockaddr *)&address, &out->client);
}

static enum proxy_header_result read_addresses(struct slice header, struct proxy_header *out, const char **why_out)
{
    static const struct {
        unsigned char family; /* and in its lower half, the protocol */
        unsigned char bytes;
        enum ip_kind kind; /* IP_NONE: no stream, so nobody that could be the client of one */
    } known[] = {{0x11, 12, IP_V4},   {0x12, 12, IP_NONE},  {0x21, 36, IP_V6},
                 {0x22, 36, IP_NONE}, {0x31, 216, IP_UNIX}, {0x32, 216, IP_NONE}};
    if (header.at[13] == 0) /* it does not say: what follows has no form that is known */
        return PROXY_HEADER_DONE;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (known[i].family != (unsigned char)header.at[13])
            continue;
        if (header.len - FIXED < known[i].bytes)
            return bad(why_out, "it is shorter than its addresses");
        if (known[i].kind == IP_UNIX)
            out->client.kind = IP_UNIX;
        else if (known[i].kind != IP_NONE)
            take_address(header, known[i].kind == IP_V6, out);
        return read_tlvs(header, (size_t)FIXED + known[i].bytes, why_out);
    }
    return bad(why_out, "its family and protocol are not known");
}

static enum proxy_header_result read_binary(struct slice bytes, struct proxy_header *out, const char **why_out)
{
    if (bytes.len > 12 && (unsigned char)bytes.at[12] >> 4 != 2)
        return bad(why_out, "its version is not 2");
    if (bytes.len > 12 && (bytes.at[12] & 15) > 1)
        return bad(why_out, "its command is none of LOCAL and PROXY");
    if (bytes.len < FIXED)
        return PROXY_HEADER_MORE;
    out->len = FIXED + (size_t)read_u16(bytes.at + 14);
    if (out->len > PROXY_HEADER_MOST)
        return bad(why_out, "it is longer than 4096 bytes");
    if (bytes.len < out->len)
        return PROXY_HEADER_MORE;
    out->local = (bytes.at[12] & 15) == 0; /* LOCAL: a health check of the proxy; what else it says does not count */
    if (out->local)
        return PROXY_HEADER_DONE;
    return read_addresses((struct slice){bytes.at, out->len}, out, why_out);
}

/* --- either --- */

/* Whether one begins with the other. */
static bool begins(struct slice bytes, struct slice with)
{
    size_t both = bytes.len < with.len ? bytes.len : with.len;
    return memcmp(bytes.at, with.at, both) == 0;
}

enum proxy_header_result proxy_header_read(struct slice bytes, struct proxy_header *out, const char **why_out)
{
    struct slice line = SLICE("PROXY "), binary = {signature, sizeof(signature)};
    *out = (struct proxy_header){.client = {.kind = IP_NONE}};
    if (bytes.len == 0)
        return PROXY_HEADER_MORE;
    if (begins(bytes, line))
        return bytes.len < line.len ? PROXY_HEADER_MORE : read_line(bytes, out, why_out);
    if (begins(bytes, binary))
        return bytes.len < binary.len ? PROXY_HEADER_MORE : read_binary(bytes, out, why_out);
    return PROXY_HEADER_MISSING;
}
