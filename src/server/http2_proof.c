/*
 * http2_proof.c: see http2_proof.h. The other side is a socket pair's end and a few frames (RFC 9113 4.1, 6) written
 * here. libh2o's loop has no complete destructor in 2.2.5: the descriptor of one epoll set stays with the process.
 */
#include "server/http2_proof.h"
#include "base/buf.h"
#include "base/fd.h"
#include "base/leave.h"
#include "base/panic.h"
#include "base/time.h"
#include "server/http2_guard.h"
#include <h2o.h>
#include <h2o/http1.h>
#include <h2o/http2.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DATA = 0, HEADERS = 1, RST_STREAM = 3, SETTINGS = 4, GOAWAY = 7 };
enum { END_STREAM_AND_HEADERS = 5 };

struct proof {
    h2o_globalconf_t config;
    h2o_context_t context;
    h2o_accept_ctx_t accept;
    h2o_evloop_t *loop;
    int peer;
    bool closed;
    struct buf heard; /* what libh2o has sent */
};

static void add_frame(struct buf *b, int type, int flags, uint32_t stream, struct slice payload)
{
    const char head[9] = {
        (char)(payload.len >> 16), (char)(payload.len >> 8), (char)payload.len,   (char)type,  (char)flags,
        (char)(stream >> 24),      (char)(stream >> 16),     (char)(stream >> 8), (char)stream};
    buf_add(b, head, sizeof(head));
    buf_add_slice(b, payload);
}

/* :method GET, :scheme http, :path / as indexes of HPACK's static table (RFC 7541 A), and `fields` literals "x: y". */
static void add_request(struct buf *b, uint32_t stream, int fields)
{
    struct buf block = {0};
    buf_add(&block, "\x82\x86\x84", 3);
    for (int i = 0; i < fields; i++)
        buf_add(&block, "\x00\x01x\x01y", 5);
    add_frame(b, HEADERS, END_STREAM_AND_HEADERS, stream, buf_slice(&block));
    buf_free(&block);
}

/* Answers HTTP/1, and what has no header field; keeps the others waiting, to be reset. */
static int on_req(h2o_handler_t *self, h2o_req_t *req)
{
    if (req->version >= 0x200 && req->headers.size > 0)
        return 0;
    req->res.status = 200;
    req->res.reason = "OK";
    req->res.content_length = 2;
    h2o_send_inline(req, "ok", 2);
    return 0;
}

static void on_close(void *data)
{
    ((struct proof *)data)->closed = true;
}

static void begin(struct proof *p, int ours)
{
    h2o_config_init(&p->config);
    h2o_hostconf_t *host = h2o_config_register_host(&p->config, h2o_iovec_init(H2O_STRLIT("proof")), 65535);
    h2o_create_handler(h2o_config_register_path(host, "/", 0), sizeof(h2o_handler_t))->on_req = on_req;
    p->loop = h2o_evloop_create();
    h2o_context_init(&p->context, p->loop, &p->config);
    p->accept = (h2o_accept_ctx_t){.ctx = &p->context, .hosts = p->config.hosts};
    h2o_socket_t *sock = h2o_evloop_socket_create(p->loop, ours, H2O_SOCKET_FLAG_IS_ACCEPTED_CONNECTION);
    sock->on_close.cb = on_close;
    sock->on_close.data = p;
    h2o_accept(&p->accept, sock);
}

/* Whether libh2o has closed the connection with ENHANCE_YOUR_CALM (RFC 9113 7: 0xb). */
static bool heard_calm(const struct buf *heard)
{
    struct slice rest = buf_slice(heard);
    while (rest.len >= 9) {
        const unsigned char *h = (const unsigned char *)rest.at;
        size_t len = (size_t)h[0] << 16 | (size_t)h[1] << 8 | h[2];
        if (rest.len < 9 + len)
            return false;
        if (h[3] == GOAWAY && len >= 8 && h[9 + 7] == 0xb)
            return true;
        rest = slice_from(rest, 9 + len);
    }
    return false;
}

