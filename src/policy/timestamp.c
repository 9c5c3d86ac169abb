/*
 * timestamp.c: see timestamp.h. RFC 3339 5.6 for the text form; leap seconds (":60") count as the next second.
 * Pure. Runs in: any thread.
 */
#include "policy/timestamp.h"
#include <time.h>

#define NS_PER_S INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)
/* The whole seconds (milliseconds) that nanoseconds in 63 bits can count. */
#define SECONDS_MAX (INT64_MAX / NS_PER_S - 1)
#define MILLISECONDS_MAX (INT64_MAX / NS_PER_MS - 1)

bool timestamp_unit_named(struct slice name, enum timestamp_unit *unit_out)
{
    static const char *const names[] = {[TIMESTAMP_SECONDS] = "s",
                                        [TIMESTAMP_MILLISECONDS] = "ms",
                                        [TIMESTAMP_RFC3339] = "rfc3339",
                                        [TIMESTAMP_ANY] = "any"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (slice_equal(name, slice_of(names[i]))) {
            *unit_out = (enum timestamp_unit)i;
            return true;
        }
    return false;
}

static bool parse_number(struct slice text, enum timestamp_unit unit, wall_t *time_out)
{
    unsigned long long n;
    if (!slice_to_u64(text, MILLISECONDS_MAX, &n))
        return false;
    bool seconds = unit == TIMESTAMP_SECONDS || (unit == TIMESTAMP_ANY && n <= SECONDS_MAX);
    if (seconds && n > SECONDS_MAX)
        return false;
    time_out->ns = (int64_t)n * (seconds ? NS_PER_S : NS_PER_MS);
    return true;
}

/* Takes exactly `digits` digits off the front, then `after` (0: nothing). */
static bool take_digits(struct slice *text, size_t digits, char after, int *number_out)
{
    unsigned long long n;
    size_t need = digits + (after != 0);
    if (text->len < need || !slice_to_u64((struct slice){text->at, digits}, 9999, &n))
        return false;
    if (after != 0 && text->at[digits] != after)
        return false;
    *number_out = (int)n;
    *text = slice_from(*text, need);
    return true;
}

/* ".123", any number of digits; those behind the ninth are dropped. */
static bool take_fraction(struct slice *text, int64_t *ns_out)
{
    *ns_out = 0;
    if (text->len == 0 || text->at[0] != '.')
        return true;
    size_t i = 1;
    for (int64_t worth = NS_PER_S / 10; i < text->len && text->at[i] >= '0' && text->at[i] <= '9'; i++, worth /= 10)
        *ns_out += (text->at[i] - '0') * worth;
    bool some = i > 1;
    *text = slice_from(*text, i);
    return some;
}

/* "Z" or "+hh:mm", to the end. */
static bool take_offset(struct slice text, int64_t *seconds_out)
{
    int hours, minutes;
    *seconds_out = 0;
    if (text.len == 1 && (text.at[0] == 'Z' || text.at[0] == 'z'))
        return true;
    if (text.len != 6 || (text.at[0] != '+' && text.at[0] != '-'))
        return false;
    int64_t sign = text.at[0] == '-' ? -1 : 1;
    text = slice_from(text, 1);
    if (!take_digits(&text, 2, ':', &hours) || !take_digits(&text, 2, 0, &minutes) || hours > 23 || minutes > 59)
        return false;
    *seconds_out = sign * (hours * 3600 + minutes * 60);
    return true;
}

static bool parse_rfc3339(struct slice text, wall_t *time_out)
{
    struct tm tm = {0};
    int64_t fraction, offset;
    if (text.len < 11 || (text.at[10] != 'T' && text.at[10] != 't' && text.at[10] != ' '))
        return false;
    char between = text.at[10];
    if (!take_digits(&text, 4, '-', &tm.tm_year) || !take_digits(&text, 2, '-', &tm.tm_mon) ||
        !take_digits(&text, 2, between, &tm.tm_mday) || !take_digits(&text, 2, ':', &tm.tm_hour) ||
        !take_digits(&text, 2, ':', &tm.tm_min) || !take_digits(&text, 2, 0, &tm.tm_sec) ||
        !take_fraction(&text, &fraction) || !take_offset(text, &offset))
        return false;
    if (tm.tm_year < 1970 || tm.tm_year > 2261 || tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 ||
        tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60)
        return false;
    int day = tm.tm_mday, leap = tm.tm_sec == 60;
    tm.tm_mon--;
    tm.tm_year -= 1900;
    tm.tm_sec -= leap;
    int64_t seconds = timegm(&tm) + leap; /* turns a 30 February into March, and tm with it */
    if (tm.tm_mday != day)
        return false;
    seconds -= offset;
    if (seconds < 0)
        return false;
    time_out->ns = seconds * NS_PER_S + fraction;
    return true;
}

bool timestamp_parse(struct slice text, enum timestamp_unit unit, wall_t *time_out)
{
    if (unit == TIMESTAMP_RFC3339)
        return parse_rfc3339(text, time_out);
    if (unit == TIMESTAMP_ANY && slice_find(text, '-') != SIZE_MAX)
        return parse_rfc3339(text, time_out);
    return parse_number(text, unit, time_out);
}
