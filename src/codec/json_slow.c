/*
 * json_slow.c: a strict parser of RFC 8259 that knows where it stands: for the texts that simdjson refuses, to say why
 * and where, and for those with integers beyond 64 bits, whose digits it keeps. Makes the tape of json_tape.h.
 * UNSAFE BYTES: reads between `at` and `end`, each read behind a test.
 * Owns: the tape's and the strings' memory. Runs in: any thread. Fails: by the first fault; memory by NEED.
 */
#include "base/ascii.h"
#include "base/panic.h"
#include "codec/json_tape.h"
#include "codec/utf8.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>

struct json_slow {
    uint64_t *words;
    size_t count, room;
    struct buf strings;
};

struct parse {
    struct json_slow *out;
    const char *begin, *at, *end;
    const char *what; /* the fault, NULL: none */
    const char *where;
    unsigned depth, most;
    bool deep; /* the fault is its depth */
    struct {
        size_t at; /* of the begin's word */
        uint64_t count;
        bool object;
    } open[JSON_DEPTH_MAX + 1]; /* from 1 */
};

struct json_slow *json_slow_new(void)
{
    return need_zero(1, sizeof(struct json_slow));
}

void json_slow_free(struct json_slow **slow)
{
    if (*slow == NULL)
        return;
    free((*slow)->words);
    buf_free(&(*slow)->strings);
    free(*slow);
    *slow = NULL;
}

size_t json_slow_memory(const struct json_slow *slow)
{
    return slow->room * sizeof(*slow->words) + slow->strings.room;
}

static void put(struct json_slow *out, uint64_t word)
{
    if (out->count == out->room) {
        out->room = out->room > 0 ? out->room * 2 : 256;
        out->words = need_realloc(out->words, out->room * sizeof(*out->words));
    }
    out->words[out->count++] = word;
}

static void put_kind(struct json_slow *out, char kind, uint64_t payload)
{
    put(out, (uint64_t)(unsigned char)kind << 56 | payload);
}

static bool refuse(struct parse *p, const char *what, const char *where)
{
    p->what = what;
    p->where = where;
    return false;
}

static void space(struct parse *p)
{
    while (p->at < p->end && (*p->at == ' ' || *p->at == '\n' || *p->at == '\r' || *p->at == '\t'))
        p->at++;
}

/* Is this the next character? Then it is taken. */
static bool take(struct parse *p, char c)
{
    if (p->at == p->end || *p->at != c)
        return false;
    p->at++;
    return true;
}

/* Four hex digits of "\uXXXX", or -1. */
static long hex4(struct parse *p)
{
    long value = 0;
    if (p->end - p->at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        char c = *p->at++;
        int digit = c >= '0' && c <= '9'                     ? c - '0'
                    : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                             : -1;
        if (digit < 0)
            return -1;
        value = value << 4 | digit;
    }
    return value;
}

static void put_utf8(struct buf *out, long c)
{
    if (c < 0x80) {
        buf_add_char(out, (char)c);
    } else if (c < 0x800) {
        buf_add(out, (char[]){(char)(0xc0 | c >> 6), (char)(0x80 | (c & 0x3f))}, 2);
    } else if (c < 0x10000) {
        buf_add(out, (char[]){(char)(0xe0 | c >> 12), (char)(0x80 | (c >> 6 & 0x3f)), (char)(0x80 | (c & 0x3f))}, 3);
    } else {
        char four[] = {(char)(0xf0 | c >> 18), (char)(0x80 | (c >> 12 & 0x3f)), (char)(0x80 | (c >> 6 & 0x3f)),
                       (char)(0x80 | (c & 0x3f))};
        buf_add(out, four, 4);
    }
}

