/*
 * Promises of responses: nothing that could split, abort or desynchronize reaches libh2o; what is sent is exactly what
 * was made, and the connection can be used again. Problems are RFC 9457 JSON.
 */
#include "http/problem.h"
#include "http/response.h"
#include "wire.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void statuses_outside_200_to_599_are_refused(void **state)
{
    struct http_response r;
    struct error err;
    http_response_init(&r);
    assert_int_equal(http_response_status(&r, 200, &err), 0);
    assert_int_equal(http_response_status(&r, 599, &err), 0);
    static const long bad[] = {0, -1, 99, 100, 101, 199, 600, 999, 1000, 4294967496};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(http_response_status(&r, bad[i], &err), -1);
    assert_int_equal(r.status, 599);
    http_response_free(&r);
}

static void bad_headers_are_refused(void **state)
{
    static const struct {
        const char *name, *value;
    } bad[] = {{"", "x"},
               {"a b", "x"},
               {"a:", "x"},
               {"x\r\ny", "1"},
               {"x-a", "1\r\nx-b: 2"},
               {"x-a", "1\n2"},
               {"x-a", "\x7f"},
               {"x-a", "a\x01z"},
               {"Connection", ""},
               {"content-LENGTH", "1"},
               {"transfer-encoding", "chunked"},
               {"Upgrade", "h2c"},
               {"TE", "x"},
               {"trailer", "x"},
               {"keep-alive", "x"},
               {"proxy-connection", "x"},
               {"Date", "x"},
               {"server", "x"},
               {"\xc3\xa9", "x"}};
    struct http_response r;
    struct error err;
    http_response_init(&r);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        err.text[0] = '\0';
        assert_int_equal(http_response_add(&r, slice_of(bad[i].name), slice_of(bad[i].value), &err), -1);
        assert_true(strlen(err.text) > 0);
    }
    assert_int_equal(r.header_count, 0);
    assert_int_equal(http_response_add(&r, SLICE("X-\0b"), SLICE("1"), &err), -1);
    assert_int_equal(http_response_add(&r, SLICE("X-Ok"), SLICE(" caf\xc3\xa9\t "), &err), 0);
    assert_true(http_response_has(&r, SLICE("x-ok")));
    assert_false(http_response_has(&r, SLICE("x-o")));
    for (int i = 1; i < HTTP_RESPONSE_HEADERS_MAX; i++)
        assert_int_equal(http_response_add(&r, SLICE("set-cookie"), SLICE("a=b"), &err), 0);
    assert_int_equal(http_response_add(&r, SLICE("x"), SLICE("y"), &err), -1);
    http_response_clear(&r);
    assert_int_equal(r.status, 204);
    assert_false(http_response_has(&r, SLICE("x-ok")));
    http_response_free(&r);
}

/* What libh2o packs at once is bounded; a large value that is refused has not been copied. */
static void the_bytes_of_all_are_bounded(void **state)
{
    static char large[HTTP_RESPONSE_BYTES_MAX];
    struct http_response r;
    struct error err;
    http_response_init(&r);
    memset(large, 'x', sizeof(large));
    assert_int_equal(http_response_add(&r, SLICE("a"), (struct slice){large, sizeof(large)}, &err), -1);
    assert_string_equal(err.text, "header a: with it the headers are larger than 64 KiB");
    assert_true(r.bytes.room < 1024);
    assert_int_equal(http_response_add(&r, SLICE("a"), (struct slice){large, sizeof(large) - 3}, &err), 0);
    assert_int_equal(http_response_add(&r, SLICE("b"), SLICE("12"), &err), -1);
    assert_int_equal(http_response_add(&r, SLICE("b"), SLICE("1"), &err), 0);
    http_response_add_own(&r, SLICE("vary"), SLICE("Origin"));
    assert_int_equal(http_response_add(&r, SLICE("c"), SLICE(""), &err), -1);
    http_response_free(&r);
}

static void the_servers_own_have_room_always(void **state)
{
    struct http_response r;
    struct error err;
    http_response_init(&r);
    for (int i = 0; i < HTTP_RESPONSE_HEADERS_MAX; i++)
        assert_int_equal(http_response_add(&r, SLICE("set-cookie"), SLICE("a=b"), &err), 0);
    for (int i = 0; i < HTTP_RESPONSE_HEADERS_OWN; i++)
        http_response_add_own(&r, SLICE("vary"), SLICE("Origin"));
    assert_int_equal(http_response_add(&r, SLICE("x"), SLICE("y"), &err), -1);
    assert_int_equal(r.header_count, HTTP_RESPONSE_HEADERS_MAX + HTTP_RESPONSE_HEADERS_OWN);
    http_response_free(&r);
}

