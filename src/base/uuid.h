/*
 * uuid.h: UUID version 7 (RFC 9562 5.7): 48 bits of Unix milliseconds, then random bits. The ids of requests.
 * Random bits come from a per-process generator seeded by getrandom: ids are unique, not secret.
 * Runs in: one thread per process. Never fails.
 */
#ifndef CRESCENT_BASE_UUID_H
#define CRESCENT_BASE_UUID_H

#include "base/time.h"

#define UUID_TEXT 36

struct uuid {
    unsigned char bytes[16];
};

struct uuid uuid_new(wall_t now);
/* Writes 36 characters, no NUL. */
void uuid_text(const struct uuid *id, char text_out[UUID_TEXT]);

#endif
