/*
 * timestamp.c: see timestamp.h.
 * Pure. Runs in: any thread.
 */
#include "policy/timestamp.h"
#include "codec/rfc3339.h"

#define NS_PER_S INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)
/* The whole seconds (milliseconds) that nanoseconds in 63 bits can count. */
#define SECONDS_MAX (INT64_MAX / NS_PER_S - 1)
#define MILLISECONDS_MAX (INT64_MAX / NS_PER_MS - 1)

bool timestamp_unit_named(struct slice name, enum timestamp_unit *unit_out)
{
    static const char *const names[] = {[TIMESTAMP_SECONDS] = "s",
                                        [TIMESTAMP_MILLISECONDS] = "ms",
                                        [TIMESTAMP_RFC3339] = "rfc3339",
                                        [TIMESTAMP_ANY] = "any"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (slice_equal(name, slice_of(names[i]))) {
            *unit_out = (enum timestamp_unit)i;
            return true;
        }
    return false;
}

static bool parse_number(struct slice text, enum timestamp_unit unit, wall_t *time_out)
{
    unsigned long long n;
    if (!slice_to_u64(text, MILLISECONDS_MAX, &n))
        return false;
    bool seconds = unit == TIMESTAMP_SECONDS || (unit == TIMESTAMP_ANY && n <= SECONDS_MAX);
    if (seconds && n > SECONDS_MAX)
        return false;
    time_out->ns = (int64_t)n * (seconds ? NS_PER_S : NS_PER_MS);
    return true;
}

static bool parse_rfc3339(struct slice text, wall_t *time_out)
{
    int64_t seconds;
    int32_t ns;
    if (!rfc3339_parse(text, &seconds, &ns) || seconds < 0 || seconds > SECONDS_MAX)
        return false;
    time_out->ns = seconds * NS_PER_S + ns;
    return true;
}

bool timestamp_parse(struct slice text, enum timestamp_unit unit, wall_t *time_out)
{
    if (unit == TIMESTAMP_RFC3339)
        return parse_rfc3339(text, time_out);
    if (unit == TIMESTAMP_ANY && slice_find(text, '-') != SIZE_MAX)
        return parse_rfc3339(text, time_out);
    return parse_number(text, unit, time_out);
}
