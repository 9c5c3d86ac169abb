/*
 * test_http1_guard.c: what a connection knows of its request's header is of that header, never of one before it.
 */
#include "base/panic.h"
#include "server/body_wanted.h"
#include "server/server_internal.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct phr_header { /* as http1_guard.c has it */
    const char *name;
    size_t name_len;
    const char *value;
    size_t value_len;
};
int phr_parse_request(const char *buf, size_t len, const char **method, size_t *method_len, const char **path,
                      size_t *path_len, int *minor_version, struct phr_header *headers, size_t *num_headers,
                      size_t last_len);

static struct server *s;
static struct area *area;
static h2o_socket_t *sock;
static int peer;

static h2o_socket_t *get_socket(h2o_conn_t *conn)
{
    return sock;
}

static int set_up(void **state)
{
    int pair[2];
    area = need_zero(1, sizeof(*area));
    s = need_zero(1, sizeof(*s));
    s->host.loop = loop_new();
    connections_init(&s->connections, s->host.loop, &area->worker[0].counters,
                     need_zero(1, sizeof(struct config_limits)));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    peer = pair[1];
    sock = h2o_evloop_socket_create(loop_evloop(s->host.loop), pair[0], 0);
    return 0;
}

static int tear_down(void **state)
{
    h2o_socket_close(sock);
    loop_pass(s->host.loop, DUR_MS(0));
    close(peer);
    free((void *)s->connections.limits);
    connections_free(&s->connections);
    loop_free(&s->host.loop);
    free(s);
    free(area);
    return 0;
}

/* As libh2o calls it, with a request of that connection. */
static void parse(const char *text)
{
    h2o_conn_callbacks_t callbacks = {.get_socket = get_socket};
    h2o_conn_t conn = {.callbacks = &callbacks};
    h2o_req_t *req = need_zero(1, sizeof(*req));
    struct phr_header headers[8];
    size_t count = 8, len = strlen(text);
    int minor;
    req->conn = &conn;
    assert_int_equal(phr_parse_request(text, len, (const char **)&req->input.method.base, &req->input.method.len,
                                       (const char **)&req->input.path.base, &req->input.path.len, &minor, headers,
                                       &count, 0),
                     len);
    free(req);
}

static void each_header_begins_anew(void **state)
{
    static const char *const texts[] = {"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                                        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"};
    struct connection *c = connections_add(&s->connections, sock);
    assert_true(c->body_most == BODY_UNKNOWN);
    for (size_t i = 0; i < 2; i++) {
        c->body_most = 1000;
        c->unread = true;
        c->framing = "there is more than one Host header";
        parse(texts[i]);
        assert_true(c->body_most == BODY_UNKNOWN);
        assert_false(c->unread);
        assert_null(c->framing);
    }
    parse("GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n");
    assert_string_equal(c->framing, "there is more than one Host header");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_header_begins_anew)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
