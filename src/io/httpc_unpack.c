/*
 * httpc_unpack.c: a reply's Content-Encoding undone as it comes: gzip and deflate. Not left to libcurl, which takes a
 * text that ends too early for a whole one. Owns: zlib's state, from the first byte of a packed body to the reply's
 * end.
 */
#include "codec/inflate.h"
#include "io/httpc_internal.h"
#include <stdio.h>

static bool fail(struct httpc_call *call, const char *text, struct slice what)
{
    struct error words;
    error_set(&words, "%s %.*s", text, what.len > 80 ? 80 : (int)what.len, what.at);
    httpc_outcome_set(call, HTTPC_BAD_RESPONSE, words.text);
    call->stop = HTTPC_STOP_CODING;
    return false;
}

/* At the first bytes. False: a coding that was not asked for. */
static bool begin(struct httpc_call *call, struct slice bytes)
{
    struct slice coding = httpc_header(call->reply.head, SLICE("content-encoding"));
    if (slice_equal_nocase(coding, SLICE("gzip")) || slice_equal_nocase(coding, SLICE("x-gzip")))
        call->unpack = inflate_open(INFLATE_GZIP, bytes);
    else if (slice_equal_nocase(coding, SLICE("deflate")))
        call->unpack = inflate_open(INFLATE_DEFLATE, bytes);
    else if (!slice_equal_nocase(coding, SLICE("identity")))
        return fail(call, "its coding was not asked for:", coding);
    return true;
}

bool httpc_unpack(struct httpc_call *call, struct slice bytes, bool (*take)(struct httpc_call *, struct slice))
{
    char room[16384];
    size_t len = 0;
    enum inflate_code code = INFLATE_MORE;
    if (!call->reply.unpacked || bytes.len == 0)
        return take(call, bytes);
    if (call->unpack != NULL)
        inflate_feed(call->unpack, bytes);
    else if (!begin(call, bytes))
        return false;
    if (call->unpack == NULL)
        return take(call, bytes);
    while (code == INFLATE_MORE) {
        code = inflate_read(call->unpack, room, sizeof(room), &len);
        if (len > 0 && !take(call, (struct slice){room, len}))
            return false;
    }
    call->unpacked = code == INFLATE_DONE;
    if (code == INFLATE_DONE || code == INFLATE_TRUNCATED)
        return true;
    return fail(call, "its compressed body", slice_of(inflate_words(code)));
}

int httpc_unpack_end(struct httpc_call *call)
{
    if (call->unpack == NULL || call->unpacked)
        return 0;
    fail(call, "its compressed body", slice_of(inflate_words(INFLATE_TRUNCATED)));
    return -1;
}

void httpc_unpack_free(struct httpc_call *call)
{
    inflate_close(&call->unpack);
    call->unpacked = false;
}
