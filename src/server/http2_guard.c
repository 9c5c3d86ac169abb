/*
 * http2_guard.c: see http2_guard.h. This file knows libh2o's inside (h2o/http2_internal.h) and is good for exactly the
 * version that the build asks for.
 */
#include "server/http2_guard.h"
#include "base/panic.h"
#include "server/body_guard.h"
#include "server/connections.h"
#include "server/goodbye.h"
#include "server/http2_head.h"
#include <dlfcn.h>
#include <h2o.h>
#include <h2o/http2.h>
#include <h2o/http2_internal.h>

_Static_assert(H2O_VERSION_MAJOR == 2 && H2O_VERSION_MINOR == 2 && H2O_VERSION_PATCH == 5,
               "the guard knows the inside of libh2o 2.2.5 only");

/*
 * An output window that no WINDOW_UPDATE lifts from below one, and none overflows: the assertion that a peer can reach
 * asks for a window that was 0 or less.
 */
#define SAFE_WINDOW ((ssize_t)3 << 29)
#define LIBRARY_STREAMS 100 /* as many as it says, and takes, by itself */
#define FIELD_OVERHEAD 32   /* RFC 9113 6.5.2: of each field, in the size of a header list */

enum { SETTING_STREAMS = 3, SETTING_HEADER_LIST = 6, SETTING_SIZE = 6 };

typedef void stream_fn(h2o_http2_conn_t *, h2o_http2_stream_t *);
typedef void rst_fn(h2o_buffer_t **, uint32_t, int);
typedef int settings_fn(h2o_http2_settings_t *, const uint8_t *, size_t, const char **);
typedef int headers_fn(h2o_req_t *, h2o_hpack_header_table_t *, const uint8_t *, size_t, int *, size_t *,
                       h2o_cache_digests_t **, const char **);

typedef void accept_fn(h2o_accept_ctx_t *, h2o_socket_t *, struct timeval);
typedef ssize_t frame_fn(h2o_http2_frame_t *, const uint8_t *, size_t, const h2o_http2_settings_t *, const char **);

/* File-scope because the library calls these with arguments of its own only. */
static struct {
    stream_fn *send, *reset;
    rst_fn *rst;
    settings_fn *settings;
    headers_fn *headers;
    frame_fn *frame;
    accept_fn *accept;
    struct http2_guard_calls calls;
    h2o_socket_cb on_read;      /* the library's reader, of every HTTP/2 connection */
    struct connection *reading; /* whose frames are read; NULL: nobody's that we know */
    h2o_http2_conn_t *overfull; /* a stream of it is being refused: it seems to have OVERFULL more */
    struct {
        unsigned type;
        uint32_t length;
        bool counted; /* among the resets */
    } current;        /* the frame that is being handled */
    bool sending;     /* what is written now answers no frame */
} guard;

#define OVERFULL (10 * LIBRARY_STREAMS)

/* Looks up the definition that ours hides, once. */
#define FIND(member, symbol)                                                     \
    do {                                                                         \
        if (guard.member == NULL)                                                \
            guard.member = (__typeof__(guard.member))dlsym(RTLD_NEXT, (symbol)); \
    } while (0)

void h2o_http2_stream_send_pending_data(h2o_http2_conn_t *conn, h2o_http2_stream_t *stream)
{
    guard.calls.send++;
    FIND(send, "h2o_http2_stream_send_pending_data");
    guard.sending = true;
    guard.send(conn, stream);
    guard.sending = false;
    if (stream->state == H2O_HTTP2_STREAM_STATE_END_STREAM)
        stream->output_window._avail = SAFE_WINDOW;
}

/* --- resets ------------------------------------------------------------------------------------------------------ */

/*
 * The library says GOAWAY and closes, with all that was read and not handled yet. It would wait for a write that is
 * under way, which a client that reads nothing never lets end.
 */
static void end_if_deaf(struct connection *c)
{
    if (c->sock->_cb.write != NULL)
        connections_shut(c);
}

/*
 * A proxy passes on what its clients do: they are its matter, and others have requests there, too. A frame counts once,
 * though a stream is reset for it and its client is told so.
 */