/* Behind "\u": a character of the basic plane, or both halves of a surrogate pair. */
static bool unicode_escape(struct parse *p, const char *escape)
{
    long c = hex4(p);
    if (c < 0)
        return refuse(p, "expected four hex digits behind '\\u'", escape);
    if (c >= 0xdc00 && c <= 0xdfff)
        return refuse(p, "half of a surrogate pair", escape);
    if (c >= 0xd800 && c <= 0xdbff) {
        long low = take(p, '\\') && take(p, 'u') ? hex4(p) : -1;
        if (low < 0xdc00 || low > 0xdfff)
            return refuse(p, "half of a surrogate pair", escape);
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    put_utf8(&p->out->strings, c);
    return true;
}

/* At the backslash. */
static bool escape(struct parse *p)
{
    static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    const char *begin = p->at++;
    if (p->at == p->end)
        return refuse(p, "the string has no end", begin);
    char c = *p->at++;
    if (c == 'u')
        return unicode_escape(p, begin);
    const char *known = c != '\0' ? strchr(letters, c) : NULL;
    if (known == NULL)
        return refuse(p, "unknown escape", begin);
    buf_add_char(&p->out->strings, meant[known - letters]);
    return true;
}

/* The run of plain characters at p->at to the strings. */
static bool plain_run(struct parse *p)
{
    const char *from = p->at;
    while (p->at < p->end && *p->at != '"' && *p->at != '\\') {
        if ((unsigned char)*p->at < 0x20)
            return refuse(p, "control character in a string", p->at);
        size_t len = utf8_first((struct slice){p->at, (size_t)(p->end - p->at)});
        if (len == 0)
            return refuse(p, "invalid UTF-8", p->at);
        p->at += len;
    }
    buf_add(&p->out->strings, from, (size_t)(p->at - from));
    return true;
}

static bool string(struct parse *p)
{
    const char *begin = p->at++;
    struct buf *to = &p->out->strings;
    size_t offset = to->len;
    buf_add_u32(to, 0);
    while (plain_run(p)) {
        if (p->at == p->end)
            return refuse(p, "the string has no end", begin);
        if (take(p, '"')) {
            uint32_t len = (uint32_t)(to->len - offset - sizeof(len));
            memcpy(to->at + offset, &len, sizeof(len));
            buf_add_char(to, '\0');
            put_kind(p->out, '"', offset);
            return true;
        }
        if (!escape(p))
            return false;
    }
    return false;
}

static size_t digits(struct parse *p)
{
    const char *from = p->at;
    while (p->at < p->end && ascii_is_digit(*p->at))
        p->at++;
    return (size_t)(p->at - from);
}

/* Digits as text behind a u32 length and before a NUL; strtod and strtoll need that NUL too. */
static size_t put_text(struct json_slow *out, struct slice text)
{
    size_t offset = out->strings.len;
    buf_add_u32(&out->strings, 0);
    uint32_t len = (uint32_t)text.len;
    memcpy(out->strings.at + offset, &len, sizeof(len));
    buf_add(&out->strings, text.at, text.len);
    buf_add_char(&out->strings, '\0');
    return offset;
}

/* An integer of any length: the smallest kind that holds it. */
static void put_integer(struct json_slow *out, size_t offset)
{
    const char *text = out->strings.at + offset + sizeof(uint32_t);
    errno = 0;
    long long i = strtoll(text, NULL, 10);
    if (errno == 0) {
        put_kind(out, 'l', 0);
        put(out, (uint64_t)i);
        out->strings.len = offset;
        return;
    }
    errno = 0;
    unsigned long long u = strtoull(text, NULL, 10);
    if (text[0] != '-' && errno == 0) {
        put_kind(out, 'u', 0);
        put(out, u);
        out->strings.len = offset;
        return;
    }
    put_kind(out, 'b', offset);
}

/* strtod reads the decimal point of the locale, which nothing here ever sets. */
static bool put_double(struct parse *p, size_t offset, const char *begin)
{
    double d = strtod(p->out->strings.at + offset + sizeof(uint32_t), NULL);
    if (!isfinite(d))
        return refuse(p, "number too large", begin);
    uint64_t bits;
    memcpy(&bits, &d, sizeof(bits));
    put_kind(p->out, 'd', 0);
    put(p->out, bits);
    p->out->strings.len = offset;
    return true;
}

static bool number(struct parse *p)
{
    const char *begin = p->at;
    take(p, '-');
    const char *first = p->at;
    size_t len = digits(p);
    if (len == 0)
        return refuse(p, "expected a digit", p->at);
    if (len > 1 && *first == '0')
        return refuse(p, "a number has no leading zero", first);
    bool integer = true;
    if (take(p, '.')) {
        integer = false;
        if (digits(p) == 0)
            return refuse(p, "expected a digit", p->at);
    }
    if (take(p, 'e') || take(p, 'E')) {
        integer = false;
        if (!take(p, '+'))
            take(p, '-');
        if (digits(p) == 0)
            return refuse(p, "expected a digit", p->at);
    }
    size_t offset = put_text(p->out, (struct slice){begin, (size_t)(p->at - begin)});
    if (!integer)
        return put_double(p, offset, begin);
    put_integer(p->out, offset);
    return true;
}

static bool literal(struct parse *p, struct slice word)
{
    if (!slice_starts((struct slice){p->at, (size_t)(p->end - p->at)}, word))
        return refuse(p, "expected a value", p->at);
    p->at += word.len;
    put_kind(p->out, word.at[0], 0);
    return true;
}

static bool scalar(struct parse *p)
{
    char c = p->at < p->end ? *p->at : '\0';
    switch (c) {
    case '"':
        return string(p);
    case 't':
        return literal(p, SLICE("true"));
    case 'f':
        return literal(p, SLICE("false"));
    case 'n':
        return literal(p, SLICE("null"));
    default:
        if (c == '-' || ascii_is_digit(c))
            return number(p);
        return refuse(p, "expected a value", p->at);
    }
}

static bool name(struct parse *p, const char *expected)
{
    space(p);
    if (p->at == p->end || *p->at != '"')
        return refuse(p, expected, p->at);
    if (!string(p))
        return false;
    space(p);
    return take(p, ':') || refuse(p, "expected ':'", p->at);
}

static void close_innermost(struct parse *p)
{
    size_t at = p->open[p->depth].at;
    uint64_t count = p->open[p->depth].count;
    bool object = p->open[p->depth].object;
    put_kind(p->out, object ? '}' : ']', at);
    if (count > JSON_TAPE_COUNT_MAX)
        count = JSON_TAPE_COUNT_MAX;
    p->out->words[at] = (uint64_t)(object ? '{' : '[') << 56 | count << 32 | p->out->count;
    p->depth--;
}

/* At '{' or '['. *empty_out: it was closed at once. */
static bool open_one(struct parse *p, bool *empty_out)
{
    if (p->depth == p->most) {
        p->deep = true;
        return refuse(p, "nested too deep", p->at);
    }
    bool object = *p->at++ == '{';
    p->depth++;
    p->open[p->depth].at = p->out->count;
    p->open[p->depth].count = 0;
    p->open[p->depth].object = object;
    put(p->out, 0);
    space(p);
    *empty_out = take(p, object ? '}' : ']');
    if (*empty_out) {
        close_innermost(p);
        return true;
    }
    p->open[p->depth].count = 1;
    return !object || name(p, "expected a name in double quotes, or '}'");
}

/* Behind a value: closes what ends here. *more_out: a value follows. */
static bool after_value(struct parse *p, bool *more_out)
{
    for (*more_out = false; p->depth > 0;) {
        bool object = p->open[p->depth].object;
        space(p);
        if (take(p, ',')) {
            p->open[p->depth].count++;
            *more_out = true;
            return !object || name(p, "expected a name in double quotes");
        }
        if (!take(p, object ? '}' : ']'))
            return refuse(p, object ? "expected ',' or '}'" : "expected ',' or ']'", p->at);
        close_innermost(p);
    }
    return true;
}

static bool text_of_one_value(struct parse *p)
{
    space(p);
    if (p->at == p->end)
        return refuse(p, "the text is empty", p->at);
    put(p->out, 0);
    for (bool more = true; more;) {
        space(p);
        bool whole = true; /* a value has been read to its end */
        if (p->at < p->end && (*p->at == '{' || *p->at == '[')) {
            if (!open_one(p, &whole))
                return false;
        } else if (!scalar(p)) {
            return false;
        }
        if (whole && !after_value(p, &more))
            return false;
    }
    space(p);
    if (p->at < p->end)
        return refuse(p, "expected the end of the text", p->at);
    put_kind(p->out, 'r', 0);
    p->out->words[0] = (uint64_t)'r' << 56 | (p->out->count - 1);
    return true;
}

static void locate(const struct parse *p, struct json_fault *fault)
{
    *fault = (struct json_fault){p->what, (size_t)(p->where - p->begin), 1, 1, p->deep};
    for (const char *c = p->begin; c < p->where; c++) {
        fault->column++;
        if (*c == '\n') {
            fault->line++;
            fault->column = 1;
        }
    }
}

int json_slow_parse(struct json_slow *slow, struct slice text, unsigned depth, struct json_tape *tape_out,
                    struct json_fault *fault_out)
{
    const char *begin = text.at != NULL ? text.at : "";
    struct parse p = {.out = slow, .begin = begin, .at = begin, .end = begin + text.len, .most = depth};
    slow->count = 0;
    buf_clear(&slow->strings);
    bool good = text.len <= JSON_TEXT_MAX ? text_of_one_value(&p) : refuse(&p, "the text is too long", p.at);
    if (!good) {
        locate(&p, fault_out);
        return -1;
    }
    *tape_out = (struct json_tape){slow->words, slow->strings.at};
    return 0;
}
