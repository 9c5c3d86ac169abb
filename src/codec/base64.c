/*
 * base64.c: base64, base64url and hex by table. UNSAFE BYTES: computed writes into room that was reserved for them.
 * Owns nothing. Runs in: any thread, pure; not constant-time. Fails: false, and then nothing was appended.
 */
#include "codec/base64.h"
#include "base/panic.h"

static const char std_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void encode(struct slice bytes, const char *digits, bool pad, struct buf *out)
{
    const unsigned char *p = (const unsigned char *)bytes.at;
    size_t left = bytes.len;
    NEED(bytes.len < SIZE_MAX / 2);
    char *to = buf_reserve(out, (bytes.len + 2) / 3 * 4);
    if (to == NULL)
        return;
    char *from = to;
    for (; left >= 3; left -= 3, p += 3) {
        uint32_t bits = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
        *to++ = digits[bits >> 18];
        *to++ = digits[bits >> 12 & 63];
        *to++ = digits[bits >> 6 & 63];
        *to++ = digits[bits & 63];
    }
    if (left > 0) {
        uint32_t bits = (uint32_t)p[0] << 16 | (left == 2 ? (uint32_t)p[1] << 8 : 0);
        *to++ = digits[bits >> 18];
        *to++ = digits[bits >> 12 & 63];
        if (left == 2)
            *to++ = digits[bits >> 6 & 63];
        for (size_t i = left; pad && i < 3; i++)
            *to++ = '=';
    }
    out->len += (size_t)(to - from);
}

void base64_encode(struct slice bytes, struct buf *out)
{
    encode(bytes, std_digits, true, out);
}

void base64_encode_url(struct slice bytes, struct buf *out)
{
    encode(bytes, url_digits, false, out);
}

/* The value of a digit, or -1; c62 and c63 are the alphabet's last two. */
static int digit(char c, char c62, char c63)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == c62 ? 62 : c == c63 ? 63 : -1;
}

/* Digits without padding. */
static bool decode(struct slice text, char c62, char c63, struct buf *out)
{
    if (text.len % 4 == 1)
        return false;
    char *to = buf_reserve(out, text.len / 4 * 3 + 2);
    if (to == NULL)
        return false;
    uint32_t bits = 0;
    unsigned have = 0;
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        int value = digit(text.at[i], c62, c63);
        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
        have += 6;
        if (have >= 8) {
            have -= 8;
            to[len++] = (char)(bits >> have);
        }
    }
    if (bits & ((1u << have) - 1))
        return false;
    out->len += len;
    return true;
}

/* Takes the '=' off the end of a text that has all its padding. */
static bool unpad(struct slice *text)
{
    if (text->len % 4 != 0)
        return false;
    for (int i = 0; i < 2 && text->len > 0 && text->at[text->len - 1] == '='; i++)
        text->len--;
    return true;
}

bool base64_decode(struct slice text, struct buf *out)
{
    return unpad(&text) && decode(text, '+', '/', out);
}

bool base64_decode_url(struct slice text, struct buf *out)
{
    if (text.len > 0 && text.at[text.len - 1] == '=' && !unpad(&text))
        return false;
    return decode(text, '-', '_', out);
}

void base64_hex(struct slice bytes, char *text_out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char c = (unsigned char)bytes.at[i];
        text_out[2 * i] = digits[c >> 4];
        text_out[2 * i + 1] = digits[c & 15];
    }
}

/* A digit's value and one; 0: it is none. A table, since no processor guesses whether the next one is a letter. */
static const unsigned char hex_value[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
    ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};

bool base64_unhex(struct slice text, struct buf *out)
{
    if (text.len % 2 != 0)
        return false;
    char *to = buf_reserve(out, text.len / 2);
    if (to == NULL)
        return false;
    for (size_t i = 0; i < text.len; i += 2) {
        int high = hex_value[(unsigned char)text.at[i]], low = hex_value[(unsigned char)text.at[i + 1]];
        if (high == 0 || low == 0)
            return false;
        to[i / 2] = (char)((high - 1) << 4 | (low - 1));
    }
    out->len += text.len / 2;
    return true;
}
