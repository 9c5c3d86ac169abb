/*
 * fuzz.h: what the fuzz targets share. An input is copied to a block of exactly its size, so that the sanitizer sees
 * the first byte read beyond it.
 */
#ifndef CRESCENT_TESTS_FUZZ_H
#define CRESCENT_TESTS_FUZZ_H

#include "base/panic.h"
#include "base/slice.h"
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The caller frees its `at`. */
static inline struct slice fuzz_copy(const uint8_t *data, size_t size)
{
    char *copy = need_alloc(size > 0 ? size : 1);
    if (size > 0)
        memcpy(copy, data, size);
    return (struct slice){copy, size};
}

/* Reads every byte of it. Returns its length. */
static inline size_t fuzz_touch(struct slice s)
{
    volatile char sum = 0;
    for (size_t i = 0; i < s.len; i++)
        sum = (char)(sum + s.at[i]);
    return s.len;
}

/* Cuts the part before the first byte `mark` off *rest: inputs of several texts. Without one: all of it. */
static inline struct slice fuzz_part(struct slice *rest, char mark)
{
    size_t at = slice_find(*rest, mark);
    struct slice part = {rest->at, at == SIZE_MAX ? rest->len : at};
    *rest = slice_from(*rest, at == SIZE_MAX ? rest->len : at + 1);
    return part;
}

#endif
