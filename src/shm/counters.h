/*
 * counters.h: the counters of one process, made from counters.def and the refusals from policy/reasons.def.
 * One writer (relaxed stores), any reader; a reader's sum may be a moment old, never torn.
 * Runs in: every process. Never fails.
 */
#ifndef CRESCENT_SHM_COUNTERS_H
#define CRESCENT_SHM_COUNTERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COUNTERS_REASONS 64 /* room for policy/reasons.def */

#define COUNTERS_BUCKETS 17 /* of a histogram; one more holds what is longer than the last */

enum counter {
#define COUNTER(name, metric, labels, help) COUNTER_##name,
#define GAUGE(name, metric, labels, help) COUNTER_##name,
#define EACH(name, metric, labels, help) COUNTER_##name,
#define HISTOGRAM(name, metric, labels, help)
#include "shm/counters.def"
#undef COUNTER
#undef GAUGE
#undef EACH
#undef HISTOGRAM
    COUNTER_COUNT
};

enum counters_histogram {
#define COUNTER(name, metric, labels, help)
#define GAUGE(name, metric, labels, help)
#define EACH(name, metric, labels, help)
#define HISTOGRAM(name, metric, labels, help) HISTOGRAM_##name,
#include "shm/counters.def"
#undef COUNTER
#undef GAUGE
#undef EACH
#undef HISTOGRAM
    HISTOGRAM_COUNT
};

struct histogram {
    _Atomic uint64_t count[COUNTERS_BUCKETS + 1];
    _Atomic uint64_t sum; /* ns */
};

struct counters {
    _Atomic uint64_t value[COUNTER_COUNT];
    _Atomic uint64_t refused[COUNTERS_REASONS]; /* by enum reason */
    struct histogram histogram[HISTOGRAM_COUNT];
};

/* Upper bounds of the buckets, in ns: three to a power of ten, from 0.1 ms to 30 s. */
extern const uint64_t counters_bounds[COUNTERS_BUCKETS];
/* The process that wrote them has ended: its requests, streams and connections that had not are counted as ended with
 * it, and what was of the moment is nothing now. */
void counters_forget(struct counters *c);

/* Only the one writer calls these, so load and store need no locked instruction. */
static inline void counters_add(struct counters *c, enum counter which, uint64_t n)
{
    atomic_store_explicit(&c->value[which], atomic_load_explicit(&c->value[which], memory_order_relaxed) + n,
                          memory_order_relaxed);
}
static inline void counters_set(struct counters *c, enum counter which, uint64_t n)
{
    atomic_store_explicit(&c->value[which], n, memory_order_relaxed);
}
static inline void counters_refused(struct counters *c, unsigned reason)
{
    if (reason < COUNTERS_REASONS)
        atomic_store_explicit(&c->refused[reason], atomic_load_explicit(&c->refused[reason], memory_order_relaxed) + 1,
                              memory_order_relaxed);
}
/* One more of so many ns. */
static inline void counters_observe(struct counters *c, enum counters_histogram which, uint64_t ns)
{
    struct histogram *h = &c->histogram[which];
    unsigned i = 0;
    while (i < COUNTERS_BUCKETS && ns > counters_bounds[i])
        i++;
    atomic_store_explicit(&h->count[i], atomic_load_explicit(&h->count[i], memory_order_relaxed) + 1,
                          memory_order_relaxed);
    atomic_store_explicit(&h->sum, atomic_load_explicit(&h->sum, memory_order_relaxed) + ns, memory_order_relaxed);
}
static inline uint64_t counters_get(const struct counters *c, enum counter which)
{
    return atomic_load_explicit(&c->value[which], memory_order_relaxed);
}

#endif
