/*
 * goodbye.c: see goodbye.h. A GOAWAY that names no last stream, so that the peer begins nothing more, and (a second
 * later at the earliest) one that does. libh2o 2.2.5 has that, too, and is not asked: it tells all of its connections
 * at once, those whose preface has not come yet a GOAWAY before its SETTINGS, which is an error to the peer; it drops
 * what is still being received at the second; and it closes when the last answer is written, though the kernel may not
 * have taken all of it. This file knows the library's inside, as http2_guard.c does, which says for which version.
 */
#include "server/goodbye.h"
#include "server/server_internal.h"
#include <h2o/http2.h>
#include <h2o/http2_internal.h>

#define GOODBYE_WAIT DUR_S(1) /* between the two: a round trip, and time for requests that were on their way */
#define PORTION 16384         /* bytes that are given back to a window at once */

/* Says GOAWAY (RFC 9113 6.8): one that names no last stream; or the last one, and the connection is `parting`. */
static void say(struct connection *c, bool last)
{
    h2o_http2_conn_t *conn = c->sock->data;
    if (conn->state != H2O_HTTP2_CONN_STATE_OPEN)
        return;
    h2o_http2_encode_goaway_frame(&conn->_write.buf, last ? conn->pull_stream_ids.max_open : INT32_MAX, 0,
                                  h2o_iovec_init(NULL, 0));
    if (last) {
        c->parting = true;
        c->last_stream = conn->pull_stream_ids.max_open;
    }
    h2o_http2_conn_request_write(conn);
}

/*
 * Ends one that is parting, if its streams are over and the kernel has all of their answers; it is closed in a later
 * pass. The library's state for that, HALF_CLOSED, comes only now: in it nothing more is received of an upload, the
 * last answer's end is lost when the kernel has no room for it at once, and the rest of a header block is waited for
 * for ever.
 */
static void part(struct connection *c)
{
    h2o_http2_conn_t *conn = c->sock->data;
    if (conn->num_streams.pull.open + conn->num_streams.push.open > 0)
        return;
    c->over = true;
    if (conn->state != H2O_HTTP2_CONN_STATE_OPEN || conn->_headers_unparsed != NULL ||
        conn->_write.buf_in_flight != NULL || conn->_write.buf->size > 0)
        return;
    conn->state = H2O_HTTP2_CONN_STATE_HALF_CLOSED;
    h2o_http2_conn_request_write(conn);
}

void goodbye_one(struct connection *c, mono_t now)
{
    if (c->goodbye.ns == 0) {
        say(c, false);
        c->goodbye = now;
    } else if (!c->parting && mono_since(now, c->goodbye).ns >= GOODBYE_WAIT.ns) {
        say(c, true);
    }
    if (c->parting)
        part(c);
}

void goodbye_say(struct server *s, mono_t now)
{
    h2o_linklist_t *all = &s->context.http2._conns;
    s->context.shutdown_requested = 1; /* for HTTP/1 */
    for (h2o_linklist_t *l = all->next; l != all; l = l->next) {
        struct connection *c = connections_of(H2O_STRUCT_FROM_MEMBER(h2o_http2_conn_t, _conns, l)->sock);
        /* SETTINGS are the first that libh2o says. */
        if (c != NULL && c->sock->bytes_written > 0)
            goodbye_one(c, now);
    }
}

/*
 * Bodies are given back to the connection's window (RFC 9113 6.8), in portions: for each byte that is sent many have
 * come. Header blocks are not read: trailers of an earlier stream that refer to one's fields end the connection, with
 * COMPRESSION_ERROR.
 */
void goodbye_pass_over(struct connection *c, h2o_http2_frame_t *frame)
{
    h2o_http2_conn_t *conn = c->sock->data;
    c->passed_over += frame->type == H2O_HTTP2_FRAME_TYPE_DATA ? frame->length : 0;
    if (c->passed_over >= PORTION) {
        h2o_http2_encode_window_update_frame(&conn->_write.buf, 0, (int32_t)c->passed_over);
        h2o_http2_conn_request_write(conn);
        c->passed_over = 0;
    }
    *frame = (h2o_http2_frame_t){.type = H2O_HTTP2_FRAME_TYPE_SETTINGS, .flags = H2O_HTTP2_FRAME_FLAG_ACK};
}
