/*
 * map.c: open addressing over an insertion-ordered array of entries, FNV-1a mixed with a random seed. See map.h.
 */
#include "base/map.h"
#include "base/panic.h"
#include <stdint.h>
#include <stdlib.h>
#include <sys/random.h>

struct entry {
    char *key; /* NULL: removed */
    size_t key_len;
    uint64_t hash;
    void *value;
};

struct map {
    uint64_t seed;
    struct entry *entries;
    size_t used, room, live;
    uint32_t *slots; /* index + 1 of an entry; 0: free */
    size_t slot_count;
};

struct map *map_new(void)
{
    struct map *m = need_zero(1, sizeof(*m));
    NEED(getrandom(&m->seed, sizeof(m->seed), 0) == (ssize_t)sizeof(m->seed));
    return m;
}

void map_free(struct map **m)
{
    if (*m == NULL)
        return;
    for (size_t i = 0; i < (*m)->used; i++)
        free((*m)->entries[i].key);
    free((*m)->entries);
    free((*m)->slots);
    free(*m);
    *m = NULL;
}

static uint64_t hash_of(const struct map *m, struct slice key)
{
    uint64_t h = 0xcbf29ce484222325ull ^ m->seed;
    for (size_t i = 0; i < key.len; i++)
        h = (h ^ (unsigned char)key.at[i]) * 0x100000001b3ull;
    h ^= h >> 32;
    return h * (m->seed | 1);
}

/* The slot of the key, or the free one where it would go. There is always a free slot. */
static size_t slot_of(const struct map *m, struct slice key, uint64_t hash)
{
    size_t slot = (hash >> 20) & (m->slot_count - 1);
    for (;; slot = (slot + 1) & (m->slot_count - 1)) {
        uint32_t index = m->slots[slot];
        if (index == 0)
            return slot;
        const struct entry *e = &m->entries[index - 1];
        if (e->key != NULL && e->hash == hash && slice_equal((struct slice){e->key, e->key_len}, key))
            return slot;
    }
}

static struct entry *find(const struct map *m, struct slice key)
{
    if (m->slot_count == 0)
        return NULL;
    uint32_t index = m->slots[slot_of(m, key, hash_of(m, key))];
    return index != 0 ? &m->entries[index - 1] : NULL;
}

/* Drops removed entries and makes the slots at most half full with one more. */
static void rebuild(struct map *m)
{
    size_t kept = 0, slots = 16;
    for (size_t i = 0; i < m->used; i++)
        if (m->entries[i].key != NULL)
            m->entries[kept++] = m->entries[i];
    m->used = kept;
    while (slots < (kept + 1) * 4)
        slots *= 2;
    free(m->slots);
    m->slots = need_zero(slots, sizeof(*m->slots));
    m->slot_count = slots;
    for (size_t i = 0; i < kept; i++) {
        size_t slot = (m->entries[i].hash >> 20) & (slots - 1);
        while (m->slots[slot] != 0)
            slot = (slot + 1) & (slots - 1);
        m->slots[slot] = (uint32_t)i + 1;
    }
}

void *map_get(const struct map *m, struct slice key)
{
    struct entry *e = find(m, key);
    return e != NULL ? e->value : NULL;
}

void *map_set(struct map *m, struct slice key, void *value)
{
    CHECK(value != NULL);
    struct entry *e = find(m, key);
    if (e != NULL) {
        void *old = e->value;
        e->value = value;
        return old;
    }
    if ((m->used + 1) * 2 > m->slot_count)
        rebuild(m);
    if (m->used == m->room) {
        m->room = m->room != 0 ? m->room * 2 : 8;
        m->entries = need_realloc(m->entries, m->room * sizeof(*m->entries));
    }
    uint64_t hash = hash_of(m, key);
    size_t slot = slot_of(m, key, hash);
    m->entries[m->used] = (struct entry){slice_dup(key), key.len, hash, value};
    m->slots[slot] = (uint32_t)++m->used;
    m->live++;
    return NULL;
}

void *map_remove(struct map *m, struct slice key)
{
    struct entry *e = find(m, key);
    if (e == NULL)
        return NULL;
    void *old = e->value;
    free(e->key);
    e->key = NULL; /* the slot stays taken until the next rebuild, so that chains stay whole */
    e->value = NULL;
    m->live--;
    return old;
}

size_t map_count(const struct map *m)
{
    return m->live;
}

bool map_next(const struct map *m, size_t *at, struct slice *key_out, void **value_out)
{
    while (*at < m->used && m->entries[*at].key == NULL)
        ++*at;
    if (*at >= m->used)
        return false;
    const struct entry *e = &m->entries[(*at)++];
    if (key_out != NULL)
        *key_out = (struct slice){e->key, e->key_len};
    if (value_out != NULL)
        *value_out = e->value;
    return true;
}
