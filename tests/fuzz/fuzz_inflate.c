/*
 * fuzz_inflate.c: http/content and codec/inflate on any bytes: a Content-Encoding in the first line, the body behind
 * it. What comes out is within the bound and is counted while it is held; a fault has a status and words.
 */
#include "base/panic.h"
#include "fuzz.h"
#include "http/content.h"
#include <stdlib.h>

#define BOUND ((size_t)64 << 10)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct area area; /* large, and the same for all */
    struct slice whole = fuzz_copy(data, size), rest = whole;
    struct http_header header = {SLICE("content-encoding"), fuzz_part(&rest, '\n')};
    struct slice body = fuzz_copy((const uint8_t *)rest.at, rest.len);
    struct http_request view = {.headers = &header, .header_count = 1, .body = body};
    struct content content = {.state = CONTENT_UNREAD};
    struct body_memory memory;
    body_memory_open(&memory, &area, 0, 4 * BOUND);
    if (content_read(&content, &view, BOUND, &memory, 7) == 0) {
        struct slice bytes = content_bytes(&content, &view);
        fuzz_touch(bytes);
        CHECK(content.state == CONTENT_PLAIN || (bytes.len <= BOUND && memory.own >= bytes.len));
        CHECK(content.charge.kib == (memory.own + 1023) >> 10);
    } else {
        CHECK(content.status >= 400 && content.words[0] != '\0' && memory.own == 0 && content.charge.kib == 0);
    }
    content_free(&content);
    CHECK(memory.own == 0);
    free((void *)body.at);
    free((void *)whole.at);
    return 0;
}
