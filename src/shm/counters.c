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

/* What has begun and has no end of its own has that end now. */
static void settle(struct counters *c, enum counter end, uint64_t begun, uint64_t ended)
{
    if (begun > ended) /* a worker that broke may have written anything */
        counters_add(c, end, begun - ended);
}

static uint64_t requests_ended(const struct counters *c)
{
    uint64_t sum = counters_get(c, COUNTER_requests_gone) + counters_get(c, COUNTER_requests_cut);
    for (unsigned i = COUNTER_requests_1xx; i <= COUNTER_requests_5xx; i++)
        sum += counters_get(c, (enum counter)i);
    return sum;
}

static void settle_all(struct counters *c)
{
    settle(c, COUNTER_requests_cut, counters_get(c, COUNTER_requests_http1) + counters_get(c, COUNTER_requests_http2),
           requests_ended(c));
    settle(c, COUNTER_connections_closed, counters_get(c, COUNTER_connections),
           counters_get(c, COUNTER_connections_closed));
    settle(c, COUNTER_streams_broken, counters_get(c, COUNTER_streams), 0);
}

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
    settle_all(c);
    for (unsigned i = 0; i < COUNTER_COUNT; i++)
        if (momentary[i])
            counters_set(c, (enum counter)i, 0);
}
