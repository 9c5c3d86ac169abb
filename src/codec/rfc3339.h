/*
 * rfc3339.h: date and time as RFC 3339 5.6 has it, years 0000 to 9999; leap seconds (":60") count as the next second.
 * Pure. Runs in: any thread. Fails: false on anything that is not exactly that form.
 */
#ifndef CRESCENT_CODEC_RFC3339_H
#define CRESCENT_CODEC_RFC3339_H

#include "base/slice.h"
#include <stdint.h>

#define RFC3339_FIRST INT64_C(-62167219200) /* 0000-01-01T00:00:00Z, in seconds since 1970 */
#define RFC3339_LAST INT64_C(253402300799)  /* 9999-12-31T23:59:59Z */
#define RFC3339_TEXT 24                     /* "2024-02-29T12:00:00.500Z" */

/* Seconds since 1970 (UTC) and nanoseconds on top of them; of the fraction, digits behind the ninth are dropped. */
bool rfc3339_parse(struct slice text, int64_t *seconds_out, int32_t *ns_out);
/* In UTC, with three digits of fraction unless `ms` is 0; seconds in the range above, ms below 1000. With a NUL. */
void rfc3339_text(int64_t seconds, unsigned ms, char text_out[RFC3339_TEXT + 1]);

#endif
