/*
 * counters.h: the counters of one process, made from counters.def and the refusals from policy/reasons.def.
 * One writer (relaxed stores), any reader; a reader's sum may be a moment old, never torn.
 * Runs in: every process. Never fails.
 */
#ifndef CRESCENT_SHM_COUNTERS_H
#define CRESCENT_SHM_COUNTERS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define COUNTERS_REASONS 64 /* room for policy/reasons.def */

enum counter {
#define COUNTER(name, metric, labels, help) COUNTER_##name,
#include "shm/counters.def"
#undef COUNTER
    COUNTER_COUNT
};

struct counters {
    _Atomic uint64_t value[COUNTER_COUNT];
    _Atomic uint64_t refused[COUNTERS_REASONS]; /* by enum reason */
};

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
static inline uint64_t counters_get(const struct counters *c, enum counter which)
{
    return atomic_load_explicit(&c->value[which], memory_order_relaxed);
}

#endif