static void count_reset(struct connection *c)
{
    struct connections *cs = c->owner;
    if (guard.reading == c) {
        if (guard.current.counted)
            return;
        guard.current.counted = true;
    }
    if (c->proxied || flood_spend(&c->flood, FLOOD_RESETS, cs->limits, loop_now(cs->loop)))
        return;
    connections_abused(c, FLOOD_RESETS);
    if (guard.reading != c) /* else its next frame is its last, or on_read sees to it */
        connections_shut(c);
}

void h2o_http2_stream_reset(h2o_http2_conn_t *conn, h2o_http2_stream_t *stream)
{
    struct connection *c = connections_of(conn->sock);
    guard.calls.reset++;
    FIND(reset, "h2o_http2_stream_reset");
    if (guard.overfull == conn) {
        conn->num_streams.pull.open -= OVERFULL;
        guard.overfull = NULL;
    }
    /* Before the original: it may free the stream. */
    bool receiving = stream->state <= H2O_HTTP2_STREAM_STATE_RECV_BODY && stream->_req_body != NULL;
    if (c != NULL && receiving && !(guard.reading == c && guard.current.type == H2O_HTTP2_FRAME_TYPE_RST_STREAM))
        flood_body_reset(&c->flood);
    stream->output_window._avail = SAFE_WINDOW;
    guard.reset(conn, stream);
    if (c != NULL)
        count_reset(c);
}

/*
 * The library tells a client that a stream is reset. If there is none (any more) that is all it does: the answer to a
 * frame for it.
 */
void h2o_http2__encode_rst_stream_frame(h2o_buffer_t **buf, uint32_t stream_id, int errnum)
{
    struct connection *c = guard.reading;
    guard.calls.rst++;
    FIND(rst, "h2o_http2__encode_rst_stream_frame");
    if (guard.current.type == H2O_HTTP2_FRAME_TYPE_DATA && !guard.sending && errnum == -H2O_HTTP2_ERROR_REFUSED_STREAM)
        errnum = -H2O_HTTP2_ERROR_ENHANCE_YOUR_CALM; /* its body is too large: it shall not be sent again as it is */
    guard.rst(buf, stream_id, errnum);
    if (c == NULL || guard.sending ||
        (guard.current.type == H2O_HTTP2_FRAME_TYPE_DATA && flood_late(&c->flood, guard.current.length)))
        return;
    count_reset(c);
}

/* --- settings, headers ------------------------------------------------------------------------------------------- */

/*
 * A peer may allow more (RFC 9113 6.5.2), but then the library's arithmetic could bring the safe window back below one.
 * To use less of a window than is allowed is no fault, and each change of the setting moves both alike.
 */
int h2o_http2_update_peer_settings(h2o_http2_settings_t *settings, const uint8_t *src, size_t len,
                                   const char **err_desc)
{
    guard.calls.settings++;
    FIND(settings, "h2o_http2_update_peer_settings");
    int result = guard.settings(settings, src, len, err_desc);
    if (settings->initial_window_size > HTTP2_GUARD_WINDOW)
        settings->initial_window_size = HTTP2_GUARD_WINDOW;
    return result;
}

/*
 * More fields than there is room for end the connection. Of a proxy, which passes on what its clients do and has the
 * requests of others there, only the stream: the library resets one of which it believes (pseudo_map) that it lacks the
 * pseudo-header fields; in trailers (no pseudo_map), which nobody gets, there may be as many as a block has room for.
 * result: what the library has said of the block.
 */
static int refuse_fields(h2o_req_t *req, int *pseudo_map, int result, const char **err_desc)
{
    struct connection *c = connections_of_request(req);
    guard.calls.refused++;
    if (c != NULL && c->proxied) {
        if (pseudo_map != NULL)
            *pseudo_map = 0;
        return result;
    }
    if (c != NULL) {
        connections_abused(c, FLOOD_BLOCK);
        end_if_deaf(c);
    }
    *err_desc = "too many header fields";
    return H2O_HTTP2_ERROR_ENHANCE_YOUR_CALM;
}

/*
 * The library takes LIBRARY_STREAMS at once, and refuses the next one by itself, with the code that lets a client send
 * it again. It is made to believe, until that reset, that there are more.
 */
