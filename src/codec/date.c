/*
 * date.c: see date.h. No strptime: that one speaks the locale's language.
 */
#include "codec/date.h"
#include "base/panic.h"
#include <stdio.h>
#include <time.h>

static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char *const long_days[7] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

void date_text(int64_t seconds, char text_out[DATE_TEXT + 1])
{
    time_t t = (time_t)seconds;
    struct tm tm;
    CHECK(seconds >= DATE_FIRST && seconds <= DATE_LAST && gmtime_r(&t, &tm) != NULL);
    snprintf(text_out, DATE_TEXT + 1, "%s, %02u %s %04u %02u:%02u:%02u GMT", days[tm.tm_wday % 7],
             (unsigned)tm.tm_mday % 100u, months[tm.tm_mon % 12], (unsigned)(tm.tm_year + 1900) % 10000u,
             (unsigned)tm.tm_hour % 100u, (unsigned)tm.tm_min % 100u, (unsigned)tm.tm_sec % 100u);
}

/* --- reading: each takes from the front of *s, and says whether it could ---------------------------------------- */

static bool literal(struct slice *s, const char *text)
{
    struct slice wanted = slice_of(text);
    if (!slice_starts(*s, wanted))
        return false;
    *s = slice_from(*s, wanted.len);
    return true;
}

static bool digits(struct slice *s, size_t count, int *number_out)
{
    *number_out = 0;
    if (s->len < count)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (s->at[i] < '0' || s->at[i] > '9')
            return false;
        *number_out = *number_out * 10 + (s->at[i] - '0');
    }
    *s = slice_from(*s, count);
    return true;
}

static bool month(struct slice *s, struct tm *tm)
{
    for (tm->tm_mon = 0; tm->tm_mon < 12; tm->tm_mon++)
        if (literal(s, months[tm->tm_mon]))
            return true;
    return false;
}

static bool clock_time(struct slice *s, struct tm *tm)
{
    return digits(s, 2, &tm->tm_hour) && literal(s, ":") && digits(s, 2, &tm->tm_min) && literal(s, ":") &&
           digits(s, 2, &tm->tm_sec);
}

static bool year(struct slice *s, struct tm *tm)
{
    bool read = digits(s, 4, &tm->tm_year);
    tm->tm_year -= 1900;
    return read;
}

/* " 06 Nov 1994 08:49:37 GMT" behind "Sun," */
static bool rest_of_fixdate(struct slice s, struct tm *tm)
{
    return literal(&s, " ") && digits(&s, 2, &tm->tm_mday) && literal(&s, " ") && month(&s, tm) && literal(&s, " ") &&
           year(&s, tm) && literal(&s, " ") && clock_time(&s, tm) && literal(&s, " GMT") && s.len == 0;
}

/* " Nov  6 08:49:37 1994" behind "Sun" */
static bool rest_of_asctime(struct slice s, struct tm *tm)
{
    return literal(&s, " ") && month(&s, tm) && literal(&s, " ") &&
           (literal(&s, " ") ? digits(&s, 1, &tm->tm_mday) : digits(&s, 2, &tm->tm_mday)) && literal(&s, " ") &&
           clock_time(&s, tm) && literal(&s, " ") && year(&s, tm) && s.len == 0;
}

/* ", 06-Nov-94 08:49:37 GMT" behind "Sunday" */
static bool rest_of_rfc850(struct slice s, int64_t now, struct tm *tm)
{
    struct tm today;
    time_t t = (time_t)now;
    if (!(literal(&s, ", ") && digits(&s, 2, &tm->tm_mday) && literal(&s, "-") && month(&s, tm) && literal(&s, "-") &&
          digits(&s, 2, &tm->tm_year) && literal(&s, " ") && clock_time(&s, tm) && literal(&s, " GMT") && s.len == 0) ||
        gmtime_r(&t, &today) == NULL)
        return false;
    int century = today.tm_year / 100 * 100;
    tm->tm_year += century;
    if (tm->tm_year > today.tm_year + 50) /* RFC 9110 5.6.7: more than 50 years ahead is the past */
        tm->tm_year -= 100;
    return true;
}

static bool read_any(struct slice text, int64_t now, struct tm *tm)
{
    for (int i = 0; i < 7; i++) {
        struct slice rest = text;
        if (literal(&rest, long_days[i]))
            return rest_of_rfc850(rest, now, tm);
        if (literal(&rest, days[i]))
            return literal(&rest, ",") ? rest_of_fixdate(rest, tm) : rest_of_asctime(rest, tm);
    }
    return false;
}

static int days_of(int year, int mon)
{
    static const int count[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return mon == 1 && leap ? 29 : count[mon];
}

bool date_parse(struct slice text, int64_t now, int64_t *seconds_out)
{
    struct tm tm = {0};
    if (!read_any(text, now, &tm) || tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60 || tm.tm_mday < 1 ||
        tm.tm_mday > days_of(tm.tm_year + 1900, tm.tm_mon))
        return false;
    *seconds_out = (int64_t)timegm(&tm);
    return *seconds_out >= DATE_FIRST && *seconds_out <= DATE_LAST; /* a year 0; a leap second at the very end */
}
