/*
 * Promises of the view: what a stranger sends arrives decoded once, or is refused with words; a detached view outlives
 * libh2o's request. Asked through libh2o itself, with raw bytes.
 */
#include "http/request.h"
#include "wire.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct http_request seen; /* detached */
static const char *refused;

static int look(h2o_req_t *req)
{
    struct http_request view;
    refused = NULL;
    if (http_request_view(req, wall_now(), &view, &refused) == 0) {
        http_request_free(&seen);
        http_request_detach(&view);
        void *own = view.own;
        http_request_detach(&view);
        assert_ptr_equal(view.own, own);
        seen = view;
    }
    req->res.status = 200;
    req->res.reason = "OK";
    req->res.content_length = 2;
    h2o_send_inline(req, "ok", 2);
    return 0;
}

static void ask(const char *bytes)
{
    free(wire_ask(bytes, strlen(bytes), look));
}

static void is(struct slice s, const char *expected)
{
    if (expected == NULL) {
        assert_null(s.at);
        return;
    }
    char *text = slice_dup(s);
    assert_string_equal(text, expected);
    free(text);
}

static void all_parts_arrive(void **state)
{
    ask("POST /a/b?x=1&y HTTP/1.1\r\nHost: Hooks.Example.COM:8080\r\nX-One: 1\r\nx-one: 2\r\nContent-Length: "
        "4\r\n\r\nbody");
    assert_null(refused);
    is(seen.method, "POST");
    is(seen.path, "/a/b");
    is(seen.raw_path, "/a/b");
    is(seen.query, "x=1&y");
    is(seen.authority, "Hooks.Example.COM:8080");
    is(seen.host, "hooks.example.com");
    is(seen.scheme, "http");
    is(seen.body, "body");
    assert_int_equal(seen.client.kind, IP_UNIX);
    assert_int_equal(seen.version, 0x101);
    is(http_request_header(&seen, SLICE("x-one")), "1");
    is(http_request_header(&seen, SLICE("host")), "Hooks.Example.COM:8080");
    is(http_request_header(&seen, SLICE("content-length")), "4");
    is(http_request_header(&seen, SLICE("x-two")), NULL);
    assert_int_equal(seen.header_count, 4);
    assert_int_equal(seen.header_bytes, 5 + 1 + 5 + 1 + 4 + 22 + 14 + 1);
}

static void no_query_and_an_empty_one_differ(void **state)
{
    ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    is(seen.query, NULL);
    is(seen.body, NULL);
    ask("GET /? HTTP/1.1\r\nHost: x\r\n\r\n");
    is(seen.query, "");
    is(seen.path, "/");
}

