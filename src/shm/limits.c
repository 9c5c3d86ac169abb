/*
 * limits.c: see limits.h.
 *
 * Why no key has two cells while nothing but idle cells gives way: a newcomer takes the cell with the least (arrival
 * time, index) of its bucket, whatever the clock says, and arrival times only grow. Let two processes put the same key
 * into cells a and b, a first. The second has not seen the key in a, so it looked at a before; the first one's a and
 * the second one's b stood still from when they were looked at until they were taken, and each was the least of what
 * its process saw. Since times only grow, that makes a < b and b < a. So one of the two swaps fails, and its process
 * looks again. (Where a cell that is not idle gives way, a key may be admitted a little more than its limit.)
 *
 * The halves of a cell are read one by one, the arrival time first: who does not see a key that was put there has not
 * seen its time either, and so does not pass over the cell. The swap proves that both belonged together. A refusal
 * changes nothing, and looks at the time once more instead.
 */
#include "shm/limits.h"
#include "crypto/random.h"

#define SLACK DUR_S(11) /* a process whose `now` is older has been killed by the watchdog meanwhile */
#define TRIES 1000      /* each one lost means that another process has got on; then the request is refused */

_Static_assert(sizeof(struct limits_cell) == sizeof(unsigned __int128), "a cell is one word of cmpxchg16b");
_Static_assert((LIMITS_BUCKETS & (LIMITS_BUCKETS - 1)) == 0, "a power of two");

void limits_seed(struct limits *l)
{
    random_fill(&l->seed, sizeof l->seed);
}

uint64_t limits_key(struct siphash_key seed, uint64_t limit, struct slice key)
{
    uint64_t hash = siphash_of((struct siphash_key){{seed.half[0] ^ limit, seed.half[1]}}, key);
    return hash != 0 ? hash : 1;
}

/* --- one cell --------------------------------------------------------------------------------------------------- */

bool limits_decide(uint64_t arrival, struct limits_rate rate, mono_t now, uint64_t *next_out, int64_t *debt_out)
{
    int64_t debt = (int64_t)(arrival - (uint64_t)now.ns);
    if (debt < 0 || debt > rate.depth + SLACK.ns) /* idle, or nothing that we have written */
        debt = 0;
    if (debt > rate.depth) /* written by who has a later clock */
        debt = rate.depth;
    bool admitted = debt + rate.interval <= rate.depth;
    if (admitted)
        debt += rate.interval;
    *next_out = (uint64_t)now.ns + (uint64_t)debt;
    *debt_out = debt;
    return admitted;
}

static uint64_t load(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static unsigned __int128 whole(struct limits_cell cell)
{
    unsigned __int128 word;
    __builtin_memcpy(&word, &cell, sizeof word);
    return word;
}

/*
 * By the older builtin: of the newer one for 16 bytes gcc makes a call into libatomic. A full barrier. The thread
 * sanitizer would put a lock of its own process in the instruction's place, which holds off neither the loads nor
 * other processes.
 */
static __attribute__((no_sanitize("thread"))) bool swap(struct limits_cell *cell, struct limits_cell from,
                                                        struct limits_cell to)
{
    return __sync_bool_compare_and_swap((unsigned __int128 *)cell, whole(from), whole(to));
}

/* What was read of a cell is what it was in the meantime. */
static bool stands(const struct limits_cell *cell, struct limits_cell seen)
{
    return load(&cell->arrival) == seen.arrival;
}

/* --- a bucket --------------------------------------------------------------------------------------------------- */

/* What counts when cells are compared: a time that none of ours can be is older than all. */
static uint64_t rank(uint64_t arrival, mono_t now)
{
    return arrival > (uint64_t)(now.ns + LIMITS_MOST.ns + SLACK.ns) ? 0 : arrival;
}

/* The key's cell, or else the one that gives way to it, with what was read there. Whether it is the key's. */
static bool find(struct limits_cell *bucket, uint64_t key, mono_t now, struct limits_cell **cell_out,
                 struct limits_cell *seen_out)
{
    uint64_t least = UINT64_MAX;
    for (unsigned i = 0; i < LIMITS_BUCKET; i++) {
        struct limits_cell seen = {.arrival = load(&bucket[i].arrival)};
        seen.key = load(&bucket[i].key); /* second: see above */
        if (seen.key != key && rank(seen.arrival, now) >= least)
            continue;
        *cell_out = &bucket[i];
        *seen_out = seen;
        if (seen.key == key)
            return true;
        least = rank(seen.arrival, now);
    }
    return false;
}

static struct limits_cell *bucket_of(const struct limits *l, uint64_t key)
{
    return (struct limits_cell *)l->cell[key % LIMITS_BUCKETS];
}

/*
 * As find, for who would take the cell. A process that was held up since it looked at the clock must not take for busy
 * what is idle by now: then *now is set right, once.
 */
static bool find_room(struct limits_cell *bucket, uint64_t key, mono_t *now, struct limits_cell **cell_out,
                      struct limits_cell *seen_out, bool *evicted_out)
{
    bool own = find(bucket, key, *now, cell_out, seen_out);
    *evicted_out = !own && rank(seen_out->arrival, *now) > (uint64_t)now->ns;
    if (!*evicted_out)
        return own;
    mono_t fresh = mono_now();
    if (mono_before(*now, fresh))
        *now = fresh;
    own = find(bucket, key, *now, cell_out, seen_out);
    *evicted_out = !own && rank(seen_out->arrival, *now) > (uint64_t)now->ns;
    return own;
}

struct limits_answer limits_take(struct limits *l, uint64_t key, struct limits_rate rate, mono_t now)
{
    struct limits_cell *bucket = bucket_of(l, key), *cell = bucket, seen = {0};
    for (int i = 0; i < TRIES; i++) {
        struct limits_answer answer = {0};
        struct limits_cell next = {.key = key};
        bool own = find_room(bucket, key, &now, &cell, &seen, &answer.evicted);
        answer.admitted = limits_decide(own ? seen.arrival : 0, rate, now, &next.arrival, &answer.debt);
        if (answer.admitted ? swap(cell, seen, next) : stands(cell, seen))
            return answer;
    }
    return (struct limits_answer){.debt = rate.depth};
}

struct limits_answer limits_look(const struct limits *l, uint64_t key, struct limits_rate rate, mono_t now)
{
    struct limits_cell *bucket = bucket_of(l, key), *cell = bucket, seen = {0};
    for (int i = 0; i < TRIES; i++) {
        struct limits_answer answer = {0};
        uint64_t next;
        bool own = find(bucket, key, now, &cell, &seen);
        answer.admitted = limits_decide(own ? seen.arrival : 0, rate, now, &next, &answer.debt);
        if (answer.admitted)
            answer.debt -= rate.interval;
        if (answer.admitted || stands(cell, seen))
            return answer;
    }
    return (struct limits_answer){.debt = rate.depth};
}
