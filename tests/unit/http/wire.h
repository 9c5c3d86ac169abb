/*
 * wire.h: libh2o on one end of a socket pair, for the tests of http/: raw bytes in, raw bytes out.
 * State is file-scope: one wire per test program.
 */
#ifndef CRESCENT_TESTS_WIRE_H
#define CRESCENT_TESTS_WIRE_H

#include "base/buf.h"
#include "base/fd.h"
#include "base/time.h"
#include "io/loop.h"
#include <h2o.h>
#include <h2o/http1.h>
#include <h2o/http2.h>
#include <sys/socket.h>
#include <unistd.h>

static struct {
    h2o_globalconf_t config;
    h2o_context_t context;
    h2o_accept_ctx_t accept;
    struct loop *loop;
    int (*on_req)(h2o_req_t *req);
    bool closed;
} wire;

static int wire_on_req(h2o_handler_t *self, h2o_req_t *req)
{
    return wire.on_req(req);
}

static void wire_on_close(void *data)
{
    wire.closed = true;
}

static int wire_open(void **state)
{
    h2o_config_init(&wire.config);
    h2o_hostconf_t *host = h2o_config_register_host(&wire.config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    h2o_create_handler(h2o_config_register_path(host, "/", 0), sizeof(h2o_handler_t))->on_req = wire_on_req;
    wire.loop = loop_new();
    h2o_context_init(&wire.context, loop_evloop(wire.loop), &wire.config);
    wire.accept = (h2o_accept_ctx_t){.ctx = &wire.context, .hosts = wire.config.hosts};
    return 0;
}

static int wire_close(void **state)
{
    h2o_context_dispose(&wire.context);
    h2o_config_dispose(&wire.config);
    loop_free(&wire.loop);
    return 0;
}

/* Sends the bytes, half-closes, and returns all that comes back (the caller's to free). */
static char *wire_ask(const char *bytes, size_t len, int (*on_req)(h2o_req_t *req))
{
    int pair[2];
    struct buf heard = {0};
    wire.on_req = on_req;
    wire.closed = false;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
        abort();
    h2o_socket_t *sock =
        h2o_evloop_socket_create(loop_evloop(wire.loop), pair[0], H2O_SOCKET_FLAG_IS_ACCEPTED_CONNECTION);
    sock->on_close.cb = wire_on_close;
    h2o_accept(&wire.accept, sock);
    if (fd_write_all(pair[1], (struct slice){bytes, len}) != 0 || shutdown(pair[1], SHUT_WR) != 0)
        abort();
    for (mono_t until = mono_add(mono_now(), DUR_S(5)); mono_before(mono_now(), until);) {
        char room[65536];
        loop_pass(wire.loop, DUR_MS(1));
        ssize_t n = recv(pair[1], room, sizeof(room), 0);
        if (n > 0)
            buf_add(&heard, room, (size_t)n);
        else if (wire.closed)
            break;
    }
    close(pair[1]);
    loop_pass(wire.loop, DUR_MS(0));
    return heard.len > 0 ? buf_take(&heard) : strdup("");
}

#endif
