/*
 * Promises of streams: what is written arrives whole and in order, in the framing of the client's version, on a
 * connection that can be used again; what is broken off has no clean end; a writer is told when there is room, and when
 * its client has gone.
 */
#include "http/stream.h"
#include "wire.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

enum how { END, ABORT, STAY };

static struct { /* what the handler does, and what happened */
    int status;
    long long length;
    const char *pieces[4];
    size_t large, written; /* instead of pieces: so many bytes, as there is room */
    bool late;             /* these are written when nothing is left to send */
    enum how how;
    struct http_stream *stream;
    unsigned ready, gone;
    bool inside; /* a call of the stream's is on the stack */
} plan;

static void finish(struct http_stream *s)
{
    if (plan.how == END)
        http_stream_end(s);
    else if (plan.how == ABORT)
        http_stream_abort(s);
}

static bool write_piece(struct http_stream *s, const void *at, size_t len)
{
    plan.inside = true;
    bool room = http_stream_write(s, (struct slice){at, len});
    plan.inside = false;
    return room;
}

static void write_large(struct http_stream *s)
{
    static char piece[HTTP_STREAM_PIECE - 1000];
    bool room = true;
    while (room && plan.written < plan.large) {
        size_t len = plan.large - plan.written < sizeof(piece) ? plan.large - plan.written : sizeof(piece);
        for (size_t i = 0; i < len; i++)
            piece[i] = (char)('a' + (plan.written + i) % 23);
        plan.written += len;
        room = write_piece(s, piece, len);
    }
    if (plan.written == plan.large && room)
        finish(s);
}

static void ready(void *cookie)
{
    assert_ptr_equal(cookie, &plan);
    assert_false(plan.inside);
    plan.ready++;
    if (plan.written < plan.large)
        write_large(plan.stream);
    else
        finish(plan.stream);
}

static void gone(void *cookie)
{
    assert_ptr_equal(cookie, &plan);
    plan.gone++;
}

static int begin(h2o_req_t *req)
{
    static const struct http_stream_events ahead = {.ready = ready, .gone = gone};
    static const struct http_stream_events late = {.ready = ready, .late = true, .gone = gone};
    struct http_response r;
    http_response_init(&r);
    r.status = plan.status;
    assert_int_equal(http_response_add(&r, SLICE("X-A"), SLICE("1"), NULL), 0);
    if (h2o_memis(req->method.base, req->method.len, H2O_STRLIT("HEAD"))) {
        http_stream_head(&r, req, plan.length);
        http_response_free(&r);
        return 0;
    }
    plan.stream = http_stream_begin(wire.loop, &r, req, plan.length, plan.late ? &late : &ahead, &plan);
    http_response_free(&r);
    plan.written = 0;
    if (plan.large > 0) {
        write_large(plan.stream);
        return 0;
    }
    for (size_t i = 0; i < 4 && plan.pieces[i] != NULL; i++)
        assert_true(write_piece(plan.stream, plan.pieces[i], strlen(plan.pieces[i])));
    finish(plan.stream);
    return 0;
}

static char *ask(const char *bytes)
{
    plan.ready = plan.gone = 0;
    return wire_ask(bytes, strlen(bytes), begin);
}

static unsigned count(const char *in, const char *what)
{
    unsigned n = 0;
    for (const char *at = in; (at = strstr(at, what)) != NULL; at += strlen(what))
        n++;
    return n;
}

#define TWICE "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"

static void http11_gets_chunks_whatever_the_status_is(void **state)
{
    static const int statuses[] = {200, 201, 404, 503};
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        plan.status = statuses[i];
        plan.length = -1;
        plan.pieces[0] = "hello ";
        plan.pieces[1] = "world";
        plan.how = END;
        char *heard = ask(TWICE);
        assert_int_equal(count(heard, "HTTP/1.1 "), 2);
        assert_int_equal(count(heard, "ransfer-encoding: chunked\r\n") + count(heard, "ransfer-Encoding: chunked\r\n"),
                         2);
        assert_int_equal(count(heard, "\r\n\r\nb\r\nhello world\r\n0\r\n\r\n"), 2); /* coalesced */
        assert_int_equal(count(heard, "x-a: 1\r\n"), 2);
        assert_int_equal(count(heard, "onnection: keep-alive"), 2);
        assert_int_equal(count(heard, "ontent-"), 0);
        assert_int_equal(plan.gone, 0);
        free(heard);
    }
}

static void an_empty_stream_has_a_clean_end(void **state)
{
    plan.status = 200;
    plan.length = -1;
    plan.pieces[0] = NULL;
    plan.how = END;
    char *heard = ask(TWICE);
    assert_int_equal(count(heard, "\r\n\r\n0\r\n\r\n"), 2);
    free(heard);
    plan.length = 0;
    heard = ask(TWICE);
    assert_int_equal(count(heard, "Content-Length: 0\r\n"), 2);
    assert_int_equal(count(heard, "chunked"), 0);
    free(heard);
}

