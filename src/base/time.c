/*
 * time.c: the clocks. See base/time.h.
 */
#include "base/time.h"
#include "base/panic.h"
#include <time.h>

static int64_t read_clock(clockid_t clock)
{
    struct timespec t;
    CHECK(clock_gettime(clock, &t) == 0);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

mono_t mono_now(void)
{
    return (mono_t){read_clock(CLOCK_MONOTONIC)};
}

mono_t mono_tick(void)
{
    return (mono_t){read_clock(CLOCK_MONOTONIC_COARSE)};
}

wall_t wall_now(void)
{
    return (wall_t){read_clock(CLOCK_REALTIME)};
}

int64_t dur_ms_up(dur_t d)
{
    return d.ns <= 0 ? 0 : (d.ns - 1) / 1000000 + 1;
}
