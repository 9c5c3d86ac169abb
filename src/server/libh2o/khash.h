/*
 * khash.h: only as much of that header's names as h2o/http2_internal.h mentions, so that its types can be read: Debian
 * ships the one without the other. No hash is touched through these: the lookup always finds nothing, and is not used.
 */
#ifndef CRESCENT_SERVER_LIBH2O_KHASH_H
#define CRESCENT_SERVER_LIBH2O_KHASH_H

#include <stdint.h>

typedef uint32_t khint_t;
typedef khint_t khiter_t;

#define khash_t(name) kh_##name##_t
/* libh2o's connection holds a pointer to the table: its inside does not matter here. */
#define KHASH_MAP_INIT_INT64(name, value_type) \
    typedef struct kh_##name##_s {             \
        khint_t n_buckets;                     \
        value_type *vals;                      \
    } kh_##name##_t;

#define kh_get(name, table, key) ((void)(key), (table)->n_buckets)
#define kh_end(table) ((table)->n_buckets)
#define kh_val(table, at) ((table)->vals[at])

#endif
