/*
 * httpc_stream.c: a reply that is handed on piece by piece, as fast as its consumer takes it. What it does not take yet
 * stays with the host, but for a piece, and as much packed as libcurl brings at once. See httpc_internal.h.
 */
#include "io/httpc_internal.h"

/* False: the consumer has ended the call; so it is in hand_over_data. */
static bool hand_over_header(struct httpc_call *call)
{
    struct httpc *c = call->client;
    call->told = true;
    call->reply.url = buf_slice(&call->url);
    call->reply.origin = buf_slice(&call->origin);
    httpc_deadline_silence(call);
    if (call->events.headers != NULL)
        call->events.headers(call, call->cookie);
    return c->current == call;
}

/* It cannot go on, whoever has it. */
static void break_off(struct httpc_call *call, CURLcode code)
{
    if (call->state != HTTPC_RUNNING) {
        httpc_outcome_of(call, code);
        return;
    }
    io_curl_remove(call->client->curl, call->easy);
    httpc_done(call, code);
}

/* What was held back, by us or by libcurl, which may bring the next piece at once. */
static void fetch(struct httpc_call *call)
{
    if (call->unpack_waits) {
        if (!httpc_unpack_on(call))
            break_off(call, CURLE_WRITE_ERROR);
        else if (call->state == HTTPC_OVER && call->reply.code == HTTPC_OK && !call->unpack_waits)
            httpc_unpack_end(call);
        return;
    }
    call->paused = false;
    CURLcode code = io_curl_resume(call->client->curl, call->easy);
    if (code != CURLE_OK)
        break_off(call, code);
}

bool httpc_stream_has_more(const struct httpc_call *call)
{
    return call->data.len > 0 || call->unpack_waits;
}

static bool hand_over_data(struct httpc_call *call)
{
    struct httpc *c = call->client;
    while (!call->held && (httpc_stream_has_more(call) || (call->paused && call->state == HTTPC_RUNNING))) {
        if (call->data.len == 0) {
            fetch(call);
            list_remove(&call->ready); /* whatever it brought is told here, and by deliver_one */
            continue;
        }
        struct slice piece = slice_from(buf_slice(&call->data), call->handed);
        piece.len = piece.len < HTTPC_PIECE ? piece.len : HTTPC_PIECE;
        bool more = call->events.data(call, piece, call->cookie);
        if (c->current != call)
            return false;
        call->handed += piece.len;
        if (call->handed == call->data.len) {
            buf_clear(&call->data);
            call->handed = 0;
        }
        call->held = !more;
        httpc_deadline_silence(call);
    }
    return true;
}

bool httpc_stream_hand_over(struct httpc_call *call)
{
    if (!call->told && call->reply.code == HTTPC_OK && !hand_over_header(call))
        return false;
    return hand_over_data(call);
}
