/*
 * slice.c: what can be done with borrowed bytes. Pure; see slice.h.
 */
#include "base/slice.h"
#include "base/ascii.h"
#include "base/panic.h"
#include <stdint.h>
#include <stdlib.h>

static unsigned char lower(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

bool slice_equal_nocase(struct slice a, struct slice b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower(a.at[i]) != lower(b.at[i]))
            return false;
    return true;
}

bool slice_starts(struct slice s, struct slice prefix)
{
    return s.len >= prefix.len && slice_equal((struct slice){s.at, prefix.len}, prefix);
}

bool slice_ends(struct slice s, struct slice suffix)
{
    return s.len >= suffix.len && slice_equal(slice_from(s, s.len - suffix.len), suffix);
}

struct slice slice_trim(struct slice s)
{
    while (s.len > 0 && (s.at[0] == ' ' || s.at[0] == '\t'))
        s = (struct slice){s.at + 1, s.len - 1};
    while (s.len > 0 && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t'))
        s.len--;
    return s;
}

struct slice slice_from(struct slice s, size_t from)
{
    if (from >= s.len)
        return (struct slice){s.at != NULL ? s.at + s.len : NULL, 0};
    return (struct slice){s.at + from, s.len - from};
}

bool slice_cut(struct slice *rest, char separator, struct slice *part_out)
{
    if (rest->at == NULL)
        return false;
    size_t end = slice_find(*rest, separator);
    if (end == SIZE_MAX) {
        *part_out = *rest;
        *rest = SLICE_NONE;
    } else {
        *part_out = (struct slice){rest->at, end};
        *rest = (struct slice){rest->at + end + 1, rest->len - end - 1};
    }
    return true;
}

size_t slice_find(struct slice s, char c)
{
    const char *found = s.len > 0 ? memchr(s.at, c, s.len) : NULL;
    return found != NULL ? (size_t)(found - s.at) : SIZE_MAX;
}

size_t slice_find_last(struct slice s, char c)
{
    const char *found = s.len > 0 ? memrchr(s.at, c, s.len) : NULL;
    return found != NULL ? (size_t)(found - s.at) : SIZE_MAX;
}

bool slice_to_u64(struct slice s, unsigned long long max, unsigned long long *number_out)
{
    unsigned long long n = 0;
    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (!ascii_is_digit(s.at[i]))
            return false;
        unsigned digit = (unsigned)(s.at[i] - '0');
        if (n > (UINT64_MAX - digit) / 10)
            return false;
        n = n * 10 + digit;
    }
    if (n > max)
        return false;
    *number_out = n;
    return true;
}

char *slice_dup(struct slice s)
{
    char *copy = need_alloc(s.len + 1);
    if (s.len > 0)
        memcpy(copy, s.at, s.len);
    copy[s.len] = '\0';
    return copy;
}

/* Edits (insert, delete, replace, ignoring case) that make `a` into `b`; rows of at most 64 columns, longer is far. */
static size_t edit_distance(struct slice a, struct slice b)
{
    size_t row[65];
    if (a.len > 64 || b.len > 64)
        return SIZE_MAX;
    for (size_t j = 0; j <= b.len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t replace = diagonal + (lower(a.at[i - 1]) != lower(b.at[j - 1]));
            size_t change = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = replace < change ? replace : change;
        }
    }
    return row[b.len];
}

const char *slice_nearest(struct slice wrong, const char *const *names, size_t count)
{
    const char *best = NULL;
    size_t least = wrong.len / 3 + 1;
    for (size_t i = 0; i < count; i++) {
        size_t distance = edit_distance(wrong, slice_of(names[i]));
        if (distance <= least && (best == NULL || distance < least)) {
            best = names[i];
            least = distance;
        }
    }
    return best;
}

char *slice_put_u64(char *to, uint64_t n)
{
    char digits[20];
    size_t count = 0;
    do {
        digits[count++] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    while (count > 0)
        *to++ = digits[--count];
    return to;
}
