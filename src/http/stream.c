/*
 * stream.c: two buffers: `sending` is with libh2o piece by piece, `written` collects meanwhile. See stream.h.
 * libh2o frames chunks for status 200 only, and drops keep-alive for the others; so the chunks are made here. What it
 * wants of us: one send at a time, its bytes untouched until `proceed`, no empty one but the first and the last.
 */
#include "http/stream.h"
#include "base/panic.h"
#include <h2o.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/socket.h>

#define FIRST                                                                                                        \
    4096          /* the room of a fresh HTTP/2 stream; it doubles with each piece that the client's windows let out \
                   */
#define KEPT 1024 /* a buffer at rest that is larger is given back: most streams are silent most of the time */

struct http_stream {
    h2o_generator_t super;
    struct loop *loop;
    struct loop_later later; /* pump */
    h2o_req_t *req;          /* NULL: the last send is done */
    const struct http_stream_events *events;
    void *cookie;
    struct buf written, sending;
    size_t sent;       /* of sending: handed to libh2o */
    size_t room;       /* so much may wait in `written` */
    size_t carried;    /* bytes of the piece that libh2o has */
    int64_t left;      /* of the length; -1: none was said */
    bool chunked;      /* HTTP/1.1 without a length */
    bool to_close;     /* HTTP/1.0 without a length: the connection's end is the body's */
    bool begun;        /* the headers are with libh2o */
    bool in_flight;    /* libh2o has a piece */
    bool told_to_wait; /* owes a `ready` */
    bool ended, aborted;
    char chunk_head[20];
};

static int socket_of(const h2o_req_t *req)
{
    h2o_socket_t *sock = req->conn->callbacks->get_socket(req->conn);
    return sock != NULL ? h2o_socket_get_fd(sock) : -1;
}

