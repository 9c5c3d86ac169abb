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
    error_set(&words, "%s %.*s%s", text, SLICE_SHOWN(what, 80));
    httpc_outcome_set(call, HTTPC_BAD_RESPONSE, words.text);
    call->stop = HTTPC_STOP_CODING;
    return false;
}

/* At the first bytes. False: a coding that was not asked for. */
static bool begin(struct httpc_call *call, struct slice bytes)
{
    struct slice coding = httpc_header(call->reply.head, SLICE("content-encoding"));
    if (call->codings > 1) /* as in one field, with commas: packed more than once (RFC 9110 5.3, 8.4) */
        return fail(call, "its codings were not asked for: several, first", coding);
    if (slice_equal_nocase(coding, SLICE("gzip")) || slice_equal_nocase(coding, SLICE("x-gzip")))
        call->unpack = inflate_open(INFLATE_GZIP, bytes);
    else if (slice_equal_nocase(coding, SLICE("deflate")))
        call->unpack = inflate_open(INFLATE_DEFLATE, bytes);
    else if (!slice_equal_nocase(coding, SLICE("identity")))
        return fail(call, "its coding was not asked for:", coding);
    return true;
}

/* What was fed, until it is used up, or, streamed, until there is a piece to hand over. */
static bool unpack(struct httpc_call *call)
{
    char room[16384];
    size_t len = 0;
    enum inflate_code code = INFLATE_MORE;
    call->unpack_waits = false;
    while (code == INFLATE_MORE && !call->unpack_waits) {
        code = inflate_read(call->unpack, room, sizeof(room), &len);
        if (len > 0 && !httpc_handle_take(call, (struct slice){room, len}))
            return false;
        call->unpack_waits = code == INFLATE_MORE && httpc_is_streamed(call) && call->data.len >= HTTPC_PIECE;
    }
    call->unpacked = code == INFLATE_DONE;
    if (call->unpack_waits || code == INFLATE_DONE || code == INFLATE_TRUNCATED)
        return true;
    return fail(call, "its compressed body", slice_of(inflate_words(code)));
}

/* The bytes that were fed are gone after this. */
static void keep_rest(struct httpc_call *call)
{
    struct slice rest = inflate_leave(call->unpack);
    buf_clear(&call->packed);
    buf_add_slice(&call->packed, rest);
}

bool httpc_unpack(struct httpc_call *call, struct slice bytes)
{
    if (!call->reply.unpacked || bytes.len == 0)
        return httpc_handle_take(call, bytes);
    if (call->unpack != NULL)
        inflate_feed(call->unpack, bytes);
    else if (!begin(call, bytes))
        return false;
    if (call->unpack == NULL)
        return httpc_handle_take(call, bytes);
    if (!unpack(call))
        return false;
    if (call->unpack_waits)
        keep_rest(call);
    return true;
}

bool httpc_unpack_on(struct httpc_call *call)
{
    struct slice bytes = buf_slice(&call->packed);
    inflate_feed(call->unpack, bytes);
    if (!unpack(call))
        return false;
    if (call->unpack_waits)
        buf_drop(&call->packed, bytes.len - inflate_leave(call->unpack).len);
    return true;
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
    buf_free(&call->packed);
    call->unpacked = call->unpack_waits = false;
}
