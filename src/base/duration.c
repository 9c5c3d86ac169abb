/*
 * duration.c: spelling of durations and sizes. See duration.h.
 */
#include "base/duration.h"
#include "base/ascii.h"
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>

struct unit {
    struct slice name;
    uint64_t worth;
};

static const struct unit spans[] = {{SLICE("ms"), 1000000ull},       {SLICE("s"), 1000000000ull},
                                    {SLICE("m"), 60000000000ull},    {SLICE("h"), 3600000000000ull},
                                    {SLICE("d"), 86400000000000ull}, {SLICE(""), 1000000000ull}};
static const struct unit sizes[] = {
    {SLICE("KiB"), 1024}, {SLICE("MiB"), 1 << 20}, {SLICE("GiB"), 1 << 30}, {SLICE("B"), 1}, {SLICE(""), 1}};

/* Splits "12.5ms" into 12, .5 as a fraction of 10^digits, and the unit. */
static bool split(struct slice text, uint64_t *whole_out, uint64_t *fraction_out, uint64_t *scale_out,
                  struct slice *unit_out)
{
    size_t at = 0;
    unsigned long long whole, fraction = 0;
    while (at < text.len && ascii_is_digit(text.at[at]))
        at++;
    if (!slice_to_u64((struct slice){text.at, at}, INT64_MAX, &whole))
        return false;
    *scale_out = 1;
    if (at < text.len && text.at[at] == '.') {
        size_t start = ++at;
        while (at < text.len && ascii_is_digit(text.at[at]) && at - start < 9)
            *scale_out *= 10, at++;
        if (!slice_to_u64((struct slice){text.at + start, at - start}, INT64_MAX, &fraction))
            return false;
    }
    *whole_out = whole;
    *fraction_out = fraction;
    *unit_out = slice_from(text, at);
    return true;
}

static bool scale(struct slice text, const struct unit *units, size_t count, bool fractions, int64_t *value_out)
{
    uint64_t whole, fraction, divisor;
    struct slice name;
    if (!split(text, &whole, &fraction, &divisor, &name) || (divisor != 1 && !fractions))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!slice_equal(name, units[i].name))
            continue;
        __int128 value = (__int128)whole * units[i].worth + (__int128)fraction * units[i].worth / divisor;
        if (value > INT64_MAX)
            return false;
        *value_out = (int64_t)value;
        return true;
    }
    return false;
}

bool duration_parse(struct slice text, dur_t *duration_out)
{
    return scale(text, spans, sizeof(spans) / sizeof(spans[0]), true, &duration_out->ns);
}

bool duration_parse_size(struct slice text, size_t *bytes_out)
{
    int64_t bytes;
    if (!scale(text, sizes, sizeof(sizes) / sizeof(sizes[0]), false, &bytes))
        return false;
    *bytes_out = (size_t)bytes;
    return true;
}

/* The largest unit that divides the value, from the largest down; the last one named divides everything. */
static const char *spell(uint64_t value, const struct unit *units, const int *order, size_t count, char room[32])
{
    size_t i = 0;
    while (i + 1 < count && (value == 0 || value % units[order[i]].worth != 0))
        i++;
    const struct unit *unit = &units[order[i]];
    snprintf(room, 32, "%" PRIu64 "%.*s", value / unit->worth, SLICE_ARG(unit->name));
    return room;
}

const char *duration_text(dur_t d, char room[32])
{
    static const int order[] = {4, 3, 2, 1, 0};
    uint64_t ns = d.ns > 0 ? (uint64_t)d.ns : 0;
    if (ns % 1000000 != 0) { /* finer than a unit goes: as a fraction of a millisecond */
        snprintf(room, 32, "%" PRIu64 ".%06" PRIu64 "ms", ns / 1000000, ns % 1000000);
        return room;
    }
    return spell(ns, spans, order, 5, room);
}

const char *duration_size_text(size_t bytes, char room[32])
{
    static const int order[] = {2, 1, 0, 3};
    return spell(bytes, sizes, order, 4, room);
}
