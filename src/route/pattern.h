/*
 * pattern.h: "/orders/:id" (and a catch-all "*rest" at the end) → segments, and what is allowed in one. Used by the
 * router and by route_of_file.
 * Owns nothing: segments are slices of the pattern. Runs in: any thread, pure. Fails: with words.
 */
#ifndef CRESCENT_ROUTE_PATTERN_H
#define CRESCENT_ROUTE_PATTERN_H

#include "base/error.h"
#include "base/slice.h"

#define PATTERN_SEGMENTS_MAX 64

enum pattern_kind { PATTERN_STATIC, PATTERN_PARAM, PATTERN_REST };

struct pattern_segment {
    enum pattern_kind kind;
    struct slice text; /* the words of a static one, the name of the others */
};

struct pattern {
    struct pattern_segment segments[PATTERN_SEGMENTS_MAX];
    size_t count; /* 0: "/" */
};

/* Reads a pattern that outlives p. A trailing slash is ignored. 0, or -1 with words that quote the pattern. */
int pattern_parse(const char *text, struct pattern *p, struct error *err);
/* Whether it can be a parameter's name: letters, digits and '_', not beginning with a digit. */
bool pattern_name_ok(struct slice name);
/* Whether two patterns match the same paths: same kinds, same static words; names do not count. */
bool pattern_same_shape(const struct pattern *a, const struct pattern *b);

#endif
