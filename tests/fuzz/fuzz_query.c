/*
 * fuzz_query.c: codec/form on any bytes: a query string, an urlencoded form. What is accepted is decoded within the
 * bounds, and the percent-decoder agrees with it.
 */
#include "base/panic.h"
#include "codec/form.h"
#include "fuzz.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = fuzz_copy(data, size);
    struct form_pairs pairs = {0};
    struct form_fault fault = {0};
    if (form_parse(text, FORM_PAIRS_MAX, &pairs, &fault) == 0) {
        size_t total = 0;
        CHECK(pairs.count <= FORM_PAIRS_MAX);
        for (size_t i = 0; i < pairs.count; i++) {
            total += fuzz_touch(pairs.at[i].name) + fuzz_touch(pairs.at[i].value);
            CHECK(form_first(&pairs, pairs.at[i].name).at != NULL);
        }
        CHECK(total <= size); /* decoding never makes it longer */
        form_free(&pairs);
    } else {
        CHECK(fault.what != NULL && fault.offset <= size);
    }
    char *room = need_alloc(size + 1);
    size_t len = form_percent_decode(text, room, &fault);
    CHECK(len == SIZE_MAX || len <= size);
    free(room);
    free((void *)text.at);
    return 0;
}
