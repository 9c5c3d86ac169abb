/*
 * map.h: byte-string keys to pointers: open addressing, seeded hash (a peer that chooses keys cannot choose
 * collisions). Owns copies of its keys, never the values. Iteration is in insertion order as long as nothing was
 * removed. Runs in: any thread, one at a time. Fails: memory by NEED.
 */
#ifndef CRESCENT_BASE_MAP_H
#define CRESCENT_BASE_MAP_H

#include "base/slice.h"

struct map;

struct map *map_new(void);
/* Frees the map and its keys and leaves NULL; NULL is fine. */
void map_free(struct map **m);
/* The value under the key, or NULL. */
void *map_get(const struct map *m, struct slice key);
/* Sets it (value not NULL); returns the value that was there, or NULL. */
void *map_set(struct map *m, struct slice key, void *value);
/* Removes it; returns the value that was there, or NULL. */
void *map_remove(struct map *m, struct slice key);
size_t map_count(const struct map *m);
/* size_t at = 0; while (map_next(m, &at, &key, &value)) ... ; no change to the map meanwhile. */
bool map_next(const struct map *m, size_t *at, struct slice *key_out, void **value_out);

#endif