/* With it a close, the kernel's after our death too, is a reset. It does not matter where the call fails. */
static void reset_on_close(const h2o_req_t *req, bool on)
{
    struct linger linger = {.l_onoff = on, .l_linger = 0};
    setsockopt(socket_of(req), SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

bool http_stream_shows_breaks(const h2o_req_t *req)
{
    int domain = 0;
    socklen_t len = sizeof(domain);
    return req->version >= 0x101 || getsockopt(socket_of(req), SOL_SOCKET, SO_DOMAIN, &domain, &len) != 0 ||
           domain != AF_UNIX;
}

static void put_head(const struct http_response *r, h2o_req_t *req, long long length)
{
    CHECK(r->status != 204 && r->status != 304);
    http_response_copy(r, req);
    req->res.content_length = length >= 0 ? (size_t)length : SIZE_MAX;
}

void http_stream_head(const struct http_response *r, h2o_req_t *req, long long length)
{
    static h2o_generator_t whole; /* const in effect: no callbacks, all is sent at once */
    h2o_iovec_t empty = h2o_iovec_init("", 0);
    int persistent = req->http1_is_persistent;
    put_head(r, req, length);
    h2o_start_response(req, &whole);
    req->http1_is_persistent = persistent; /* there is no body whose end it would have to mark */
    h2o_send(req, &empty, 1, H2O_SEND_STATE_FINAL);
}

/* --- birth ------------------------------------------------------------------------------------------------------ */

static void pump(struct loop_later *later);

/* The piece is written (HTTP/1) or has left through the window (HTTP/2). */
static void proceed(h2o_generator_t *self, h2o_req_t *req)
{
    struct http_stream *s = (struct http_stream *)self;
    s->in_flight = false;
    if (s->carried > 0 && s->room < HTTP_STREAM_PIECE)
        s->room *= 2;
    loop_later(s->loop, &s->later);
}

static void disposed(void *data)
{
    struct http_stream *s = data;
    loop_later_cancel(&s->later);
    buf_free(&s->written);
    buf_free(&s->sending);
    s->req = NULL;
    if (!s->ended && !s->aborted)
        s->events->gone(s->cookie);
}

struct http_stream *http_stream_begin(struct loop *l, const struct http_response *r, h2o_req_t *req, long long length,
                                      const struct http_stream_events *events, void *cookie)
{
    struct http_stream *s = h2o_mem_alloc_shared(&req->pool, sizeof(*s), disposed);
    *s = (struct http_stream){.super = {.proceed = proceed, .stop = NULL},
                              .loop = l,
                              .req = req,
                              .events = events,
                              .cookie = cookie,
                              .left = length,
                              .room = req->version >= 0x200 ? FIRST : HTTP_STREAM_PIECE};
    loop_later_init(&s->later, pump);
    CHECK(!h2o_memis(req->method.base, req->method.len, H2O_STRLIT("HEAD")));
    put_head(r, req, length);
    int persistent = req->http1_is_persistent;
    s->chunked = length < 0 && req->version == 0x101;
    s->to_close = length < 0 && req->version < 0x101;
    if (s->chunked) /* also tells libh2o's own filter to keep out */
        h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_TRANSFER_ENCODING, NULL, H2O_STRLIT("chunked"));
    if (s->to_close)
        reset_on_close(req, true);
    h2o_start_response(req, &s->super);
    req->http1_is_persistent = persistent && !s->to_close;
    loop_later(l, &s->later);
    return s;
}

/* --- sending ---------------------------------------------------------------------------------------------------- */

static void break_off(struct http_stream *s)
{
    h2o_req_t *req = s->req;
    h2o_socket_t *sock = req->conn->callbacks->get_socket(req->conn);
    s->req = NULL;
    /* The end of a TLS stream is said in it (close_notify), which would make this look like a clean one. */
    if (s->to_close && sock != NULL && sock->ssl != NULL)
        shutdown(h2o_socket_get_fd(sock), SHUT_RDWR);
    h2o_send(req, NULL, 0, H2O_SEND_STATE_ERROR);
}

/* The next piece as up to three vectors, in chunked framing where that is wanted. Returns how many. */
static size_t make_piece(struct http_stream *s, struct slice piece, bool last, h2o_iovec_t v[3])
{
    size_t count = 0;
    if (!s->chunked) {
        v[count++] = h2o_iovec_init(piece.at, piece.len);
        return count; /* an empty one for the headers, or the end: libh2o wants one */
    }
    if (piece.len > 0) {
        int len = snprintf(s->chunk_head, sizeof(s->chunk_head), "%zx\r\n", piece.len);
        v[count++] = h2o_iovec_init(s->chunk_head, (size_t)len);
        v[count++] = h2o_iovec_init(piece.at, piece.len);
    }
    const char *tail = piece.len > 0 ? (last ? "\r\n0\r\n\r\n" : "\r\n") : (last ? "0\r\n\r\n" : "");
    v[count++] = h2o_iovec_init(tail, strlen(tail));
    return count;
}

static void send_piece(struct http_stream *s)
{
    if (s->sent == s->sending.len) {
        struct buf empty = s->sending;
        s->sending = s->written;
        s->sent = 0;
        s->written = empty;
        buf_clear(&s->written);
        if (s->events->late || (s->written.room > KEPT && s->sending.len <= KEPT))
            buf_free(&s->written);
    }
    struct slice piece = slice_from(buf_slice(&s->sending), s->sent);
    piece.len = piece.len < HTTP_STREAM_PIECE ? piece.len : HTTP_STREAM_PIECE;
    s->sent += piece.len;
    s->carried = piece.len;
    bool last = s->ended && s->sent == s->sending.len && s->written.len == 0;
    if (piece.len == 0 && !last && s->begun)
        return;
    h2o_iovec_t v[3];
    size_t count = make_piece(s, piece, last, v);
    h2o_req_t *req = s->req;
    s->begun = s->in_flight = true;
    if (last) {
        s->req = NULL;
        if (s->to_close)
            reset_on_close(req, false);
    }
    h2o_send(req, v, count, last ? H2O_SEND_STATE_FINAL : H2O_SEND_STATE_IN_PROGRESS);
}

static void tell_ready(struct http_stream *s)
{
    if (!s->told_to_wait)
        return;
    s->told_to_wait = false;
    s->events->ready(s->cookie);
}

/*
 * From the loop: gives libh2o the next piece, then tells the writer that there is room. One whose client has not taken
 * anything yet (its window may be closed, now and for ever) has no more read for it than the first piece.
 */
static void pump(struct loop_later *later)
{
    struct http_stream *s = CONTAINER_OF(later, struct http_stream, later);
    if (s->in_flight || s->req == NULL)
        return;
    if (s->events->late && !http_stream_waits(s))
        tell_ready(s);
    if (s->aborted) {
        break_off(s);
        return;
    }
    send_piece(s);
    bool stalled = s->room == FIRST && s->carried > 0;
    if (!s->events->late && !stalled && s->written.len < s->room)
        tell_ready(s);
}

/* --- writing ---------------------------------------------------------------------------------------------------- */

bool http_stream_write(struct http_stream *s, struct slice bytes)
{
    CHECK(!s->ended && !s->aborted && s->req != NULL);
    if (s->left >= 0) {
        CHECK(bytes.len <= (size_t)s->left);
        s->left -= (int64_t)bytes.len;
    }
    buf_add_slice(&s->written, bytes);
    if (!s->in_flight && bytes.len > 0)
        loop_later(s->loop, &s->later);
    s->told_to_wait = s->written.len >= s->room;
    return !s->told_to_wait;
}

size_t http_stream_room(const struct http_stream *s)
{
    return s->room;
}

void http_stream_end(struct http_stream *s)
{
    CHECK(!s->ended && !s->aborted && s->left <= 0);
    s->ended = true;
    s->told_to_wait = false;
    if (!s->in_flight)
        loop_later(s->loop, &s->later);
}

void http_stream_abort(struct http_stream *s)
{
    CHECK(!s->ended && !s->aborted);
    s->aborted = true;
    s->told_to_wait = false;
    buf_clear(&s->written);
    if (!s->in_flight)
        loop_later(s->loop, &s->later);
}

bool http_stream_waits(const struct http_stream *s)
{
    return s->in_flight || s->sent < s->sending.len || s->written.len > 0;
}
