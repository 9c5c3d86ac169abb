/*
 * counters.c: the bounds of histograms, and what ends with a process. See counters.h.
 */
#include "shm/counters.h"

#define US UINT64_C(1000)
#define MS (1000 * US)
#define S (1000 * MS)

const uint64_t counters_bounds[COUNTERS_BUCKETS] = {100 * US, 250 * US,  500 * US, 1 * MS,   2500 * US, 5 * MS,
                                                    10 * MS,  25 * MS,   50 * MS,  100 * MS, 250 * MS,  500 * MS,
                                                    1 * S,    2500 * MS, 5 * S,    10 * S,   30 * S};

void counters_forget(struct counters *c)
{
    static const bool momentary[COUNTER_COUNT] = {
#define COUNTER(name, metric, labels, help) [COUNTER_##name] = false,
#define GAUGE(name, metric, labels, help) [COUNTER_##name] = true,
#define EACH(name, metric, labels, help) [COUNTER_##name] = true,
#define HISTOGRAM(name, metric, labels, help)
#include "shm/counters.def"
#undef COUNTER
#undef GAUGE
#undef EACH
#undef HISTOGRAM
    };
    for (unsigned i = 0; i < COUNTER_COUNT; i++)
        if (momentary[i])
            counters_set(c, (enum counter)i, 0);
}
