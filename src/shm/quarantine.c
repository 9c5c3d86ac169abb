/*
 * quarantine.c: a small table with open addressing, whose entries are given to another script when they are of no more
 * use. What a quarantine is lies in one word, so that each change of it is one compare-and-exchange:
 *   bits 63-8  when the next request may be a probe, in ms of the monotonic clock
 *   bits 7-1   how often it was doubled
 *   bit 0      a probe was let through at the word's last change
 * See quarantine.h.
 */
#include "shm/quarantine.h"

#include "base/duration.h"
#include "base/log.h"

#include <stddef.h>

#define PLACES 16 /* that an entry may have */
#define FIRST_MS 10000
#define MOST_MS 600000
#define MOST_STEP 6
#define KEPT_MS 3600000 /* one that no request came for: so long after its probe was due it may be forgotten */

static uint64_t ms_of(mono_t t)
{
    return (uint64_t)(t.ns / 1000000);
}

/* --- the word --------------------------------------------------------------------------------------------------- */

static uint64_t period_ms(unsigned step)
{
    uint64_t period = (uint64_t)FIRST_MS << (step < MOST_STEP ? step : MOST_STEP);

    return period < MOST_MS ? period : MOST_MS;
}

static uint64_t word_of(uint64_t due, unsigned step, bool probing)
{
    return due << 8 | (uint64_t)(step < MOST_STEP ? step : MOST_STEP) << 1 | probing;
}

static uint64_t due_of(uint64_t word)
{
    return word >> 8;
}

static unsigned step_of(uint64_t word)
{
    return (unsigned)(word >> 1 & 127);
}

/* A quarantine that is due later than any can be was made by nobody. */
static bool stands(uint64_t word, uint64_t now)
{
    return word != 0 && due_of(word) <= now + MOST_MS;
}

/* --- entries ---------------------------------------------------------------------------------------------------- */

/* The i-th place where this version may be. */
static struct quarantine_entry *place(const struct quarantine *q, uint64_t version, unsigned i)
{
    uint64_t hash = version * UINT64_C(0x9e3779b97f4a7c15);

    return (struct quarantine_entry *)&q->entry[((hash >> 32) + i) % QUARANTINE_ENTRIES];
}

static struct quarantine_entry *find(const struct quarantine *q, uint64_t version)
{
    if (version == 0 || atomic_load_explicit(&q->used, memory_order_relaxed) == 0)
        return NULL;
    for (unsigned i = 0; i < PLACES; i++) {
        struct quarantine_entry *e = place(q, version, i);
        uint64_t has = atomic_load(&e->version);

        if (has == version)
            return e;
        if (has == 0) /* a place that was used once is never empty again */
            return NULL;
    }
    return NULL;
}

static bool recent(uint64_t struck, uint64_t now)
{
    return struck != 0 && struck <= now && now - struck <= (uint64_t)QUARANTINE_WINDOW.ns / 1000000;
}

/* Nobody is quarantined in it, nor has been struck lately. A quarantine that nobody asks for any more ends with that.
 */
static bool idle(struct quarantine_entry *e, uint64_t now)
{
    uint64_t word = atomic_load(&e->word);

    if (word != 0 && stands(word, now) && due_of(word) + KEPT_MS > now)
        return false;
    for (unsigned i = 0; i < QUARANTINE_STRIKES; i++)
        if (recent(atomic_load(&e->struck[i]), now))
            return false;
    return word == 0 || atomic_compare_exchange_strong(&e->word, &word, 0);
}

/* The entry of this version, made where there is none; NULL: there is no room. */
static struct quarantine_entry *take(struct quarantine *q, uint64_t version, uint64_t now)
{
    struct quarantine_entry *e = find(q, version);

    if (e != NULL || version == 0)
        return e;
    atomic_store(&q->used, 1);
    for (unsigned i = 0; i < PLACES; i++) {
        e = place(q, version, i);
        uint64_t has = atomic_load(&e->version);

        if (has != 0 && has != version && !idle(e, now))
            continue;
        if (has == version || atomic_compare_exchange_strong(&e->version, &has, version) || has == version)
            return e;
    }
    return NULL;
}

static void forget_strikes(struct quarantine_entry *e)
{
    for (unsigned i = 0; i < QUARANTINE_STRIKES; i++)
        atomic_store(&e->struck[i], 0);
}

/* --- asked ------------------------------------------------------------------------------------------------------ */