static void refuse_stream(h2o_http2_conn_t *conn)
{
    CHECK(guard.overfull == NULL);
    guard.overfull = conn;
    conn->num_streams.pull.open += OVERFULL;
}

/*
 * A request's header section was read: whether there may be one more, and memory for it. malformed: the library answers
 * it by itself with a 400, so nobody else asks for its connection's rate.
 */
static void admit(h2o_req_t *req, bool malformed)
{
    struct connection *c = connections_of_request(req);
    const h2o_http2_stream_t *stream = H2O_STRUCT_FROM_MEMBER(const h2o_http2_stream_t, req, req);
    h2o_http2_conn_t *conn = (h2o_http2_conn_t *)req->conn;
    if (c == NULL)
        return;
    if (conn->num_streams.pull.open > c->owner->limits->streams) {
        counters_add(c->owner->counters, COUNTER_streams_refused, 1);
        refuse_stream(conn);
    } else if (malformed && !connections_may_ask(c)) {
        refuse_stream(conn);
    } else if (http2_head_keep(c, req, stream->_req_body != NULL) != REASON_none) {
        refuse_stream(conn);
    }
}

/* A field of trailers is none of the header (RFC 9110 6.5.1), where proxies put theirs: they are read, and let go. */
static int parse_trailers(h2o_req_t *req, h2o_hpack_header_table_t *table, const uint8_t *src, size_t len,
                          size_t *content_length, const char **err_desc)
{
    h2o_req_t nobody;
    h2o_init_request(&nobody, req->conn, NULL);
    int result = guard.headers(&nobody, table, src, len, NULL, content_length, NULL, err_desc);
    size_t fields = nobody.headers.size;
    h2o_mem_clear_pool(&nobody.pool);
    if (req->headers.size + fields > HTTP2_GUARD_FIELDS)
        return refuse_fields(req, NULL, result, err_desc);
    return result;
}

int h2o_hpack_parse_headers(h2o_req_t *req, h2o_hpack_header_table_t *table, const uint8_t *src, size_t len,
                            int *pseudo_map, size_t *content_length, h2o_cache_digests_t **digests,
                            const char **err_desc)
{
    guard.calls.headers++;
    FIND(headers, "h2o_hpack_parse_headers");
    if (pseudo_map == NULL)
        return parse_trailers(req, table, src, len, content_length, err_desc);
    int result = guard.headers(req, table, src, len, pseudo_map, content_length, digests, err_desc);
    if (req->headers.size > HTTP2_GUARD_FIELDS)
        return refuse_fields(req, pseudo_map, result, err_desc);
    if (result == 0 || result == H2O_HTTP2_ERROR_INVALID_HEADER_CHAR) /* all others end the connection */
        admit(req, result != 0);
    return result;
}

/* --- frames ------------------------------------------------------------------------------------------------------ */

static uint8_t *put_setting(uint8_t *at, unsigned id, size_t value)
{
    at[0] = (uint8_t)(id >> 8);
    at[1] = (uint8_t)id;
    for (int i = 0; i < 4; i++)
        at[2 + i] = (uint8_t)(value >> (24 - 8 * i));
    return at + SETTING_SIZE;
}

/* The library's own SETTINGS are part of its code; what else holds follows in a second frame (RFC 9113 6.5). */
static void announce(struct connection *c)
{
    const struct config_limits *l = c->owner->limits;
    h2o_http2_conn_t *conn = c->sock->data;
    uint8_t settings[2 * SETTING_SIZE], *at = settings;
    c->announced = true;
    if (conn->state != H2O_HTTP2_CONN_STATE_OPEN)
        return;
    if (l->streams < LIBRARY_STREAMS)
        at = put_setting(at, SETTING_STREAMS, l->streams);
    at = put_setting(at, SETTING_HEADER_LIST, l->headers + l->fields * FIELD_OVERHEAD);
    size_t len = (size_t)(at - settings);
    uint8_t *to = (uint8_t *)h2o_buffer_reserve(&conn->_write.buf, H2O_HTTP2_FRAME_HEADER_SIZE + len).base;
    memcpy(h2o_http2_encode_frame_header(to, len, H2O_HTTP2_FRAME_TYPE_SETTINGS, 0, 0), settings, len);
    conn->_write.buf->size += H2O_HTTP2_FRAME_HEADER_SIZE + len;
    h2o_http2_conn_request_write(conn);
}

