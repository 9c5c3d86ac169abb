/*
 * utf8.c: validation by the table of RFC 3629 section 4, with a skip over ASCII, eight bytes at a time.
 * Owns nothing. Runs in: any thread, pure. Never fails.
 */
#include "codec/utf8.h"
#include <stdint.h>

static bool is_tail(unsigned char c)
{
    return (c & 0xc0) == 0x80;
}

size_t utf8_first(struct slice s)
{
    const unsigned char *p = (const unsigned char *)s.at;
    if (s.len == 0)
        return 0;
    if (p[0] < 0x80)
        return 1;
    if (p[0] < 0xc2) /* a tail byte, or an overlong form of ASCII */
        return 0;
    if (p[0] < 0xe0)
        return s.len >= 2 && is_tail(p[1]) ? 2 : 0;
    if (p[0] < 0xf0) {
        if (s.len < 3 || !is_tail(p[1]) || !is_tail(p[2]))
            return 0;
        bool overlong = p[0] == 0xe0 && p[1] < 0xa0, surrogate = p[0] == 0xed && p[1] >= 0xa0;
        return overlong || surrogate ? 0 : 3;
    }
    if (p[0] > 0xf4 || s.len < 4 || !is_tail(p[1]) || !is_tail(p[2]) || !is_tail(p[3]))
        return 0;
    bool overlong = p[0] == 0xf0 && p[1] < 0x90, beyond = p[0] == 0xf4 && p[1] >= 0x90;
    return overlong || beyond ? 0 : 4;
}

size_t utf8_valid(struct slice s)
{
    size_t i = 0;
    while (i < s.len) {
        uint64_t eight;
        while (s.len - i >= sizeof(eight)) {
            memcpy(&eight, s.at + i, sizeof(eight));
            if (eight & 0x8080808080808080u)
                break;
            i += sizeof(eight);
        }
        while (i < s.len && (unsigned char)s.at[i] < 0x80)
            i++;
        while (i < s.len && (unsigned char)s.at[i] >= 0x80) {
            size_t len = utf8_first((struct slice){s.at + i, s.len - i});
            if (len == 0)
                return i;
            i += len;
        }
    }
    return i;
}