static void a_known_length_is_said_and_nothing_is_framed(void **state)
{
    plan.status = 206;
    plan.length = 11;
    plan.pieces[0] = "hello ";
    plan.pieces[1] = "world";
    plan.how = END;
    char *heard = ask(TWICE);
    assert_int_equal(count(heard, "Content-Length: 11\r\n"), 2);
    assert_int_equal(count(heard, "\r\n\r\nhello world"), 2);
    assert_int_equal(count(heard, "chunked"), 0);
    free(heard);
}

static void http10_gets_the_end_of_the_connection(void **state)
{
    plan.status = 200;
    plan.length = -1;
    plan.pieces[0] = "hello ";
    plan.pieces[1] = "world";
    plan.how = END;
    char *heard = ask("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n");
    assert_int_equal(count(heard, "HTTP/1.1 200 OK\r\n"), 1);
    assert_int_equal(count(heard, "onnection: close\r\n"), 1);
    assert_int_equal(count(heard, "chunked"), 0);
    assert_string_equal(strstr(heard, "\r\n\r\n"), "\r\n\r\nhello world");
    free(heard);
}

static void head_gets_headers_alone(void **state)
{
    plan.status = 200;
    plan.length = -1;
    char *heard = ask("HEAD / HTTP/1.1\r\nHost: x\r\n\r\nHEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(count(heard, "HTTP/1.1 200 OK\r\n"), 2);
    assert_int_equal(count(heard, "ontent-Length"), 0);
    free(heard);
    plan.length = 42;
    heard = ask("HEAD / HTTP/1.1\r\nHost: x\r\n\r\nHEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(count(heard, "Content-Length: 42\r\n"), 2);
    free(heard);
}

static void what_is_broken_off_has_no_clean_end(void **state)
{
    plan.status = 200;
    plan.pieces[0] = "hello ";
    plan.pieces[1] = NULL;
    plan.how = ABORT;
    for (plan.length = -1; plan.length < 12; plan.length += 12) {
        char *heard = ask(TWICE);
        assert_int_equal(count(heard, "HTTP/1.1 200 OK\r\n"), 1); /* the connection is not used again */
        assert_null(strstr(heard, "0\r\n\r\n"));
        assert_true(wire.closed);
        assert_int_equal(plan.gone, 0);
        free(heard);
    }
}

static void large_bodies_go_as_there_is_room(void **state)
{
    static const size_t sizes[] = {HTTP_STREAM_PIECE - 1, HTTP_STREAM_PIECE, HTTP_STREAM_PIECE + 1, 5000000};
    plan.status = 200;
    plan.how = END;
    for (size_t k = 0; k < 2 * sizeof(sizes) / sizeof(sizes[0]); k++) {
        size_t i = k / 2;
        plan.late = k % 2 == 1;
        plan.large = sizes[i];
        plan.length = (long long)sizes[i];
        char *heard = ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        const char *body = strstr(heard, "\r\n\r\n") + 4;
        assert_int_equal(strlen(body), sizes[i]);
        for (size_t j = 0; j < sizes[i]; j++)
            if (body[j] != (char)('a' + j % 23))
                fail_msg("byte %zu of %zu is wrong", j, sizes[i]);
        if (sizes[i] >= HTTP_STREAM_PIECE)
            assert_true(plan.ready > 0);
        free(heard);
    }
    plan.large = 0;
    plan.late = false;
}

static void a_writer_hears_of_its_client_that_has_gone(void **state)
{
    static const char asked[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    int pair[2];
    plan.status = 200;
    plan.length = -1;
    plan.pieces[0] = "hello";
    plan.how = STAY;
    plan.gone = plan.ready = 0;
    plan.stream = NULL;
    wire.on_req = begin;
    wire.closed = false;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    h2o_socket_t *sock =
        h2o_evloop_socket_create(loop_evloop(wire.loop), pair[0], H2O_SOCKET_FLAG_IS_ACCEPTED_CONNECTION);
    sock->on_close.cb = wire_on_close;
    h2o_accept(&wire.accept, sock);
    assert_int_equal(fd_write_all(pair[1], (struct slice){asked, strlen(asked)}), 0);
    for (int i = 0; i < 20; i++)
        loop_pass(wire.loop, DUR_MS(1));
    assert_non_null(plan.stream);
    assert_false(http_stream_waits(plan.stream)); /* "hello" is delivered */
    close(pair[1]);
    for (int i = 0; i < 20 && plan.gone == 0; i++) {
        write_piece(plan.stream, "more", 4);
        loop_pass(wire.loop, DUR_MS(1));
    }
    assert_int_equal(plan.gone, 1);
    assert_true(wire.closed);
    loop_pass(wire.loop, DUR_MS(0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(http11_gets_chunks_whatever_the_status_is),
        cmocka_unit_test(an_empty_stream_has_a_clean_end),
        cmocka_unit_test(a_known_length_is_said_and_nothing_is_framed),
        cmocka_unit_test(http10_gets_the_end_of_the_connection),
        cmocka_unit_test(head_gets_headers_alone),
        cmocka_unit_test(what_is_broken_off_has_no_clean_end),
        cmocka_unit_test(large_bodies_go_as_there_is_room),
        cmocka_unit_test(a_writer_hears_of_its_client_that_has_gone),
    };
    signal(SIGPIPE, SIG_IGN); /* as a worker does */
    return cmocka_run_group_tests(tests, wire_open, wire_close);
}