static void what_is_removed_leaves_the_rest_as_it_is(void **state)
{
    struct http_response r;
    struct error err;
    http_response_init(&r);
    http_response_remove(&r, SLICE("x"));
    static const char *const names[] = {"a", "x", "b", "x", "x", "c"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_int_equal(http_response_add(&r, slice_of(names[i]), slice_of(names[i]), &err), 0);
    http_response_remove(&r, SLICE("none"));
    http_response_remove(&r, SLICE("x"));
    assert_int_equal(r.header_count, 3);
    assert_int_equal(r.bytes.len, 6);
    assert_memory_equal(r.bytes.at, "aabbcc", 6);
    assert_false(http_response_has(&r, SLICE("x")));
    assert_true(http_response_has(&r, SLICE("c")));
    http_response_free(&r);
}

static struct http_response planned;

static int send_planned(h2o_req_t *req)
{
    http_response_send(&planned, req);
    return 0;
}

static char *ask(const char *bytes)
{
    return wire_ask(bytes, strlen(bytes), send_planned);
}

static void plan(int status, struct slice body)
{
    http_response_clear(&planned);
    planned.status = status;
    planned.body = body;
}

static unsigned count(const char *in, const char *what)
{
    unsigned n = 0;
    for (const char *at = in; (at = strstr(at, what)) != NULL; at += strlen(what))
        n++;
    return n;
}

static void lengths_are_said_and_connections_kept(void **state)
{
    static const int statuses[] = {200, 201, 202, 404, 500, 302};
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        plan(statuses[i], SLICE("hello"));
        assert_int_equal(http_response_add(&planned, SLICE("X-A"), SLICE("1"), NULL), 0);
        char *heard = ask("GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_int_equal(count(heard, "HTTP/1.1 "), 2);
        assert_int_equal(count(heard, "Content-Length: 5\r\n"), 2);
        assert_int_equal(count(heard, "x-a: 1\r\n"), 2);
        assert_int_equal(count(heard, "\r\n\r\nhello"), 2);
        free(heard);
    }
}

static void no_body_where_there_is_none(void **state)
{
    plan(204, SLICE("EVIL"));
    char *heard = ask("GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(count(heard, "HTTP/1.1 204 No Content\r\n"), 2);
    assert_null(strstr(heard, "EVIL"));
    assert_null(strstr(heard, "Content-Length"));
    free(heard);
    plan(304, SLICE("EVIL"));
    heard = ask("GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(count(heard, "HTTP/1.1 304 Not Modified\r\n"), 2);
    assert_null(strstr(heard, "EVIL"));
    free(heard);
    plan(200, SLICE("four"));
    heard = ask("HEAD / HTTP/1.1\r\nHost: x\r\n\r\nHEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(count(heard, "HTTP/1.1 200 OK\r\n"), 2);
    assert_int_equal(count(heard, "Content-Length: 4\r\n"), 2);
    assert_null(strstr(heard, "four"));
    free(heard);
    plan(200, SLICE_NONE);
    heard = ask("GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(count(heard, "Content-Length: 0\r\n"), 2);
    free(heard);
}

static void a_large_body_arrives_whole(void **state)
{
    static const size_t sizes[] = {65535, 65536, 65537, 200000, 1 << 20};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        char *body = malloc(sizes[i]);
        for (size_t j = 0; j < sizes[i]; j++)
            body[j] = (char)('a' + (j * 7 + j / 1000) % 26);
        plan(200, (struct slice){body, sizes[i]});
        char *heard = ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        const char *at = strstr(heard, "\r\n\r\n");
        assert_non_null(at);
        assert_int_equal(strlen(at + 4), sizes[i]);
        assert_memory_equal(at + 4, body, sizes[i]);
        free(heard);
        free(body);
    }
}

static void every_status_has_a_phrase(void **state)
{
    for (int status = 200; status < 600; status++)
        assert_true(strlen(http_response_reason(status)) > 0);
    assert_string_equal(problem_title(404), "Not Found");
    assert_string_equal(problem_title(599), "Error");
}

static void a_problem_is_json_with_the_request_id(void **state)
{
    struct uuid id = {{0x01, 0x92, 0xab, 0xcd, 0xef, 0x01, 0x70, 0x23, 0x84, 5, 6, 7, 8, 9, 10, 11}};
    struct buf room = {0};
    struct http_response r;
    http_response_init(&r);
    problem_make(&r, 422, SLICE("say \"what\"\n"), &id, SLICE("\"field\":[1,2]"), &room);
    char *body = slice_dup(r.body);
    assert_string_equal(body, "{\"type\":\"about:blank\",\"title\":\"Unprocessable Content\",\"status\":422,"
                              "\"detail\":\"say \\\"what\\\"\\n\",\"request_id\":\"0192abcd-ef01-7023-8405-"
                              "060708090a0b\",\"field\":[1,2]}");
    assert_true(http_response_has(&r, SLICE("content-type")));
    assert_int_equal(r.status, 422);
    free(body);
    http_response_free(&r);
    buf_free(&room);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statuses_outside_200_to_599_are_refused),
        cmocka_unit_test(bad_headers_are_refused),
        cmocka_unit_test(the_bytes_of_all_are_bounded),
        cmocka_unit_test(the_servers_own_have_room_always),
        cmocka_unit_test(what_is_removed_leaves_the_rest_as_it_is),
        cmocka_unit_test(lengths_are_said_and_connections_kept),
        cmocka_unit_test(no_body_where_there_is_none),
        cmocka_unit_test(a_large_body_arrives_whole),
        cmocka_unit_test(every_status_has_a_phrase),
        cmocka_unit_test(a_problem_is_json_with_the_request_id),
    };
    int failed = cmocka_run_group_tests(tests, wire_open, wire_close);
    http_response_free(&planned);
    return failed;
}
