/*
 * fuzz_chunked.c: codec/chunked on any bytes, the first of which says how long the pieces are: whole, cut once anywhere
 * and in such pieces they mean the same, and what follows the body's end is left as it was.
 */
#include "base/buf.h"
#include "codec/chunked.h"
#include "fuzz.h"

struct outcome {
    ssize_t behind; /* of all bytes; or the fault */
    struct buf data;
};

/* As libh2o does: a piece is put behind what is decoded, and decoded there. Two lengths of pieces, each in its turn. */
static struct outcome decode(struct slice bytes, size_t first, size_t other)
{
    struct outcome o = {CHUNKED_MORE, {0}};
    struct chunked c = {0};
    while (bytes.len > 0 && o.behind == CHUNKED_MORE) {
        size_t len = first < bytes.len ? first : bytes.len;
        size_t before = o.data.len, size = len;
        buf_add(&o.data, bytes.at, len);
        o.behind = chunked_decode(&c, o.data.at + before, &size);
        CHECK(size <= len && c.aside <= CHUNKED_ASIDE + 1);
        o.data.len = before + size;
        bytes = slice_from(bytes, len);
        if (o.behind >= 0) {
            CHECK((size_t)o.behind <= len - size);
            CHECK(memcmp(o.data.at + o.data.len, bytes.at - o.behind, (size_t)o.behind) == 0);
            o.behind += (ssize_t)bytes.len;
        }
        first = other;
    }
    return o;
}

static void compare(struct slice bytes, const struct outcome *whole, size_t first, size_t other)
{
    struct outcome o = decode(bytes, first, other);
    CHECK(o.behind == whole->behind);
    CHECK(slice_equal(buf_slice(&o.data), buf_slice(&whole->data)));
    buf_free(&o.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct slice bytes = fuzz_copy(data + 1, size - 1);
    struct outcome whole = decode(bytes, bytes.len, 1);
    compare(bytes, &whole, (size_t)data[0] + 1, (size_t)data[0] + 1);
    compare(bytes, &whole, 1, 1);
    for (size_t cut = 1; cut<bytes.len; cut += cut> 600 ? 97 : 1)
        compare(bytes, &whole, cut, bytes.len);
    buf_free(&whole.data);
    free((void *)bytes.at);
    return 0;
}
