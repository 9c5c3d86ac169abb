/*
 * buf.c: a growing run of bytes. See buf.h.
 * UNSAFE BYTES: the raw writes of the project are here.
 */
#include "base/buf.h"
#include "base/panic.h"
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>

static void release(struct buf *b)
{
    if (b->secret && b->at != NULL)
        explicit_bzero(b->at, b->room);
    free(b->at);
}

void buf_free(struct buf *b)
{
    release(b);
    *b = (struct buf){0};
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    b->overflow = false;
}

/* realloc would leave a copy behind where it moves. */
static void move_secret(struct buf *b, size_t room)
{
    char *to = need_alloc(room);
    if (b->len > 0)
        memcpy(to, b->at, b->len);
    release(b);
    b->at = to;
    b->room = room;
}

/* Apart: most calls find room, and need not save registers for this. */
__attribute__((noinline)) static void grow(struct buf *b, size_t wanted)
{
    size_t room = b->room * 2 > wanted ? b->room * 2 : wanted;
    room = room > 64 ? room : 64;
    if (b->secret) {
        move_secret(b, room);
        return;
    }
    b->at = need_realloc(b->at, room);
    b->room = room;
}

char *buf_reserve(struct buf *b, size_t more)
{
    CHECK(more < SIZE_MAX / 4);
    size_t wanted = b->len + more;
    if (b->limit != 0 && wanted > b->limit) {
        b->overflow = true;
        return NULL;
    }
    /* one byte beyond what is asked, for buf_text's NUL */
    if (wanted + 1 > b->room)
        grow(b, wanted + 1);
    return b->at + b->len;
}

void buf_add(struct buf *b, const void *bytes, size_t len)
{
    if (len == 0)
        return;
    char *to = buf_reserve(b, len);
    if (to == NULL)
        return;
    memcpy(to, bytes, len);
    b->len += len;
}

void buf_add_slice(struct buf *b, struct slice s)
{
    buf_add(b, s.at, s.len);
}

void buf_add_text(struct buf *b, const char *text)
{
    buf_add(b, text, strlen(text));
}

void buf_add_char(struct buf *b, char c)
{
    char *to = buf_reserve(b, 1);
    if (to == NULL)
        return;
    *to = c;
    b->len++;
}

void buf_addv(struct buf *b, const char *format, va_list args)
{
    va_list again;
    char small[256];
    va_copy(again, args);
    int len = vsnprintf(small, sizeof(small), format, args);
    CHECK(len >= 0);
    if ((size_t)len < sizeof(small)) {
        buf_add(b, small, (size_t)len);
    } else {
        char *to = buf_reserve(b, (size_t)len + 1);
        if (to != NULL) {
            vsnprintf(to, (size_t)len + 1, format, again);
            b->len += (size_t)len;
        }
    }
    va_end(again);
}

void buf_addf(struct buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    buf_addv(b, format, args);
    va_end(args);
}

void buf_add_u32(struct buf *b, uint32_t n)
{
    uint32_t wire = htole32(n);
    buf_add(b, &wire, sizeof(wire));
}

void buf_add_u64(struct buf *b, uint64_t n)
{
    uint64_t wire = htole64(n);
    buf_add(b, &wire, sizeof(wire));
}

void buf_add_string(struct buf *b, struct slice s)
{
    CHECK(s.len <= UINT32_MAX);
    buf_add_u32(b, (uint32_t)s.len);
    buf_add_slice(b, s);
}

void buf_drop(struct buf *b, size_t len)
{
    CHECK(len <= b->len);
    if (len == 0)
        return;
    memmove(b->at, b->at + len, b->len - len);
    b->len -= len;
}

const char *buf_text(struct buf *b)
{
    if (b->at == NULL)
        return "";
    b->at[b->len] = '\0'; /* buf_reserve always keeps this byte */
    return b->at;
}

char *buf_take(struct buf *b)
{
    char *text = b->at != NULL ? b->at : need_alloc(1);
    text[b->len] = '\0';
    *b = (struct buf){0};
    return text;
}

/* The next `len` bytes, or NULL and *bad_out. */
static const char *take(struct slice *from, size_t len, bool *bad_out)
{
    if (from->len < len) {
        *bad_out = true;
        *from = (struct slice){from->at, 0};
        return NULL;
    }
    const char *at = from->at;
    *from = (struct slice){from->at + len, from->len - len};
    return at;
}

uint32_t buf_take_u32(struct slice *from, bool *bad_out)
{
    uint32_t wire = 0;
    const char *at = take(from, sizeof(wire), bad_out);
    if (at != NULL)
        memcpy(&wire, at, sizeof(wire));
    return le32toh(wire);
}

uint64_t buf_take_u64(struct slice *from, bool *bad_out)
{
    uint64_t wire = 0;
    const char *at = take(from, sizeof(wire), bad_out);
    if (at != NULL)
        memcpy(&wire, at, sizeof(wire));
    return le64toh(wire);
}

struct slice buf_take_string(struct slice *from, bool *bad_out)
{
    size_t len = buf_take_u32(from, bad_out);
    const char *at = take(from, len, bad_out);
    return (struct slice){at != NULL ? at : "", at != NULL ? len : 0};
}
