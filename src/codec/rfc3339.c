/*
 * rfc3339.c: see rfc3339.h.
 */
#include "codec/rfc3339.h"
#include "base/ascii.h"
#include "base/panic.h"
#include <stdio.h>
#include <time.h>

#define NS_PER_S 1000000000

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

/* ".123", any number of digits. */
static bool take_fraction(struct slice *text, int32_t *ns_out)
{
    *ns_out = 0;
    if (text->len == 0 || text->at[0] != '.')
        return true;
    size_t i = 1;
    for (int32_t worth = NS_PER_S / 10; i < text->len && ascii_is_digit(text->at[i]); i++, worth /= 10)
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

bool rfc3339_parse(struct slice text, int64_t *seconds_out, int32_t *ns_out)
{
    struct tm tm = {0};
    int64_t offset;
    if (text.len < 11 || (text.at[10] != 'T' && text.at[10] != 't' && text.at[10] != ' '))
        return false;
    char between = text.at[10];
    if (!take_digits(&text, 4, '-', &tm.tm_year) || !take_digits(&text, 2, '-', &tm.tm_mon) ||
        !take_digits(&text, 2, between, &tm.tm_mday) || !take_digits(&text, 2, ':', &tm.tm_hour) ||
        !take_digits(&text, 2, ':', &tm.tm_min) || !take_digits(&text, 2, 0, &tm.tm_sec) ||
        !take_fraction(&text, ns_out) || !take_offset(text, &offset))
        return false;
    if (tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60)
        return false;
    int day = tm.tm_mday, leap = tm.tm_sec == 60;
    tm.tm_mon--;
    tm.tm_year -= 1900;
    tm.tm_sec -= leap;
    *seconds_out = (int64_t)timegm(&tm) + leap - offset; /* turns a 30 February into March, and tm with it */
    return tm.tm_mday == day;
}

void rfc3339_text(int64_t seconds, unsigned ms, char text_out[RFC3339_TEXT + 1])
{
    time_t t = (time_t)seconds;
    struct tm tm;
    CHECK(seconds >= RFC3339_FIRST && seconds <= RFC3339_LAST && ms < 1000 && gmtime_r(&t, &tm) != NULL);
    int len =
        snprintf(text_out, RFC3339_TEXT + 1, "%04u-%02u-%02uT%02u:%02u:%02u", (unsigned)(tm.tm_year + 1900) % 10000,
                 (unsigned)(tm.tm_mon + 1) % 100, (unsigned)tm.tm_mday % 100, (unsigned)tm.tm_hour % 100,
                 (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
    if (ms != 0)
        len += snprintf(text_out + len, RFC3339_TEXT + 1 - (size_t)len, ".%03u", ms % 1000);
    snprintf(text_out + len, RFC3339_TEXT + 1 - (size_t)len, "Z");
}
