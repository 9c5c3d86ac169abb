/*
 * timestamp.h: the time a signature carries, as providers write it, to a point on the wall clock.
 * Pure. Runs in: any thread. Fails: false on anything that is not exactly the expected form.
 */
#ifndef CRESCENT_POLICY_TIMESTAMP_H
#define CRESCENT_POLICY_TIMESTAMP_H

#include "base/slice.h"
#include "base/time.h"

enum timestamp_unit {
    TIMESTAMP_SECONDS,
    TIMESTAMP_MILLISECONDS,
    TIMESTAMP_RFC3339, /* "2023-08-01T12:00:00.123456789Z", or with an offset */
    TIMESTAMP_ANY      /* whichever of these it looks like: a number too large for seconds is milliseconds */
};

/* "s", "ms", "rfc3339", "any". */
bool timestamp_unit_named(struct slice name, enum timestamp_unit *unit_out);
/* Digits only for numbers: no sign, no fraction, no blanks. Times before 1970 and after 2261 are none. */
bool timestamp_parse(struct slice text, enum timestamp_unit unit, wall_t *time_out);

#endif
