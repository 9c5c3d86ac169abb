/*
 * filename.c: see filename.h. UNSAFE BYTES: out is written behind the place that is read, never before it.
 */
#include "codec/filename.h"
#include "codec/utf8.h"
#include <stdint.h>

#define EXTENSION_MAX 32 /* of a name that must be cut, so much of its extension stays */

static uint32_t code_point(const unsigned char *p, size_t len)
{
    if (len == 2)
        return (uint32_t)(p[0] & 0x1f) << 6 | (p[1] & 0x3f);
    if (len == 3)
        return (uint32_t)(p[0] & 0x0f) << 12 | (uint32_t)(p[1] & 0x3f) << 6 | (p[2] & 0x3f);
    if (len == 4)
        return (uint32_t)(p[0] & 0x07) << 18 | (uint32_t)(p[1] & 0x3f) << 12 | (uint32_t)(p[2] & 0x3f) << 6 |
               (p[3] & 0x3f);
    return p[0];
}

/*
 * Controls (C0, DEL, C1), marks that turn the direction of text, line separators, and what has no width: the soft
 * hyphen, spaces and operators of no width, the byte order mark, tags. Joiners (U+200C, U+200D) stay: words need them.
 */
static bool unseen(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad || c == 0x061c || c == 0x200b || c == 0x200e ||
           c == 0x200f || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x2069) || c == 0xfeff ||
           (c >= 0xe0000 && c <= 0xe007f);
}

/* Without what is not seen; folders cut. */
static size_t copy_seen(struct slice raw, char *out)
{
    size_t len = 0;
    for (size_t i = 0; i < raw.len;) {
        size_t wide = utf8_first(slice_from(raw, i));
        if (wide == 0) {
            out[len++] = '_';
            i++;
        } else if (raw.at[i] == '/' || raw.at[i] == '\\') {
            len = 0;
            i++;
        } else {
            if (!unseen(code_point((const unsigned char *)raw.at + i, wide))) {
                memmove(out + len, raw.at + i, wide);
                len += wide;
            }
            i += wide;
        }
    }
    return len;
}

static bool is_edge(char c)
{
    return c == '.' || c == ' ';
}

static size_t trim_end(const char *name, size_t len)
{
    while (len > 0 && is_edge(name[len - 1]))
        len--;
    return len;
}

/* Cut to what a file system takes: the stem, so that the extension stays. */
static size_t shorten(char *name, size_t len)
{
    size_t dot = len;
    if (len <= FILENAME_BARE_MAX)
        return len;
    while (dot > 0 && len - dot < EXTENSION_MAX && name[dot - 1] != '.')
        dot--;
    dot = dot > 0 && name[dot - 1] == '.' ? dot - 1 : len;
    size_t extension = len - dot, stem = FILENAME_BARE_MAX - extension;
    while (stem > 0 && ((unsigned char)name[stem] & 0xc0) == 0x80) /* not within a character */
        stem--;
    memmove(name + stem, name + dot, extension);
    return trim_end(name, stem + extension);
}

size_t filename_bare(struct slice raw, char *out)
{
    size_t len = copy_seen(raw, out), begin = 0;
    while (begin < len && is_edge(out[begin]))
        begin++;
    memmove(out, out + begin, len - begin);
    return shorten(out, trim_end(out, len - begin));
}
