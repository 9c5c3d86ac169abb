/*
 * fuzz_cookie.c: codec/form on any bytes as a Cookie header: what comes out lies within what came in.
 */
#include "codec/form.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = fuzz_copy(data, size);
    struct form_pairs pairs = {0};
    struct form_fault fault = {0};
    if (form_parse_cookies(text, FORM_PAIRS_MAX, &pairs, &fault) == 0) {
        size_t total = 0;
        CHECK(pairs.count <= FORM_PAIRS_MAX);
        for (size_t i = 0; i < pairs.count; i++)
            total += fuzz_touch(pairs.at[i].name) + fuzz_touch(pairs.at[i].value);
        CHECK(total <= size);
        form_free(&pairs);
    } else {
        CHECK(fault.what != NULL && fault.offset <= size);
    }
    free((void *)text.at);
    return 0;
}