enum quarantine_verdict quarantine_ask(struct quarantine *q, uint64_t version, mono_t now, dur_t *wait_out,
                                       uint64_t *probe_out)
{
    struct quarantine_entry *e = find(q, version);
    uint64_t ms = ms_of(now), word = e != NULL ? atomic_load(&e->word) : 0;

    *probe_out = 0;
    if (!stands(word, ms))
        return QUARANTINE_PASS;
    if (due_of(word) <= ms) {
        /* If this probe is never heard of again, the next one is let through a period later. */
        uint64_t probe = word_of(ms + period_ms(step_of(word)), step_of(word), true);

        if (atomic_compare_exchange_strong(&e->word, &word, probe)) {
            *probe_out = probe;
            return QUARANTINE_PROBE;
        }
        if (word == 0)
            return QUARANTINE_PASS;
    }
    *wait_out = due_of(word) > ms ? DUR_MS(due_of(word) - ms) : (dur_t){0};
    return QUARANTINE_REFUSE;
}

bool quarantine_look(const struct quarantine *q, uint64_t version, mono_t now, struct quarantine_view *view_out)
{
    struct quarantine_entry *e = find(q, version);
    uint64_t ms = ms_of(now), word = e != NULL ? atomic_load(&e->word) : 0;

    if (!stands(word, ms))
        return false;
    if (view_out != NULL)
        *view_out = (struct quarantine_view){.wait = due_of(word) > ms ? DUR_MS(due_of(word) - ms) : (dur_t){0},
                                             .period = DUR_MS(period_ms(step_of(word))),
                                             .probing = word & 1};
    return true;
}

/* --- struck ----------------------------------------------------------------------------------------------------- */

/* Of requests that were under way when it began, only the probe counts. */
static enum quarantine_strike strike_quarantined(struct quarantine_entry *e, uint64_t word, uint64_t now,
                                                 dur_t *for_out)
{
    unsigned step = step_of(word) + 1;

    if ((word & 1) == 0 ||
        !atomic_compare_exchange_strong(&e->word, &word, word_of(now + period_ms(step), step, false)))
        return QUARANTINE_COUNTED;
    *for_out = DUR_MS(period_ms(step));
    return QUARANTINE_DOUBLED;
}

enum quarantine_strike quarantine_struck(struct quarantine *q, uint64_t version, mono_t now, dur_t *for_out)
{
    uint64_t ms = ms_of(now);
    struct quarantine_entry *e = take(q, version, ms);
    uint64_t word;

    if (e == NULL)
        return QUARANTINE_FULL;
    word = atomic_load(&e->word);
    if (stands(word, ms))
        return strike_quarantined(e, word, ms, for_out);
    atomic_store(&e->struck[atomic_fetch_add(&e->strikes, 1) % QUARANTINE_STRIKES], ms);
    for (unsigned i = 0; i < QUARANTINE_STRIKES; i++)
        if (!recent(atomic_load(&e->struck[i]), ms))
            return QUARANTINE_COUNTED;
    /* Two that strike at the same moment may both see three: one of them begins it. */
    if (!atomic_compare_exchange_strong(&e->word, &word, word_of(ms + FIRST_MS, 0, false)))
        return QUARANTINE_COUNTED;
    forget_strikes(e);
    atomic_fetch_add(&q->begun, 1);
    *for_out = DUR_MS(FIRST_MS);
    return QUARANTINE_BEGUN;
}

void quarantine_log(const char *endpoint, enum quarantine_strike what, dur_t time)
{
    static const char *const words[] = {
        [QUARANTINE_BEGUN] = "endpoint quarantined",
        [QUARANTINE_DOUBLED] = "endpoint stays quarantined: its probe ran for longer than max_run",
        [QUARANTINE_FULL] = "too many scripts run for longer than max_run: a strike is not counted"};
    char room[32];

    if (what == QUARANTINE_COUNTED)
        return;
    if (what == QUARANTINE_FULL)
        log_at(LOG_WARN, words[what], LOG_STR("endpoint", endpoint));
    else
        log_at(LOG_WARN, words[what], LOG_STR("endpoint", endpoint), LOG_STR("for", duration_text(time, room)));
}

/* --- ended ------------------------------------------------------------------------------------------------------ */

bool quarantine_passed(struct quarantine *q, uint64_t version, uint64_t probe)
{
    struct quarantine_entry *e = find(q, version);

    if (e == NULL || probe == 0 || !atomic_compare_exchange_strong(&e->word, &probe, 0))
        return false;
    forget_strikes(e);
    return true;
}

void quarantine_undecided(struct quarantine *q, uint64_t version, uint64_t probe, mono_t now)
{
    struct quarantine_entry *e = find(q, version);

    if (e != NULL && probe != 0)
        atomic_compare_exchange_strong(&e->word, &probe, word_of(ms_of(now), step_of(probe), false));
}

bool quarantine_end(struct quarantine *q, uint64_t version)
{
    struct quarantine_entry *e = find(q, version);

    if (e == NULL || atomic_exchange(&e->word, 0) == 0)
        return false;
    forget_strikes(e);
    return true;
}
