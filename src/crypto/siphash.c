/*
 * siphash.c: see siphash.h. Written after the paper: eight bytes at a time are mixed in with two rounds, the rest with
 * the length in the top byte, then four rounds to the end.
 */
#include "crypto/siphash.h"
#include <endian.h>

struct lanes {
    uint64_t a, b, c, d; /* v0 to v3 of the paper */
};

static inline uint64_t rotated(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

static inline void mix(struct lanes *v)
{
    v->a += v->b;
    v->c += v->d;
    v->b = rotated(v->b, 13) ^ v->a;
    v->d = rotated(v->d, 16) ^ v->c;
    v->a = rotated(v->a, 32);
    v->c += v->b;
    v->a += v->d;
    v->b = rotated(v->b, 17) ^ v->c;
    v->d = rotated(v->d, 21) ^ v->a;
    v->c = rotated(v->c, 32);
}

static inline void take(struct lanes *v, uint64_t word)
{
    v->d ^= word;
    mix(v);
    mix(v);
    v->a ^= word;
}

/* Up to eight bytes as a little-endian number. */
static inline uint64_t number(const char *at, size_t len)
{
    uint64_t word = 0;
    memcpy(&word, at, len);
    return le64toh(word);
}

uint64_t siphash_of(struct siphash_key key, struct slice bytes)
{
    struct lanes v = {UINT64_C(0x736f6d6570736575) ^ key.half[0], UINT64_C(0x646f72616e646f6d) ^ key.half[1],
                      UINT64_C(0x6c7967656e657261) ^ key.half[0], UINT64_C(0x7465646279746573) ^ key.half[1]};
    size_t whole = bytes.len & ~(size_t)7;
    for (size_t i = 0; i < whole; i += 8)
        take(&v, number(bytes.at + i, 8));
    uint64_t rest = whole < bytes.len ? number(bytes.at + whole, bytes.len - whole) : 0;
    take(&v, rest | (uint64_t)bytes.len << 56);
    v.c ^= 0xff;
    for (int i = 0; i < 4; i++)
        mix(&v);
    return v.a ^ v.b ^ v.c ^ v.d;
}