static ssize_t calm(struct connection *c, enum flood_kind why, const char **err_desc)
{
    static const char *const words[FLOOD_NONE] = {
        [FLOOD_RESETS] = "too many streams are reset",
        [FLOOD_PINGS] = "too many PING frames",
        [FLOOD_SETTINGS] = "too many SETTINGS frames",
        [FLOOD_EMPTY_FRAMES] = "too many frames with nothing in them",
        [FLOOD_FRAMES] = "too many frames without a request",
        [FLOOD_CONTINUATIONS] = "too many CONTINUATION frames",
        [FLOOD_BLOCK] = "the header block is too large",
    };
    CHECK(why < FLOOD_NONE);
    *err_desc = words[why];
    end_if_deaf(c);
    return H2O_HTTP2_ERROR_ENHANCE_YOUR_CALM;
}

/* The library keeps a header block until it is whole. */
static bool is_kept(const h2o_http2_frame_t *frame)
{
    return frame->type == H2O_HTTP2_FRAME_TYPE_CONTINUATION ||
           (frame->type == H2O_HTTP2_FRAME_TYPE_HEADERS && (frame->flags & H2O_HTTP2_FRAME_FLAG_END_HEADERS) == 0);
}

static ssize_t no_memory(struct connection *c, const char **err_desc)
{
    c->cut = true;
    *err_desc = "no memory for header blocks now";
    end_if_deaf(c);
    return H2O_HTTP2_ERROR_ENHANCE_YOUR_CALM;
}

/* What a frame is too much of. Resets that a proxy passes on are its clients' (see count_reset). */
static enum flood_kind spend(struct connection *c, const h2o_http2_frame_t *frame)
{
    const struct flood_frame this = {frame->type, frame->flags, frame->length, frame->payload};
    if (c->proxied && frame->type == H2O_HTTP2_FRAME_TYPE_RST_STREAM)
        return FLOOD_NONE;
    return flood_frame(&c->flood, &this, c->owner->limits, c->sock->bytes_written, loop_now(c->owner->loop));
}

ssize_t h2o_http2_decode_frame(h2o_http2_frame_t *frame, const uint8_t *src, size_t len,
                               const h2o_http2_settings_t *host, const char **err_desc)
{
    guard.calls.frame++;
    FIND(frame, "h2o_http2_decode_frame");
    ssize_t result = guard.frame(frame, src, len, host, err_desc);
    struct connection *c = guard.reading;
    if (result < 0)
        return result;
    body_guard_frame(frame->type, c != NULL ? c->peer : 0);
    guard.current.type = frame->type;
    guard.current.length = frame->length;
    guard.current.counted = false;
    if (c == NULL)
        return result;
    if (!c->announced)
        announce(c);
    if (c->abused) /* by the frame before */
        return calm(c, FLOOD_RESETS, err_desc);
    enum flood_kind kind = spend(c, frame);
    if (kind != FLOOD_NONE) {
        connections_abused(c, kind);
        return calm(c, kind, err_desc);
    }
    if (c->parting && frame->stream_id > c->last_stream)
        goodbye_pass_over(c, frame);
    if (is_kept(frame) && !body_guard_block(c->peer, frame->length))
        return no_memory(c, err_desc);
    return result;
}

/* --- whose frames they are --------------------------------------------------------------------------------------- */

/* Stands before the library's reader of a connection, which names none to the functions that it calls. */
static void on_read(h2o_socket_t *sock, const char *err)
{
    struct connection *c = connections_of(sock), *outer = guard.reading;
    guard.reading = c;
    guard.on_read(sock, err);
    guard.reading = outer;
    body_guard_frames_over();
    if (c != NULL && c->sock == sock && c->abused)
        connections_shut(c);
}

static void follow(struct connection *c)
{
    if (c->sock == NULL || c->sock->_cb.read == NULL)
        return;
    guard.on_read = c->sock->_cb.read;
    c->sock->_cb.read = on_read;
    if (c->abused)
        connections_shut(c);
}

