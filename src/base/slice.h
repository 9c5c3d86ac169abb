/*
 * slice.h: a borrowed run of bytes (pointer and length); may hold NUL bytes, need not end with one.
 * Owns nothing: whoever made the bytes keeps them alive as long as the slice is read.
 * Runs in: any thread, pure. Never fails.
 */
#ifndef CRESCENT_BASE_SLICE_H
#define CRESCENT_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const char *at;
    size_t len;
};

#define SLICE(literal) ((struct slice){(literal), sizeof(literal) - 1})
#define SLICE_NONE ((struct slice){NULL, 0})
/* For printf's "%.*s". */
#define SLICE_ARG(s) (int)(s).len, (s).at ? (s).at : ""

/*
 * For printf's "%.*s%s": so many bytes of it at most (a number). A text that is cut is marked by "...", and has to be:
 * by that http/redact knows the rest of a value of env from what only looks like its begin.
 */
#define SLICE_SHOWN(s, most) \
    ((s).len < (most) ? (int)(s).len : (int)(most)), ((s).at ? (s).at : ""), ((s).len > (most) ? "..." : "")

/* The bytes of a C string without its NUL; NULL gives SLICE_NONE. */
static inline struct slice slice_of(const char *text)
{
    return (struct slice){text, text != NULL ? strlen(text) : 0};
}

/* Same length and bytes. Not for secrets: see crypto/equal.h. */
static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

/* As slice_equal, ASCII letters compared without case (RFC 9110 5.1: field names). */
bool slice_equal_nocase(struct slice a, struct slice b);

/* Whether s begins (ends) with the given bytes. */
bool slice_starts(struct slice s, struct slice prefix);
bool slice_ends(struct slice s, struct slice suffix);

/* s without leading and trailing spaces and tabs (RFC 9110 5.6.3 OWS). */
struct slice slice_trim(struct slice s);

/* The bytes from `from` on; past the end: empty. */
struct slice slice_from(struct slice s, size_t from);

/*
 * Cuts the part before the next `separator` off *rest into *part_out. Returns false when *rest is used up
 * (its `at` is then NULL). "a,,b" gives "a", "", "b"; an empty slice with a non-NULL `at` gives one empty part.
 */
bool slice_cut(struct slice *rest, char separator, struct slice *part_out);

/* Where `c` is first (last), or SIZE_MAX, so that one more is where what is behind it begins: 0 where there is none. */
size_t slice_find(struct slice s, char c);
size_t slice_find_last(struct slice s, char c);

/* An unsigned decimal number, digits only. False on anything else, or above `max`. */
bool slice_to_u64(struct slice s, unsigned long long max, unsigned long long *number_out);
/* UNSAFE BYTES: writes the decimal digits of n at `to`, 20 at most, without a NUL; returns their end. Each request
 * needs some, for which printf costs too much. */
char *slice_put_u64(char *to, uint64_t n);

/* A new C string with the same bytes, the caller's to free; never NULL. A NUL within is the caller's matter. */
char *slice_dup(struct slice s);

/* The nearest of `count` names to `wrong` (edit distance at most a third of its length), or NULL. */
const char *slice_nearest(struct slice wrong, const char *const *names, size_t count);

#endif
