/*
 * form.h: application/x-www-form-urlencoded (WHATWG URL 5.1), query strings and cookies: names and values, decoded
 * once. Strict where the standard is lax: a broken percent-encoding is a fault with its position, never passed through.
 * Owns: the pairs' memory, in struct form_pairs. Runs in: any thread. Fails: -1 with the fault's offset.
 */
#ifndef CRESCENT_CODEC_FORM_H
#define CRESCENT_CODEC_FORM_H

#include "base/slice.h"
#include <stdbool.h>

struct form_pair {
    struct slice name, value;
};

struct form_pairs { /* in the order sent; born as {0} */
    struct form_pair *at;
    size_t count;
    char *bytes; /* what the slices point into */
};

#define FORM_PAIRS_MAX 1000 /* where nobody says otherwise */

struct form_fault {
    const char *what; /* static text */
    size_t offset;
    bool many; /* the fault is their number */
};

/* "a=1&b=%20x+y": '+' is a space. More than `most` pairs are a fault. */
int form_parse(struct slice text, size_t most, struct form_pairs *pairs_out, struct form_fault *fault_out);
/* A Cookie header's value (RFC 6265 4.2.1): "a=1; b=2"; values as sent but for surrounding double quotes. */
int form_parse_cookies(struct slice text, size_t most, struct form_pairs *pairs_out, struct form_fault *fault_out);
void form_free(struct form_pairs *pairs);
/* The first pair's value with this name; at == NULL when there is none. */
struct slice form_first(const struct form_pairs *pairs, struct slice name);
/* Decodes %XX in place semantics into out (room for text.len bytes); returns the length, or SIZE_MAX and the fault. */
size_t form_percent_decode(struct slice text, char *out, struct form_fault *fault_out);

#endif
