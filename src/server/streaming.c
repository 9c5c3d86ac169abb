/*
 * streaming.c: see streaming.h. However it ends, `leave` comes first: from then on the writer is not told anything, and
 * the exchange is one whose answer is on its way out.
 */
#include "server/streaming.h"
#include "base/panic.h"
#include "http/stream.h"
#include "server/access.h"
#include "server/exchange.h"
#include "server/steps_rate.h"

/* --- under way -------------------------------------------------------------------------------------------------- */

static void on_ready(void *cookie)
{
    struct exchange *ex = cookie;
    CHECK(ex->magic == EXCHANGE_MAGIC && ex->stream != NULL);
    ex->writer->ready(ex);
}

static void on_gone(void *cookie);

static const struct http_stream_events events = {.ready = on_ready, .gone = on_gone};
static const struct http_stream_events late_events = {.ready = on_ready, .late = true, .gone = on_gone};

bool streaming_begin(struct exchange *ex, long long length, const struct streaming_writer *writer)
{
    struct server *s = ex->server;
    CHECK(ex->magic == EXCHANGE_MAGIC && ex->status == 0 && ex->task == NULL);
    bool head = slice_equal(ex->view.method, SLICE("HEAD"));
    if (length < 0 && !head && ex->req != NULL && !http_stream_shows_breaks(ex->req)) {
        exchange_response(ex);
        exchange_refuse(ex, REASON_http_version, "what is streamed over a unix socket needs HTTP/1.1");
        return false;
    }
    timeout_clear(&ex->deadline); /* it was the handler's */
    list_remove(&ex->link);
    ex->status = s->response.status;
    if (ex->req == NULL)
        return false; /* counted when the client went */
    if (s->draining)
        ex->req->http1_is_persistent = 0;
    ex->progress_at = loop_now(s->host.loop);
    exchange_complete(ex);
    if (head) {
        if (!ex->gone)
            access_answered(ex, ex->status);
        access_rests(ex);
        list_add(&s->answering, &ex->link);
        http_stream_head(&s->response, ex->req, length);
        return false;
    }
    list_add(&s->streaming, &ex->link);
    ex->writer = writer;
    ex->stream =
        http_stream_begin(s->host.loop, &s->response, ex->req, length, writer->late ? &late_events : &events, ex);
    access_stream_begun(ex);
    return true;
}

bool streaming_write(struct exchange *ex, struct slice bytes)
{
    return http_stream_write(ex->stream, bytes);
}

size_t streaming_room(const struct exchange *ex)
{
    return http_stream_room(ex->stream);
}

bool streaming_waits(const struct exchange *ex)
{
    return http_stream_waits(ex->stream);
}

/* --- the end, by whom it may be --------------------------------------------------------------------------------- */

static struct http_stream *leave(struct exchange *ex, enum access_stream_end how)
{
    struct http_stream *stream = ex->stream;
    CHECK(ex->magic == EXCHANGE_MAGIC && stream != NULL);
    timeout_clear(&ex->deadline);
    access_stream_ended(ex, how);
    access_rests(ex);
    ex->stream = NULL;
    bind_req_end(&ex->bind);
    list_remove(&ex->link);
    list_add(&ex->server->answering, &ex->link);
    return stream;
}

void streaming_end(struct exchange *ex)
{
    http_stream_end(leave(ex, ACCESS_STREAM_COMPLETE));
}

void streaming_break(struct exchange *ex)
{
    http_stream_abort(leave(ex, ACCESS_STREAM_BROKEN));
}

/* Not by its writer: that one is stopped, and nothing goes on. */
static struct http_stream *stop(struct exchange *ex, enum access_stream_end how)
{
    ex->writer->stop(ex);
    loop_later_cancel(&ex->later);
    return leave(ex, how);
}

/* libh2o has disposed of the request, or is about to: its client has left, unless we have cut it. */
static void on_gone(void *cookie)
{
    struct exchange *ex = cookie;
    bool cut = ex->cut || (ex->connection != NULL && ex->connection->cut);
    stop(ex, cut ? ACCESS_STREAM_BROKEN : ACCESS_STREAM_GONE);
    list_remove(&ex->link); /* there is no answer any more whose way could be watched */
    exchange_over(ex);
}

void streaming_gone(struct exchange *ex)
{
    http_stream_abort(stop(ex, ACCESS_STREAM_GONE));
    exchange_over(ex);
}

void streaming_cut(struct exchange *ex, enum counter why)
{
    connections_cut(ex->connection, why);
    http_stream_abort(stop(ex, ACCESS_STREAM_BROKEN));
    exchange_over(ex);
}

static void time_over(struct timeout *t)
{
    struct exchange *ex = CONTAINER_OF(t, struct exchange, deadline);
    access_stream_timeout(ex);
    http_stream_abort(stop(ex, ACCESS_STREAM_BROKEN));
    exchange_over(ex);
}

void streaming_limit(struct exchange *ex, dur_t within)
{
    struct loop *l = ex->server->host.loop;
    timeout_set(l, &ex->deadline, mono_add(loop_now(l), within), time_over);
}

bool streaming_drain(struct server *s, bool late)
{
    bool any = false;
    for (struct list *l = s->streaming.next, *next; l != &s->streaming; l = next) {
        struct exchange *ex = CONTAINER_OF(l, struct exchange, link);
        bool clean = ex->writer->may_end != NULL && ex->writer->may_end(ex);
        next = l->next;
        if (!clean && !late)
            continue;
        struct http_stream *stream = stop(ex, clean ? ACCESS_STREAM_COMPLETE : ACCESS_STREAM_BROKEN);
        if (clean)
            http_stream_end(stream);
        else
            http_stream_abort(stream);
        s->drain_cut += !clean;
        any = true;
        exchange_over(ex);
    }
    return any && late;
}
