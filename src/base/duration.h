/*
 * duration.h: "250ms" "5s" "5m" "2h" "7d" and "64KiB" "1MiB" to numbers, and back: the spelling of durations and
 * sizes in scripts, configuration and environment. A bare number is seconds, or bytes.
 * Runs in: any thread, pure. Fails: false, on anything else, negative, or too large for the type.
 */
#ifndef CRESCENT_BASE_DURATION_H
#define CRESCENT_BASE_DURATION_H

#include "base/slice.h"
#include "base/time.h"

/* Units ms s m h d; a fraction ("1.5s") is allowed. */
bool duration_parse(struct slice text, dur_t *duration_out);
/* Units B, KiB, MiB, GiB; whole numbers. */
bool duration_parse_size(struct slice text, size_t *bytes_out);
/* The shortest exact spelling, into room for 32 bytes. Returns room. */
const char *duration_text(dur_t d, char room[32]);
const char *duration_size_text(size_t bytes, char room[32]);

#endif
