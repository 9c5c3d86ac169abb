/*
 * limits_table.h: a table of rate limits as the area has it, for the tests of shm/limits; and moments.
 */
#ifndef CRESCENT_TESTS_LIMITS_TABLE_H
#define CRESCENT_TESTS_LIMITS_TABLE_H

#include "shm/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define MS INT64_C(1000000)

static struct limits *l;

/* As the area has it: pages that nobody touched take no memory. */
static inline int begin(void **state)
{
    l = mmap(NULL, sizeof(*l), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (l == MAP_FAILED)
        return -1;
    limits_seed(l);
    return 0;
}

static inline int end(void **state)
{
    return munmap(l, sizeof(*l));
}

/* Later than the real clock, which is asked when a cell in use would give way. */
static inline mono_t at(double ms)
{
    return (mono_t){(int64_t)(ms * 1e6) + INT64_C(1000000000000000000)};
}

/* Ten a second, five at once. */
static const struct limits_rate ten = {100 * MS, 500 * MS};

#endif