static void paths_are_decoded_once_and_resolved(void **state)
{
    static const struct {
        const char *sent, *path;
    } cases[] = {
        {"/", "/"},
        {"/a/", "/a"},
        {"/a//", "/a"},
        {"//", "/"},
        {"/a//b", "/a//b"},
        {"/a%20b", "/a b"},
        {"/%61", "/a"},
        {"/%2561", "/%61"},
        {"/a/./b", "/a/b"},
        {"/a/../b", "/b"},
        {"/a/..", "/"},
        {"/../../b", "/b"},
        {"/%2e%2e/b", "/b"},
        {"/a/%2e%2e%2fb", "/b"},
        {"/a/.", "/a"},
        {"/.well-known/x", "/.well-known/x"},
        {"/a/..b/...", "/a/..b/..."},
        {"/%C3%A9", "/\xc3\xa9"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char bytes[200];
        snprintf(bytes, sizeof(bytes), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", cases[i].sent);
        ask(bytes);
        assert_null(refused);
        is(seen.path, cases[i].path);
        is(seen.raw_path, cases[i].sent);
    }
}

static void a_target_alone_is_read_as_in_a_view(void **state)
{
    static const char *const sent[] = {
        "/", "/a%20b/../c?x=1?y", "http://Other:81/p?q=1", "https://other?x=/", "/a.b./?", "/%zz", "*"};
    h2o_mem_pool_t pool;
    h2o_mem_init_pool(&pool);
    for (size_t i = 0; i < sizeof(sent) / sizeof(sent[0]); i++) {
        char bytes[200];
        snprintf(bytes, sizeof(bytes), "GET %s HTTP/1.1\r\nHost: Name.:8080\r\n\r\n", sent[i]);
        ask(bytes);
        struct http_request alone = {.raw_path = slice_of(sent[i]), .authority = SLICE("Name.:8080"), .version = 0x101};
        const char *why = NULL;
        assert_int_equal(http_request_target(&pool, &alone, &why) == 0, refused == NULL);
        if (why != NULL) {
            assert_string_equal(why, refused);
            continue;
        }
        assert_true(slice_equal(alone.host, seen.host) && slice_equal(alone.path, seen.path));
        assert_true(slice_equal(alone.query, seen.query) && (alone.query.at == NULL) == (seen.query.at == NULL));
    }
    h2o_mem_clear_pool(&pool);
}

static void what_cannot_be_a_path_is_refused(void **state)
{
    static const char *const sent[] = {"/%", "/%4", "/%zz", "/a%00b", "*", "a/b", "?x", "ftp://x/y"};
    for (size_t i = 0; i < sizeof(sent) / sizeof(sent[0]); i++) {
        char bytes[200];
        snprintf(bytes, sizeof(bytes), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", sent[i]);
        ask(bytes);
        assert_non_null(refused);
    }
}

static void absolute_form_names_the_host(void **state)
{
    ask("GET http://Other:81/p?q=1 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_null(refused);
    is(seen.path, "/p");
    is(seen.query, "q=1");
    is(seen.host, "other");
    ask("GET HTTPS://other?q HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_null(refused);
    is(seen.path, "/");
    is(seen.query, "q");
    is(seen.host, "other");
}

static void hosts_lose_their_port(void **state)
{
    ask("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n");
    is(seen.host, "[::1]");
    ask("GET / HTTP/1.1\r\nHost: a.b.:80\r\n\r\n");
    is(seen.host, "a.b");
}

static void hosts_are_read_alike_whatever_was_asked_before(void **state)
{
    static const struct {
        const char *sent, *host; /* NULL: refused */
    } all[] = {{"a.b:80", "a.b"}, {"a.b:80", "a.b"}, {"a.b:81", "a.b"},    {"a.b.:80", "a.b"},  {"a.b.:80", "a.b"},
               {"A.b:80", "a.b"}, {"a.b:80", "a.b"}, {"a.b:8", "a.b"},     {"a.b:80x", NULL},   {"a.b:80", "a.b"},
               {"a.c:80", "a.c"}, {"a c:80", NULL},  {"[::1]:1", "[::1]"}, {"[::1]:1", "[::1]"}};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        char text[80];
        snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", all[i].sent);
        ask(text);
        assert_true((refused == NULL) == (all[i].host != NULL));
        if (all[i].host != NULL)
            is(seen.host, all[i].host);
    }
}

static void a_folded_header_is_refused(void **state)
{
    ask("GET / HTTP/1.1\r\nHost: x\r\nX-A: 1\r\n folded\r\n\r\n");
    assert_non_null(refused);
    assert_non_null(strstr(refused, "folded"));
}

static void what_is_no_host_is_refused(void **state)
{
    static const char *const bad[] = {"a b", "a/b", "u@a", "a,b", "[::1", "a:99999", ""};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char text[80];
        snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", bad[i]);
        ask(text);
        assert_non_null(refused);
    }
    ask("GET http://u:p@a/ HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_non_null(refused);
}

static void a_missing_host_is_refused_but_for_http_1_0(void **state)
{
    ask("GET / HTTP/1.1\r\n\r\n");
    assert_non_null(refused);
    ask("GET / HTTP/1.0\r\n\r\n");
    assert_null(refused);
    is(seen.host, NULL);
    assert_int_equal(seen.header_count, 0);
}

static void a_chunked_body_arrives_whole(void **state)
{
    ask("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    is(seen.body, "abcde");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_parts_arrive),
        cmocka_unit_test(no_query_and_an_empty_one_differ),
        cmocka_unit_test(paths_are_decoded_once_and_resolved),
        cmocka_unit_test(a_target_alone_is_read_as_in_a_view),
        cmocka_unit_test(what_cannot_be_a_path_is_refused),
        cmocka_unit_test(absolute_form_names_the_host),
        cmocka_unit_test(hosts_lose_their_port),
        cmocka_unit_test(hosts_are_read_alike_whatever_was_asked_before),
        cmocka_unit_test(a_folded_header_is_refused),
        cmocka_unit_test(what_is_no_host_is_refused),
        cmocka_unit_test(a_missing_host_is_refused_but_for_http_1_0),
        cmocka_unit_test(a_chunked_body_arrives_whole),
    };
    int failed = cmocka_run_group_tests(tests, wire_open, wire_close);
    http_request_free(&seen);
    return failed;
}
