/*
 * fuzz_conditional.c: conditions and ranges of a request for a file, one header field a line behind the file's size:
 * the answer is one of those there are, a range lies within the file, and dates are read back as they are written.
 */
#include "codec/date.h"
#include "fuzz.h"
#include "http/conditional.h"

#define FIELDS 8

static void check_date(struct slice value)
{
    int64_t seconds, again;
    char text[DATE_TEXT + 1];
    if (!date_parse(value, 1700000000, &seconds))
        return;
    date_text(seconds, text);
    CHECK(date_parse(slice_of(text), 1700000000, &again) && again == seconds);
}

static void check_status(int status, const struct conditional_range *range, unsigned long long size)
{
    CHECK(status == 200 || status == 206 || status == 304 || status == 412 || status == 416);
    if (status == 200)
        CHECK(range->first == 0 && range->count == size);
    if (status == 206)
        CHECK(range->count > 0 && range->first < size && range->count <= size - range->first);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"if-match", "if-none-match", "if-modified-since", "if-unmodified-since",
                                        "if-range", "range"};
    struct slice whole = fuzz_copy(data, size), rest = whole, head = fuzz_part(&rest, '\n');
    struct http_header headers[FIELDS];
    struct http_request req = {.method = SLICE("GET"), .headers = headers};
    struct conditional_facts facts = {.etag = SLICE("\"a-1\""), .modified = 784111777};
    if (!slice_to_u64(head, UINT64_MAX, &facts.size))
        facts.size = 10;
    while (rest.len > 0 && req.header_count < FIELDS) {
        struct slice line = fuzz_part(&rest, '\n');
        if (line.len == 0)
            continue;
        headers[req.header_count].name = slice_of(names[(unsigned char)line.at[0] % 6]);
        headers[req.header_count++].value = slice_from(line, 1);
        check_date(slice_from(line, 1));
    }
    struct conditional_range range = {0, 0};
    check_status(conditional_status(&req, &facts, &range), &range, facts.size);
    free((void *)whole.at);
    return 0;
}