/* Runs the loop until `over`, or for a second. */
static bool run_until(struct proof *p, bool (*over)(struct proof *p))
{
    mono_t deadline = mono_add(mono_now(), DUR_S(1));
    while (!over(p) && mono_before(mono_now(), deadline)) {
        h2o_evloop_run(p->loop, 5);
        char room[4096];
        ssize_t n = recv(p->peer, room, sizeof(room), MSG_DONTWAIT);
        if (n > 0)
            buf_add(&p->heard, room, (size_t)n);
    }
    return over(p);
}

static bool heard_http1(struct proof *p)
{
    struct slice heard = buf_slice(&p->heard);
    return slice_starts(heard, SLICE("HTTP/1.1 200 ")) && slice_ends(heard, SLICE("\r\n\r\nok"));
}

static bool quiet_calls_made(struct proof *p)
{
    struct http2_guard_calls calls = http2_guard_calls();
    return calls.send > 0 && calls.reset > 0 && calls.rst > 0 && calls.settings > 0 && calls.headers > 0 &&
           calls.frame > 0 && calls.accept > 0;
}

static bool closed(struct proof *p)
{
    return p->closed && heard_calm(&p->heard);
}

/*
 * A request that would go on as HTTP/2, and is answered as it is; and a body in chunks, which http1_guard_proved asks
 * about.
 */
static int lead_http1(struct proof *p, struct error *err)
{
    static const char upgrade[] = "GET / HTTP/1.1\r\nHost: proof\r\nConnection: keep-alive, Upgrade, HTTP2-Settings\r\n"
                                  "Upgrade: h2c\r\nHTTP2-Settings: \r\n\r\n",
                      chunks[] = "POST / HTTP/1.1\r\nHost: proof\r\nTransfer-Encoding: chunked\r\n\r\n"
                                 "1\r\nx\r\n0\r\n\r\n";
    if (fd_write_all(p->peer, slice_of(upgrade)) != 0 || !run_until(p, heard_http1) || http2_guard_calls().upgrade == 0)
        return error_set(err, "an upgrade to h2c was not refused");
    buf_clear(&p->heard);
    if (fd_write_all(p->peer, slice_of(chunks)) != 0 || !run_until(p, heard_http1))
        return error_set(err, "libh2o does not answer an HTTP/1.1 request with a body in chunks");
    buf_clear(&p->heard);
    return 0;
}

static int lead(struct proof *p, struct error *err)
{
    if (lead_http1(p, err) != 0)
        return -1;
    struct buf frames = {0};
    buf_add_text(&frames, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    add_frame(&frames, SETTINGS, 0, 0, SLICE_NONE);
    add_request(&frames, 1, 0);
    add_request(&frames, 3, 1);
    add_frame(&frames, RST_STREAM, 0, 3, SLICE("\0\0\0\x8"));
    add_frame(&frames, DATA, 0, 3, SLICE("x")); /* for a stream that is no more */
    int sent = fd_write_all(p->peer, buf_slice(&frames));
    int result = 0;
    if (sent != 0 || !run_until(p, quiet_calls_made))
        result = error_set(err, "libh2o does not call the guard's functions");
    buf_clear(&frames);
    add_request(&frames, 5, HTTP2_GUARD_FIELDS + 1);
    uint64_t refused = http2_guard_calls().refused;
    if (result == 0) {
        sent = fd_write_all(p->peer, buf_slice(&frames));
        if (sent != 0 || !run_until(p, closed) || http2_guard_calls().refused != refused + 1)
            result = error_set(err, "a block of %d header fields was not refused", HTTP2_GUARD_FIELDS + 1);
    }
    buf_free(&frames);
    return result;
}

int http2_proof_run(struct error *err)
{
    http2_guard_open();
    if (http2_guard_bound(err) != 0)
        return -1;
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
        return error_errno(err, "socketpair");
    struct proof *p = need_zero(1, sizeof(*p));
    p->peer = pair[1];
    begin(p, pair[0]);
    int result = lead(p, err);
    fd_close(&p->peer);
    for (int i = 0; i < 100 && !p->closed; i++)
        h2o_evloop_run(p->loop, 5);
    buf_free(&p->heard);
    if (!p->closed)
        return error_set(err, "libh2o does not close a connection whose peer has gone"); /* it still points to p */
    leave_behind(p->context.queue); /* libh2o 2.2.5 has no way to free it */
    h2o_context_dispose(&p->context);
    h2o_config_dispose(&p->config);
    h2o_evloop_destroy(p->loop);
    free(p);
    return result;
}
