/*
 * chunked.c: see chunked.h. One byte at a time where lines are, one block at a time where data is.
 */
#include "codec/chunked.h"
#include "base/ascii.h"
#include "base/panic.h"
#include <stdbool.h>
#include <string.h>

/* What the next byte is, in the order in which they come. A decoder is born at a size. */
enum {
    AT_SIZE,
    AT_BLANKS, /* behind a size, where only an extension may follow */
    AT_EXTENSION,
    AT_SIZE_LF,
    AT_DATA,
    AT_DATA_CR,
    AT_DATA_LF,
    AT_FIELD, /* the begin of a trailer field, or of the last line's end */
    AT_NAME,
    AT_VALUE,
    AT_FIELD_LF,
    AT_LAST_LF,
    AT_END,
    AT_FAULT
};

static int hex_of(unsigned char byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

static bool is_blank(unsigned char byte)
{
    return byte == ' ' || byte == '\t';
}

/* What may stand in an extension or a field's value: no control character, and so no lone CR or LF. */
static bool is_text(unsigned char byte)
{
    return byte == '\t' || (byte >= ' ' && byte != 0x7f);
}

static int after_size(struct chunked *c, unsigned char byte)
{
    int digit = hex_of(byte);
    if (digit >= 0 && c->digits < CHUNKED_DIGITS) {
        c->left = c->left << 4 | (unsigned)digit;
        c->digits++;
        return AT_SIZE;
    }
    if (digit >= 0 || c->digits == 0)
        return AT_FAULT;
    return byte == '\r' ? AT_SIZE_LF : byte == ';' ? AT_EXTENSION : is_blank(byte) ? AT_BLANKS : AT_FAULT;
}

static int begin_chunk(struct chunked *c)
{
    c->digits = 0;
    c->aside -= c->left < c->aside ? (uint32_t)c->left : c->aside;
    return c->left > 0 ? AT_DATA : AT_FIELD;
}

/* A line's byte: where the next one is, or AT_FAULT. */
static int after(struct chunked *c, unsigned char byte)
{
    switch (c->state) {
    case AT_SIZE:
        return after_size(c, byte);
    case AT_BLANKS:
        return byte == ';' ? AT_EXTENSION : is_blank(byte) ? AT_BLANKS : AT_FAULT;
    case AT_EXTENSION:
        return byte == '\r' ? AT_SIZE_LF : is_text(byte) ? AT_EXTENSION : AT_FAULT;
    case AT_SIZE_LF:
        return byte == '\n' ? begin_chunk(c) : AT_FAULT;
    case AT_DATA_CR:
        return byte == '\r' ? AT_DATA_LF : AT_FAULT;
    case AT_DATA_LF:
        return byte == '\n' ? AT_SIZE : AT_FAULT;
    case AT_FIELD:
        return byte == '\r' ? AT_LAST_LF : ascii_is_token_char((char)byte) ? AT_NAME : AT_FAULT;
    case AT_NAME:
        return byte == ':' ? AT_VALUE : ascii_is_token_char((char)byte) ? AT_NAME : AT_FAULT;
    case AT_VALUE:
        return byte == '\r' ? AT_FIELD_LF : is_text(byte) ? AT_VALUE : AT_FAULT;
    case AT_FIELD_LF:
        return byte == '\n' ? AT_FIELD : AT_FAULT;
    case AT_LAST_LF:
        return byte == '\n' ? AT_END : AT_FAULT;
    default:
        return AT_FAULT;
    }
}

static void take(struct chunked *c, unsigned char byte)
{
    if (c->state == AT_BLANKS || c->state == AT_EXTENSION || c->state >= AT_FIELD)
        c->aside++;
    c->state = (uint8_t)(c->aside > CHUNKED_ASIDE ? AT_FAULT : after(c, byte));
}

ssize_t chunked_decode(struct chunked *c, char *buf, size_t *size)
{
    size_t from = 0, to = 0, len = *size;
    CHECK(c->state != AT_END);
    while (from < len && c->state != AT_END && c->state != AT_FAULT) {
        if (c->state != AT_DATA) {
            take(c, (unsigned char)buf[from++]);
            continue;
        }
        size_t part = c->left < len - from ? (size_t)c->left : len - from;
        memmove(buf + to, buf + from, part);
        from += part;
        to += part;
        c->left -= part;
        if (c->left == 0)
            c->state = AT_DATA_CR;
    }
    *size = to;
    if (c->state != AT_END)
        return c->state == AT_FAULT ? CHUNKED_BAD : CHUNKED_MORE;
    memmove(buf + to, buf + from, len - from);
    return (ssize_t)(len - from);
}
