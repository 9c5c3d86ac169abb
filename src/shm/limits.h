/*
 * limits.h: the cells of rate limits: GCRA (the leaky bucket as a meter, ITU-T I.371) on one time a key, shared by all
 * workers. A table of fixed size: in a full bucket the cell that is nearest to idle gives way.
 * A cell is 16 bytes, changed as a whole by one compare-and-swap: who dies in the middle has changed it, or has not.
 * What lies in the table may have been written by a broken worker: a time that none of ours can be is taken for none.
 * Runs in: any process, any thread. Never fails.
 */
#ifndef CRESCENT_SHM_LIMITS_H
#define CRESCENT_SHM_LIMITS_H

#include "base/time.h"
#include "crypto/siphash.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LIMITS_BUCKET 8               /* cells: two cache lines */
#define LIMITS_BUCKETS (1u << 17)     /* 1,048,576 cells, 16 MiB; pages that nobody touched take no memory */
#define LIMITS_MOST DUR_S(31 * 86400) /* `depth` of a rate, at most */

struct limits_cell {
    uint64_t key;     /* a hash; 0: nobody has had it */
    uint64_t arrival; /* when the cell is idle again (its theoretical arrival time); monotonic clock, ns */
};

struct limits { /* born as zeros, and a seed */
    struct siphash_key seed;
    _Alignas(128) struct limits_cell cell[LIMITS_BUCKETS][LIMITS_BUCKET];
};

/* A limit as GCRA sees it; 0 < interval <= depth <= LIMITS_MOST. */
struct limits_rate {
    int64_t interval; /* ns between two requests at the steady rate */
    int64_t depth;    /* ns: so many intervals as requests may come at once */
};

struct limits_answer {
    bool admitted;
    bool evicted; /* a cell that was not idle gave way */
    int64_t debt; /* ns until the key is idle, this request counted if it was admitted; 0 to depth */
};

/* Supervisor, once: the secret that strangers would need to aim at a bucket. */
void limits_seed(struct limits *l);
/* The place of a key; 0 is none. `limit` keeps keys of one limit apart from those of another. */
uint64_t limits_key(struct siphash_key seed, uint64_t limit, struct slice key);
/* Decides, and counts the request if it is admitted. The one place where several processes meet: exact. */
struct limits_answer limits_take(struct limits *l, uint64_t key, struct limits_rate rate, mono_t now);
/* What limits_take would say now, without counting. */
struct limits_answer limits_look(const struct limits *l, uint64_t key, struct limits_rate rate, mono_t now);
/*
 * The decision itself, pure: for a cell with this arrival time. debt_out as in the answer; returns whether it is
 * admitted, then the cell's next arrival time in *next_out.
 */
bool limits_decide(uint64_t arrival, struct limits_rate rate, mono_t now, uint64_t *next_out, int64_t *debt_out);

#endif
