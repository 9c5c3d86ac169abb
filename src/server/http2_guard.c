/*
 * http2_guard.c: see http2_guard.h. This file knows libh2o's inside (h2o/http2_internal.h) and is good for exactly the
 * version that the build asks for.
 */
#include "server/http2_guard.h"
#include "server/body_guard.h"
#include "server/connections.h"
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

typedef void stream_fn(h2o_http2_conn_t *, h2o_http2_stream_t *);
typedef int settings_fn(h2o_http2_settings_t *, const uint8_t *, size_t, const char **);
typedef int headers_fn(h2o_req_t *, h2o_hpack_header_table_t *, const uint8_t *, size_t, int *, size_t *,
                       h2o_cache_digests_t **, const char **);

typedef ssize_t frame_fn(h2o_http2_frame_t *, const uint8_t *, size_t, const h2o_http2_settings_t *, const char **);

/* File-scope because the library calls these with arguments of its own only. */
static struct {
    stream_fn *send, *reset;
    settings_fn *settings;
    headers_fn *headers;
    frame_fn *frame;
    struct http2_guard_calls calls;
} guard;

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
    guard.send(conn, stream);
    if (stream->state == H2O_HTTP2_STREAM_STATE_END_STREAM)
        stream->output_window._avail = SAFE_WINDOW;
}

void h2o_http2_stream_reset(h2o_http2_conn_t *conn, h2o_http2_stream_t *stream)
{
    struct connection *c = connections_of(conn->sock);
    guard.calls.reset++;
    FIND(reset, "h2o_http2_stream_reset");
    /* Before the original: it may free the stream. */
    stream->output_window._avail = SAFE_WINDOW;
    guard.reset(conn, stream);
    if (c != NULL)
        connections_reset(c);
}

int h2o_http2_update_peer_settings(h2o_http2_settings_t *settings, const uint8_t *src, size_t len,
                                   const char **err_desc)
{
    guard.calls.settings++;
    FIND(settings, "h2o_http2_update_peer_settings");
    int result = guard.settings(settings, src, len, err_desc);
    if (result == 0 && settings->initial_window_size > HTTP2_GUARD_WINDOW) {
        /* Its arithmetic could bring the safe window back below one. */
        guard.calls.refused++;
        *err_desc = "initial window too large";
        return H2O_HTTP2_ERROR_FLOW_CONTROL;
    }
    return result;
}

static int refuse_headers(h2o_req_t *req, const char *why, const char **err_desc)
{
    struct connection *c = connections_of_request(req);
    guard.calls.refused++;
    if (c != NULL)
        counters_add(c->owner->counters, COUNTER_cut_hpack, 1);
    *err_desc = why;
    return H2O_HTTP2_ERROR_ENHANCE_YOUR_CALM;
}

int h2o_hpack_parse_headers(h2o_req_t *req, h2o_hpack_header_table_t *table, const uint8_t *src, size_t len,
                            int *pseudo_map, size_t *content_length, h2o_cache_digests_t **digests,
                            const char **err_desc)
{
    guard.calls.headers++;
    FIND(headers, "h2o_hpack_parse_headers");
    if (len > HTTP2_GUARD_BLOCK)
        return refuse_headers(req, "header block too large", err_desc);
    int result = guard.headers(req, table, src, len, pseudo_map, content_length, digests, err_desc);
    if (req->headers.size > HTTP2_GUARD_FIELDS)
        return refuse_headers(req, "too many header fields", err_desc);
    return result;
}

ssize_t h2o_http2_decode_frame(h2o_http2_frame_t *frame, const uint8_t *src, size_t len,
                               const h2o_http2_settings_t *host, const char **err_desc)
{
    guard.calls.frame++;
    FIND(frame, "h2o_http2_decode_frame");
    ssize_t result = guard.frame(frame, src, len, host, err_desc);
    if (result >= 0)
        body_guard_frame(frame->type);
    return result;
}

int http2_guard_bound(struct error *err)
{
    const struct {
        const char *symbol;
        void *ours;
    } all[] = {{"h2o_http2_stream_send_pending_data", (void *)h2o_http2_stream_send_pending_data},
               {"h2o_http2_stream_reset", (void *)h2o_http2_stream_reset},
               {"h2o_http2_update_peer_settings", (void *)h2o_http2_update_peer_settings},
               {"h2o_hpack_parse_headers", (void *)h2o_hpack_parse_headers},
               {"h2o_http2_decode_frame", (void *)h2o_http2_decode_frame}};
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

h2o_buffer_t *http2_guard_take_body(h2o_req_t *req)
{
    h2o_http2_stream_t *stream = H2O_STRUCT_FROM_MEMBER(h2o_http2_stream_t, req, req);
    h2o_buffer_t *body = stream->_req_body;
    if (req->version < 0x200 || body == NULL || body->bytes == NULL || req->entity.base != body->bytes)
        return NULL;
    stream->_req_body = NULL; /* libh2o looks at it while the body comes, and to free it */
    return body;
}

struct connection *http2_guard_connection(h2o_linklist_t *link)
{
    return connections_of(H2O_STRUCT_FROM_MEMBER(h2o_http2_conn_t, _conns, link)->sock);
}
