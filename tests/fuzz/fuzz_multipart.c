/*
 * fuzz_multipart.c: codec/multipart on any bytes: a Content-Type in the first line, the body behind it. Parts lie in
 * the body, one behind the other, each before a boundary; bare names are harmless; a fault has words and a place.
 */
#include "base/panic.h"
#include "codec/filename.h"
#include "codec/multipart.h"
#include "codec/utf8.h"
#include "fuzz.h"
#include <stdlib.h>

static void check_bare(struct slice name)
{
    CHECK(name.len > 0 && name.len <= FILENAME_BARE_MAX && utf8_valid(name) == name.len);
    for (size_t i = 0; i < name.len; i++)
        CHECK((unsigned char)name.at[i] >= 0x20 && name.at[i] != '/' && name.at[i] != '\\');
    CHECK(name.at[0] != '.' && name.at[0] != ' ' && name.at[name.len - 1] != '.' && name.at[name.len - 1] != ' ');
}

static void check_parts(struct slice body, struct slice boundary, const struct multipart *parts)
{
    size_t end = 0;
    CHECK(parts->count <= MULTIPART_PARTS);
    for (size_t i = 0; i < parts->count; i++) {
        const struct multipart_part *p = &parts->at[i];
        CHECK(p->name.at != NULL && fuzz_touch(p->name) <= MULTIPART_NAME);
        CHECK(fuzz_touch(p->filename_raw) <= MULTIPART_NAME);
        fuzz_touch(p->type);
        CHECK(p->filename.at == NULL || p->filename_raw.at != NULL);
        if (p->filename.at != NULL)
            check_bare(p->filename);
        CHECK(p->offset >= end && p->offset + p->size <= body.len);
        end = p->offset + p->size;
        struct slice next = slice_from(body, end);
        CHECK(slice_starts(next, SLICE("\r\n--")) && slice_starts(slice_from(next, 4), boundary));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice whole = fuzz_copy(data, size), rest = whole;
    struct slice type = fuzz_part(&rest, '\n'), boundary;
    char room[MULTIPART_BOUNDARY];
    const char *why = NULL;
    if (multipart_boundary(type, room, &boundary, &why) != 0) {
        CHECK(why != NULL);
        boundary = SLICE("b");
    }
    struct slice body = fuzz_copy((const uint8_t *)rest.at, rest.len);
    struct multipart parts;
    struct multipart_fault fault = {0};
    if (multipart_parse(body, boundary, MULTIPART_PARTS, &parts, &fault) == 0)
        check_parts(body, boundary, &parts);
    else
        CHECK(fault.what != NULL && fault.offset <= body.len && parts.count == 0);
    multipart_free(&parts);
    free((void *)body.at);
    free((void *)whole.at);
    return 0;
}
