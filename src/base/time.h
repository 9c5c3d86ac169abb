/*
 * time.h: three kinds of time that the compiler keeps apart: a point on the monotonic clock (deadlines), a
 * point on the wall clock (signatures, records), a span. All in nanoseconds.
 * Runs in: any thread. Never fails.
 */
#ifndef CRESCENT_BASE_TIME_H
#define CRESCENT_BASE_TIME_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    int64_t ns;
} mono_t;
typedef struct {
    int64_t ns;
} wall_t;
typedef struct {
    int64_t ns;
} dur_t;

#define DUR_MS(ms) ((dur_t){(int64_t)(ms)*1000000})
#define DUR_S(s) ((dur_t){(int64_t)(s)*1000000000})
#define MONO_NEVER ((mono_t){INT64_MAX})

mono_t mono_now(void);
/* The same clock as it was at the kernel's last tick (1 to 10 ms ago): costs a fifth. */
mono_t mono_tick(void);
wall_t wall_now(void);

static inline mono_t mono_add(mono_t t, dur_t d)
{
    return (mono_t){d.ns > 0 && t.ns > INT64_MAX - d.ns ? INT64_MAX : t.ns + d.ns};
}
/* later - earlier; negative when the order is the other one. */
static inline dur_t mono_since(mono_t later, mono_t earlier)
{
    return (dur_t){later.ns - earlier.ns};
}
static inline bool mono_before(mono_t a, mono_t b)
{
    return a.ns < b.ns;
}
/* Whole milliseconds, rounded up, never negative. */
int64_t dur_ms_up(dur_t d);

#endif