void h2o_http2_accept(h2o_accept_ctx_t *ctx, h2o_socket_t *sock, struct timeval connected_at)
{
    struct connection *c = connections_of(sock), *outer = guard.reading;
    guard.calls.accept++;
    FIND(accept, "h2o_http2_accept");
    if (c != NULL)
        c->http2 = true;
    guard.reading = c;
    guard.accept(ctx, sock, connected_at); /* reads what has come already, and may close it */
    guard.reading = outer;
    body_guard_frames_over();
    if (c != NULL)
        follow(c);
}

/*
 * Of HTTP/1 (Upgrade: h2c), which RFC 9113 3.1 has deprecated: it is not offered, and the request is answered as it is.
 * The library would read the frames behind it before anyone of ours knows of the connection. Prior knowledge stays.
 */
int h2o_http2_handle_upgrade(h2o_req_t *req, struct timeval connected_at)
{
    guard.calls.upgrade++;
    return -1;
}

/* --- for others -------------------------------------------------------------------------------------------------- */

void http2_guard_open(void)
{
    H2O_TOKEN_HOST->http2_should_reject = 0;
}

int http2_guard_bound(struct error *err)
{
    const struct {
        const char *symbol;
        void *ours;
    } all[] = {{"h2o_http2_stream_send_pending_data", (void *)h2o_http2_stream_send_pending_data},
               {"h2o_http2_stream_reset", (void *)h2o_http2_stream_reset},
               {"h2o_http2__encode_rst_stream_frame", (void *)h2o_http2__encode_rst_stream_frame},
               {"h2o_http2_update_peer_settings", (void *)h2o_http2_update_peer_settings},
               {"h2o_hpack_parse_headers", (void *)h2o_hpack_parse_headers},
               {"h2o_http2_decode_frame", (void *)h2o_http2_decode_frame},
               {"h2o_http2_accept", (void *)h2o_http2_accept},
               {"h2o_http2_handle_upgrade", (void *)h2o_http2_handle_upgrade}};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (dlsym(RTLD_DEFAULT, all[i].symbol) != all[i].ours)
            return error_set(err, "%s is not bound to the guard", all[i].symbol);
        if (dlsym(RTLD_NEXT, all[i].symbol) == NULL)
            return error_set(err, "libh2o has no %s", all[i].symbol);
    }
    return 0;
}

struct http2_guard_calls http2_guard_calls(void)
{
    return guard.calls;
}

void http2_guard_end(h2o_req_t *req)
{
    h2o_http2_stream_t *stream = H2O_STRUCT_FROM_MEMBER(h2o_http2_stream_t, req, req);
    h2o_http2_conn_t *conn = (h2o_http2_conn_t *)req->conn;
    CHECK(req->version >= 0x200);
    h2o_http2_encode_rst_stream_frame(&conn->_write.buf, stream->stream_id, -H2O_HTTP2_ERROR_ENHANCE_YOUR_CALM);
    h2o_http2_conn_request_write(conn);
    h2o_http2_stream_reset(conn, stream); /* ours, above */
}

h2o_buffer_t *http2_guard_take_body(h2o_req_t *req)
{
    h2o_http2_stream_t *stream = H2O_STRUCT_FROM_MEMBER(h2o_http2_stream_t, req, req);
    h2o_buffer_t *body = stream->_req_body;
    CHECK(req->version >= 0x200);
    if (body == NULL || body->bytes == NULL)
        return NULL;
    stream->_req_body = NULL; /* libh2o looks at it while the body comes, and to free it */
    return body;
}

size_t http2_guard_received(const h2o_req_t *req)
{
    const h2o_http2_stream_t *stream = H2O_STRUCT_FROM_MEMBER(const h2o_http2_stream_t, req, req);
    return stream->_req_body != NULL ? stream->_req_body->size : 0;
}

bool http2_guard_stalled(const h2o_req_t *req)
{
    const h2o_http2_stream_t *stream = H2O_STRUCT_FROM_MEMBER(const h2o_http2_stream_t, req, req);
    const h2o_http2_conn_t *conn = (const h2o_http2_conn_t *)req->conn;
    return stream->output_window._avail <= 0 || conn->_write.window._avail <= 0;
}
