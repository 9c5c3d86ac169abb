/*
 * fuzz_provider.c: a provider's data (one field a line): any of it makes a scheme or is refused with words, and a
 * scheme that was made can be asked.
 */
#include "fuzz.h"
#include "policy/event_type.h"
#include "policy/scheme.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice all = fuzz_copy(data, size), rest = all;
    struct scheme_spec spec = {.name = "fuzzed"};
    struct slice flags = fuzz_part(&rest, '\n'), secret;
    struct error err = {""};
    unsigned char flag[8] = {0};
    memcpy(flag, flags.at, flags.len < sizeof(flag) ? flags.len : sizeof(flag));
    spec.header_count = 1 + flag[0] % SCHEME_HEADERS_MAX;
    spec.list = "\0 ,;"[flag[1] % 4];
    spec.pairs = "\0,;"[flag[2] % 3];
    spec.encoding = (enum scheme_encoding)(flag[3] % 3);
    spec.key.form = (enum scheme_key_form)(flag[4] % 3);
    spec.key.bare = (enum scheme_key_form)(flag[5] % 3);
    spec.timestamp.unit = (enum timestamp_unit)(flag[6] % 4);
    spec.timestamp.past = DUR_S(flag[7]);
    for (size_t i = 0; i < spec.header_count; i++)
        spec.headers[i] = fuzz_part(&rest, '\n');
    spec.field = fuzz_part(&rest, '\n');
    spec.prefix = fuzz_part(&rest, '\n');
    spec.payload = fuzz_part(&rest, '\n');
    spec.key.prefix = fuzz_part(&rest, '\n');
    spec.timestamp.at = fuzz_part(&rest, '\n');
    secret = fuzz_part(&rest, '\n');
    struct scheme *s = scheme_new(&spec, &err);
    if (s != NULL) {
        struct http_header header = {spec.headers[0], fuzz_part(&rest, '\n')};
        struct http_request request = {.method = SLICE("POST"),
                                       .path = SLICE("/"),
                                       .raw_path = SLICE("/"),
                                       .body = rest,
                                       .headers = &header,
                                       .header_count = 1};
        int index;
        if (scheme_keys_add(s, scheme_own_keys(s), secret, &err) != 0)
            CHECK(err.text[0] != '\0');
        scheme_check(s, scheme_own_keys(s), &request, (wall_t){1700000000LL * 1000000000}, &index);
        scheme_free(&s);
    } else {
        CHECK(err.text[0] != '\0');
    }
    char *place = slice_dup(spec.timestamp.at);
    event_type_check(place, &err);
    free(place);
    free((void *)all.at);
    return 0;
}
