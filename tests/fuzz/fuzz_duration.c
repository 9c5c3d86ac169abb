/*
 * fuzz_duration.c: sizes and durations: what is read can be spelled, and the spelling reads back as the same.
 */
#include "base/duration.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = fuzz_copy(data, size);
    char room[32];
    dur_t d, again;
    size_t bytes, bytes_again;
    if (duration_parse(text, &d)) {
        CHECK(d.ns >= 0);
        CHECK(duration_parse(slice_of(duration_text(d, room)), &again) && again.ns == d.ns);
    }
    if (duration_parse_size(text, &bytes))
        CHECK(duration_parse_size(slice_of(duration_size_text(bytes, room)), &bytes_again) && bytes_again == bytes);
    free((void *)text.at);
    return 0;
}
