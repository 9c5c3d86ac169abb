/*
 * date.h: the dates of HTTP header fields (RFC 9110 5.6.7), always UTC.
 * Pure. Runs in: any thread. Fails: what is no date is said to be none.
 */
#ifndef CRESCENT_CODEC_DATE_H
#define CRESCENT_CODEC_DATE_H

#include "base/slice.h"
#include <stdbool.h>
#include <stdint.h>

#define DATE_FIRST INT64_C(-62135596800) /* the year 1 begins */
#define DATE_LAST INT64_C(253402300799)  /* the last second of 9999 */
#define DATE_TEXT 29                     /* "Sun, 06 Nov 1994 08:49:37 GMT" */

/* Seconds since 1970, DATE_FIRST to DATE_LAST, as text with a NUL. */
void date_text(int64_t seconds, char text_out[DATE_TEXT + 1]);
/* All three forms that a recipient must read, of the years 1 to 9999; `now` (seconds) tells the century of the one with
 * two-digit years. */
bool date_parse(struct slice text, int64_t now, int64_t *seconds_out);

#endif
