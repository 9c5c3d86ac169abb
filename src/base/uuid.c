/*
 * uuid.c: UUIDv7 from a small per-process generator (xoshiro256** 1.0's recurrence, seeded by getrandom).
 * State is file-scope: ids are made on the hottest path, by the one thread of a process that makes them.
 */
#include "base/uuid.h"
#include "base/panic.h"
#include <string.h>
#include <sys/random.h>

static uint64_t state[4];
static bool seeded;

static uint64_t rotate(uint64_t x, int by)
{
    return (x << by) | (x >> (64 - by));
}

static uint64_t next(void)
{
    if (!seeded) {
        NEED(getrandom(state, sizeof(state), 0) == (ssize_t)sizeof(state));
        state[0] |= 1; /* never all zero */
        seeded = true;
    }
    uint64_t result = rotate(state[1] * 5, 7) * 9, t = state[1] << 17;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= t;
    state[3] = rotate(state[3], 45);
    return result;
}

struct uuid uuid_new(wall_t now)
{
    struct uuid id;
    uint64_t ms = (uint64_t)(now.ns / 1000000), high = next(), low = next();
    for (int i = 0; i < 6; i++)
        id.bytes[i] = (unsigned char)(ms >> (40 - 8 * i));
    memcpy(id.bytes + 6, &high, 2);
    memcpy(id.bytes + 8, &low, 8);
    id.bytes[6] = (unsigned char)((id.bytes[6] & 0x0f) | 0x70); /* version 7 */
    id.bytes[8] = (unsigned char)((id.bytes[8] & 0x3f) | 0x80); /* variant */
    return id;
}

void uuid_text(const struct uuid *id, char text_out[UUID_TEXT])
{
    static const char digits[] = "0123456789abcdef";
    char *to = text_out;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *to++ = '-';
        *to++ = digits[id->bytes[i] >> 4];
        *to++ = digits[id->bytes[i] & 15];
    }
}
