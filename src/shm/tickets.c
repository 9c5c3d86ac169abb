/*
 * tickets.c: see tickets.h. Three places: the newest key, the one before, and one that no reader looks at, into which
 * the next is written before the version names it. A reader that was overtaken finds another version, and looks again.
 */
#include "shm/tickets.h"
#include "base/panic.h"
#include "crypto/random.h"
#include <string.h>

#define KEYS 3

_Static_assert(sizeof(struct tickets_key) % sizeof(uint64_t) == 0, "a key is whole words");

/* Release and acquire on each word: who has read a word of a later key also reads the later version. */
static void put(struct tickets *t, uint64_t version, const struct tickets_key *key)
{
    uint64_t words[TICKETS_WORDS];
    memcpy(words, key, sizeof words);
    for (size_t i = 0; i < TICKETS_WORDS; i++)
        atomic_store_explicit(&t->key[version % KEYS][i], words[i], memory_order_release);
    explicit_bzero(words, sizeof words);
}

static void get(const struct tickets *t, uint64_t version, struct tickets_key *key_out)
{
    uint64_t words[TICKETS_WORDS];
    for (size_t i = 0; i < TICKETS_WORDS; i++)
        words[i] = atomic_load_explicit(&t->key[version % KEYS][i], memory_order_acquire);
    memcpy(key_out, words, sizeof words);
    explicit_bzero(words, sizeof words);
}

bool tickets_rotate(struct tickets *t, mono_t now)
{
    uint64_t version = atomic_load_explicit(&t->version, memory_order_relaxed);
    mono_t made_at = {atomic_load_explicit(&t->made_at, memory_order_relaxed)};
    struct tickets_key key;
    /* A time that has not come yet is not the supervisor's writing. */
    if (version > 0 && !mono_before(now, made_at) && mono_since(now, made_at).ns < TICKETS_PERIOD.ns)
        return false;
    random_fill(&key, sizeof key);
    put(t, version + 1, &key);
    atomic_store_explicit(&t->made_at, now.ns, memory_order_relaxed);
    atomic_store_explicit(&t->version, version + 1, memory_order_release);
    explicit_bzero(&key, sizeof key);
    put(t, version + 2, &key); /* the place of the one before the previous: wiped */
    return true;
}

bool tickets_look(const struct tickets *t, struct tickets_view *view)
{
    /* Bounded, for a broken worker may move the version without end: then the last view stays. */
    for (int tries = 0; tries < 16; tries++) {
        uint64_t version = atomic_load_explicit(&t->version, memory_order_acquire);
        struct tickets_view seen = {.version = version, .has_previous = version > 1};
        if (version == view->version || version == 0)
            break;
        get(t, version, &seen.newest);
        if (seen.has_previous)
            get(t, version - 1, &seen.previous);
        if (atomic_load_explicit(&t->version, memory_order_acquire) == version) {
            *view = seen;
            break;
        }
    }
    return view->version != 0;
}
