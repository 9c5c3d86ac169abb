/*
 * time_factor.h: what tests multiply their bounds of time by: $CRESCENT_TIME_FACTOR, as in the end-to-end tests, or 1.
 */
#ifndef CRESCENT_TESTS_TIME_FACTOR_H
#define CRESCENT_TESTS_TIME_FACTOR_H

#include <stdlib.h>

static inline int time_factor(void)
{
    const char *text = getenv("CRESCENT_TIME_FACTOR");
    int factor = text != NULL ? atoi(text) : 1;
    return factor > 0 ? factor : 1;
}

#endif
