/*
 * json_write.c: values to JSON text. UNSAFE BYTES: the inner loops write into room reserved for them.
 * Owns nothing: the text is the caller's buf. Runs in: any thread. Fails: false for what JSON cannot say, and then
 * nothing was written; a bounded buf that is full says so by `overflow`.
 */
#include "codec/json_tape.h"
#include "codec/utf8.h"
#include <math.h>

/* What a string may not hold as it is: 'u' for \u00XX, other letters for the short escapes; 1: not ASCII. */
static const char special[256] = {
    [0 ... 7] = 'u', ['\b'] = 'b',          ['\t'] = 't', ['\n'] = 'n',  [0x0b] = 'u',        ['\f'] = 'f',
    ['\r'] = 'r',    [0x0e ... 0x1f] = 'u', ['"'] = '"',  ['\\'] = '\\', [0x80 ... 0xff] = 1,
};

void json_write_begin(struct json_writer *w, struct buf *out)
{
    *w = (struct json_writer){.out = out};
}

/* Room for a value of at most `len` bytes, its comma written; NULL when the buf is full. */
static char *begin_value(struct json_writer *w, size_t len)
{
    char *to = buf_reserve(w->out, len + 1);
    if (to != NULL && w->comma) {
        *to++ = ',';
        w->out->len++;
    }
    w->comma = true;
    return to;
}

static void put(struct json_writer *w, const char *text, size_t len)
{
    char *to = begin_value(w, len);
    if (to != NULL && len > 0) {
        memcpy(to, text, len);
        w->out->len += len;
    }
}

void json_write_object(struct json_writer *w)
{
    put(w, "{", 1);
    w->depth++;
    w->comma = false;
}

void json_write_array(struct json_writer *w)
{
    put(w, "[", 1);
    w->depth++;
    w->comma = false;
}

void json_write_end(struct json_writer *w, char closing)
{
    buf_add_char(w->out, closing);
    w->depth--;
    w->comma = true;
}

/* How many of the bytes are ASCII that can stand as it is: eight at a time, then one by one. */
static size_t plain_run(const char *at, size_t len)
{
    const uint64_t ones = 0x0101010101010101u, highs = 0x8080808080808080u;
    size_t i = 0;
    for (; len - i >= 8; i += 8) {
        uint64_t eight;
        memcpy(&eight, at + i, sizeof(eight));
        uint64_t quote = eight ^ (ones * '"'), backslash = eight ^ (ones * '\\');
        if ((eight | (eight - ones * 0x20) | (quote - ones) | (backslash - ones)) & highs)
            break;
    }
    while (i < len && special[(unsigned char)at[i]] == 0)
        i++;
    return i;
}

/* As plain_run, with what is valid UTF-8. */
static size_t verbatim_run(const char *at, size_t len)
{
    size_t i = plain_run(at, len);
    while (i < len && special[(unsigned char)at[i]] == 1) {
        size_t taken = utf8_first((struct slice){at + i, len - i});
        if (taken == 0)
            break;
        i += taken;
        i += plain_run(at + i, len - i);
    }
    return i;
}

/* Writes a character that cannot stand as it is, into room for 6; returns what follows. */
static char *put_special(char *to, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    *to++ = '\\';
    *to++ = special[c];
    if (special[c] != 'u')
        return to;
    memcpy(to, (char[]){'0', '0', hex[c >> 4], hex[c & 15]}, 4);
    return to + 4;
}

/* "..." behind the comma. replace: U+FFFD for each byte that is not UTF-8; else false at the first, nothing written. */
static bool quoted(struct json_writer *w, struct slice s, bool replace)
{
    size_t begin = w->out->len;
    bool comma = w->comma;
    const char *at = s.at, *end = s.at + s.len;
    char *to = begin_value(w, s.len + 2);
    if (to != NULL)
        *to++ = '"';
    while (to != NULL && at < end) {
        size_t run = verbatim_run(at, (size_t)(end - at));
        memcpy(to, at, run);
        to += run;
        at += run;
        if (at == end)
            break;
        /* one byte may become six: look for room again */
        w->out->len = (size_t)(to - w->out->at);
        to = buf_reserve(w->out, (size_t)(end - at) + 6);
        unsigned char c = (unsigned char)*at++;
        if (special[c] == 1 && !replace) {
            w->out->len = begin;
            w->comma = comma;
            return false;
        }
        if (to != NULL && special[c] == 1) {
            memcpy(to, "\xef\xbf\xbd", 3);
            to += 3;
        } else if (to != NULL) {
            to = put_special(to, c);
        }
    }
    if (to == NULL)
        return true;
    *to++ = '"';
    w->out->len = (size_t)(to - w->out->at);
    return true;
}

bool json_write_name(struct json_writer *w, struct slice name)
{
    if (!quoted(w, name, false))
        return false;
    buf_add_char(w->out, ':');
    w->comma = false;
    return true;
}

bool json_write_string(struct json_writer *w, struct slice s)
{
    return quoted(w, s, false);
}

void json_write_text(struct json_writer *w, struct slice s)
{
    quoted(w, s, true);
}

void json_write_uint(struct json_writer *w, uint64_t n)
{
    char digits[20], *at = digits + sizeof(digits);
    do {
        *--at = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    put(w, at, (size_t)(digits + sizeof(digits) - at));
}

void json_write_int(struct json_writer *w, int64_t n)
{
    char digits[20], *at = digits + sizeof(digits);
    uint64_t left = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
    do {
        *--at = (char)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    if (n < 0)
        *--at = '-';
    put(w, at, (size_t)(digits + sizeof(digits) - at));
}

bool json_write_double(struct json_writer *w, double d)
{
    if (!isfinite(d))
        return false;
    if (d == 0 && signbit(d)) {
        put(w, "-0.0", 4); /* "-0" would read back as an integer */
        return true;
    }
    if (fabs(d) < 0x1p53 && d == (double)(int64_t)d) {
        json_write_int(w, (int64_t)d);
        return true;
    }
    char text[32];
    put(w, text, json_double_text(d, text));
    return true;
}

void json_write_raw(struct json_writer *w, struct slice json)
{
    put(w, json.at, json.len);
}

void json_write_bool(struct json_writer *w, bool b)
{
    put(w, b ? "true" : "false", b ? 4 : 5);
}

void json_write_null(struct json_writer *w)
{
    put(w, "null", 4);
}

static void new_line(struct buf *out, unsigned depth)
{
    buf_add_char(out, '\n');
    for (unsigned i = 0; i < depth; i++)
        buf_add(out, "  ", 2);
}

/* Where the string that begins at `at` ends: behind its closing quote. */
static const char *string_end(const char *at, const char *end)
{
    for (at++; at < end && *at != '"'; at++)
        at += *at == '\\';
    return at < end ? at + 1 : end;
}

void json_write_pretty(struct slice compact, struct buf *out)
{
    const char *at = compact.at, *end = at + compact.len;
    unsigned depth = 0;
    while (at < end) {
        const char *from = at;
        at = *at == '"' ? string_end(at, end) : at + 1;
        bool opens = *from == '{' || *from == '[', closes = *from == '}' || *from == ']';
        if (closes && from[-1] != '{' && from[-1] != '[')
            new_line(out, depth - 1);
        buf_add(out, from, (size_t)(at - from));
        depth = depth + opens - closes;
        if (*from == ':')
            buf_add_char(out, ' ');
        if (*from == ',' || (opens && *at != '}' && *at != ']'))
            new_line(out, depth);
    }
}
