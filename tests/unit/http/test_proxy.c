/*
 * Promises of reply.proxy on the way: nothing that belongs to one connection crosses, nobody is believed to be whom he
 * says he is, nothing that two readers might read in two ways goes on, and the least busy upstream that does well is
 * asked.
 */
#include "http/proxy.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* --- a request, as text: "GET http://…\nname: value\n…|body" --------------------------------------------------------
 */

static struct http_header given[96];
static struct http_request from;
static struct proxy_upstream upstreams[3];
static struct proxy_change changes[8];
static struct proxy_plan plan;
static struct trace trace;
static struct proxy_room room;
static struct httpc_request made;
static struct proxy_refusal refusal;

static void upstream(size_t i, const char *url)
{
    struct buf origin = {0};
    assert_null(url_parse(slice_of(url), &upstreams[i].url));
    url_origin(&upstreams[i].url, &origin);
    memcpy(upstreams[i].origin, origin.at, origin.len);
    upstreams[i].origin_len = origin.len;
    buf_free(&origin);
    plan.upstreams = upstreams;
    plan.upstream_count = i + 1;
}

/* path: decoded, as the router sees it. */
static void request(const char *method, const char *raw, const char *path, const char *query)
{
    memset(&plan, 0, sizeof(plan));
    trace = (struct trace){.carried = false};
    upstream(0, "http://up:81");
    from = (struct http_request){.method = slice_of(method),
                                 .raw_path = slice_of(raw),
                                 .path = slice_of(path),
                                 .query = slice_of(query),
                                 .authority = SLICE("api.example.com"),
                                 .host = SLICE("api.example.com"),
                                 .scheme = SLICE("https"),
                                 .client = {.kind = IP_V4, .at = {192, 0, 2, 7}},
                                 .version = 0x101,
                                 .headers = given};
}

static void header(const char *name, const char *value)
{
    given[from.header_count++] = (struct http_header){slice_of(name), slice_of(value)};
    from.header_bytes += strlen(name) + strlen(value);
}

static void change(const char *name, const char *value)
{
    changes[plan.request.count++] = (struct proxy_change){slice_of(name), slice_of(value)};
    plan.request.at = changes;
}

static int make(void)
{
    refusal = (struct proxy_refusal){0};
    return proxy_request(&plan, plan.upstreams, &from, &trace, &room, &made, &refusal);
}

static void url_is(const char *url)
{
    assert_int_equal(make(), 0);
    char *text = slice_dup(made.url);
    assert_string_equal(text, url);
    free(text);
}

static void refused(int status, const char *words)
{
    assert_int_equal(make(), -1);
    assert_int_equal(refusal.status, status);
    assert_non_null(strstr(refusal.words, words));
}

/* Of a field: its value, values with '|' between, or NULL: it is not there. */
static const char *sent(const char *name)
{
    static char text[1024];
    size_t count = 0;
    text[0] = '\0';
    for (size_t i = 0; i < made.header_count; i++)
        if (slice_equal(made.headers[i].name, slice_of(name))) {
            if (count++ > 0)
                strcat(text, "|");
            strncat(text, made.headers[i].value.at, made.headers[i].value.len);
        }
    return count > 0 ? text : NULL;
}

static void the_path_is_the_requests_own_unless_the_url_has_one(void **state)
{
    request("GET", "/a%2fb/%41?c", "/a/b/A?c", "x=1&y=%20");
    url_is("http://up:81/a%2fb/%41?c?x=1&y=%20");
    request("GET", "/", "/", NULL);
    url_is("http://up:81/");
    request("GET", "/", "/", "");
    url_is("http://up:81/?");
    request("GET", "/a/b/", "/a/b", "q");
    url_is("http://up:81/a/b/?q");
    upstream(0, "http://up:81/v2/items");
    url_is("http://up:81/v2/items?q");
    upstream(0, "http://up:81/");
    url_is("http://up:81/?q");
    upstream(0, "http://up:81/v2?own=1");
    url_is("http://up:81/v2?own=1");
    upstream(0, "http://up:81?own=1");
    url_is("http://up:81/a/b/?own=1");
    /* what HTTP/2 may carry in a path */
    request("GET", "/a b\xc3\xa9\"", "/a b\xc3\xa9\"", NULL);
    url_is("http://up:81/a%20b%C3%A9%22");
}

static void a_prefix_is_stripped_and_dot_segments_never_leave_the_base(void **state)
{
    static const struct {
        const char *raw, *path, *url;
    } cases[] = {
        {"/api/x", "/api/x", "http://up:81/v2/x"},
        {"/api", "/api", "http://up:81/v2/"}, /* as it was written */
        {"/api/", "/api", "http://up:81/v2/"},
        {"/api/a%2Fb/", "/api/a/b", "http://up:81/v2/a%2Fb/"},
        {"/%61pi/a%2Fb%3f%25", "/api/a/b?%", "http://up:81/v2/a/b%3F%25"}, /* another spelling: as it was routed */
        {"/api/%2e%2e/api/x", "/api/x", "http://up:81/v2/x"},
        {"/api/x/../y", "/api/y", "http://up:81/v2/y"},
        {"/api/x%2f..%2fy/", "/api/y", "http://up:81/v2/y/"},
        {"/api/..a/.b/...", "/api/..a/.b/...", "http://up:81/v2/..a/.b/..."},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        request("GET", cases[i].raw, cases[i].path, NULL);
        plan.strip = SLICE("/api");
        upstream(0, i % 2 == 0 ? "http://up:81/v2" : "http://up:81/v2/");
        url_is(cases[i].url);
    }
    request("GET", "/api/x", "/api/x", "q=1");
    plan.strip = SLICE("/api");
    url_is("http://up:81/x?q=1");
    request("GET", "/api", "/api", NULL);
    plan.strip = SLICE("/api");
    url_is("http://up:81/");
    request("GET", "/apix/y", "/apix/y", NULL);
    plan.strip = SLICE("/api");
    refused(500, "does not begin with");
    assert_true(refusal.script);
    request("GET", "/x/%2e%2e/y", "/y", NULL); /* without a prefix, too: as it was routed */
    url_is("http://up:81/y");
}

static void what_belongs_to_the_connection_stays(void **state)
{
    static const char *const own[] = {"keep-alive",
                                      "proxy-connection",
                                      "te",
                                      "trailer",
                                      "upgrade",
                                      "transfer-encoding",
                                      "expect",
                                      "http2-settings",
                                      "connection",
                                      "proxy-authorization",
                                      "content-length",
                                      "x-named",
                                      "x-other"};
    request("GET", "/", "/", NULL);
    header("accept", "*/*");
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        header(own[i], slice_equal(slice_of(own[i]), SLICE("connection")) ? "close,\tX-Named , x-OTHER,," : "1");
    header("authorization", "Bearer t");
    assert_int_equal(make(), 0);
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        assert_null(sent(own[i]));
    assert_string_equal(sent("accept"), "*/*");
    assert_string_equal(sent("authorization"), "Bearer t");
    assert_null(sent("host"));
    assert_true(made.bare && !made.decompress && !made.http2 && made.redirects == 0);
}

static void nobody_says_who_he_is(void **state)
{
    static const char *const lies[] = {"x-forwarded-for",  "x-forwarded-proto", "x-forwarded-host",
                                       "x-forwarded-port", "x-forwarded-user",  "x-real-ip",
                                       "forwarded",        "x-request-id",      "traceparent"};
    request("GET", "/", "/", NULL);
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++)
        header(lies[i], "lie");
    header("connection", "x-forwarded-for, via");
    header("tracestate", "a=b");
    header("via", "1.0 fred");
    assert_int_equal(make(), 0);
    assert_string_equal(sent("x-forwarded-for"), "192.0.2.7");
    assert_string_equal(sent("x-forwarded-proto"), "https");
    assert_string_equal(sent("x-forwarded-host"), "api.example.com");
    assert_int_equal(strlen(sent("x-request-id")), UUID_TEXT);
    assert_null(sent("x-forwarded-port"));
    assert_null(sent("x-forwarded-user"));
    assert_null(sent("x-real-ip"));
    assert_null(sent("forwarded"));
    assert_null(sent("traceparent"));
    assert_string_equal(sent("tracestate"), "a=b");
    assert_string_equal(sent("via"), "1.1 crescent"); /* his Connection named the one that came */
    trace = (struct trace){.id = {1}, .span = {2}, .flags = 1, .carried = true};
    assert_int_equal(make(), 0);
    assert_string_equal(sent("traceparent"), "00-01000000000000000000000000000000-0200000000000000-01");
    from.client.kind = IP_UNIX;
    from.header_count = 0;
    from.version = 0x200;
    header("via", "1.0 fred");
    assert_int_equal(make(), 0);
    assert_null(sent("x-forwarded-for"));
    assert_string_equal(sent("via"), "1.0 fred|2 crescent");
}

/* To an upstream with header fields as variables of CGI, '_' and '-' are the same. */
static void nor_with_an_underscore(void **state)
{
    static const char *const lies[] = {
        "x_forwarded_for", "x_forwarded-proto", "x-forwarded_host",  "x_forwarded_user", "x_real_ip",
        "x_request_id",    "content_length",    "transfer_encoding", "x_user",           "x_gone"};
    request("GET", "/", "/", NULL);
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++)
        header(lies[i], "lie");
    header("x_mine", "1");
    header("x-set", "2");
    change("x-user", "alice");
    change("x-gone", NULL);
    change("x_set", "3");
    assert_int_equal(make(), 0);
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++)
        assert_null(sent(lies[i]));
    assert_string_equal(sent("x-forwarded-for"), "192.0.2.7");
    assert_string_equal(sent("x-user"), "alice");
    assert_string_equal(sent("x_mine"), "1"); /* it is nobody's twin */
    assert_string_equal(sent("x-set"), "2");
    assert_string_equal(sent("x_set"), "3");
}

static void scripts_set_and_leave_out(void **state)
{
    request("POST", "/", "/", NULL);
    header("x-a", "1");
    header("x-b", "2");
    header("cookie", "a=b");
    change("x-a", "3");
    change("x-b", NULL);
    change("x-c", "4");
    change("x-c", "5");
    change("via", NULL);
    change("x-forwarded-for", "198.51.100.1, 192.0.2.7");
    change("cookie", NULL);
    plan.host_how = PROXY_HOST_PASS;
    assert_int_equal(make(), 0);
    assert_string_equal(sent("x-a"), "3");
    assert_null(sent("x-b"));
    assert_string_equal(sent("x-c"), "4|5");
    assert_null(sent("via"));
    assert_null(sent("cookie"));
    assert_string_equal(sent("x-forwarded-for"), "198.51.100.1, 192.0.2.7");
    assert_string_equal(sent("host"), "api.example.com");
    plan.host_how = PROXY_HOST_SET;
    plan.host = SLICE("inner");
    assert_int_equal(make(), 0);
    assert_string_equal(sent("host"), "inner");
    from.authority = SLICE_NONE; /* HTTP/1.0 may have none */
    plan.host_how = PROXY_HOST_PASS;
    assert_int_equal(make(), 0);
    assert_null(sent("host"));
}

static void cookies_of_http2_are_one_field(void **state)
{
    request("GET", "/", "/", NULL);
    header("cookie", "a=1");
    header("x", "y");
    header("cookie", "b=2");
    header("cookie", "c=3");
    assert_int_equal(make(), 0);
    assert_string_equal(sent("cookie"), "a=1; b=2; c=3");
}

static void bodies_go_as_they_are(void **state)
{
    static const struct {
        const char *method, *body;
        long long len; /* -1: none */
        bool twice;
    } cases[] = {{"GET", NULL, -1, true},   {"GET", "x", 1, true},       {"HEAD", "x", -1, true},
                 {"POST", NULL, 0, false},  {"POST", "abc", 3, false},   {"PUT", NULL, 0, true},
                 {"DELETE", "x", 1, true},  {"DELETE", NULL, -1, true},  {"PATCH", NULL, 0, false},
                 {"OPTIONS", "", -1, true}, {"PROPFIND", "x", 1, false}, {"get", NULL, -1, false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        request(cases[i].method, "/", "/", NULL);
        from.body = slice_of(cases[i].body);
        assert_int_equal(make(), 0);
        assert_int_equal(made.body.at == NULL ? -1 : (long long)made.body.len, cases[i].len);
        assert_true(made.body_stays);
        assert_int_equal(made.repeatable, cases[i].twice);
    }
    static const struct {
        const char *method, *body;
        bool none, goes; /* none: the script wants none */
    } types[] = {{"GET", "", false, true}, {"GET", "x", false, true},   {"GET", "x", true, false},
                 {"GET", "", true, false}, {"HEAD", "x", false, false}, {"HEAD", "", false, true},
                 {"POST", "", false, true}};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        request(types[i].method, "/", "/", NULL);
        from.body = slice_of(types[i].body);
        plan.has_body = types[i].none;
        header("content-type", "a/b");
        header("content-encoding", "gzip");
        assert_int_equal(make(), 0);
        assert_int_equal(sent("content-type") != NULL, types[i].goes);
        assert_int_equal(sent("content-encoding") != NULL, types[i].goes);
    }
    request("POST", "/", "/", NULL);
    from.body = SLICE("abc");
    plan.has_body = true;
    plan.body = SLICE("other");
    plan.method = SLICE("PUT");
    assert_int_equal(make(), 0);
    assert_true(slice_equal(made.body, SLICE("other")) && slice_equal(made.method, SLICE("PUT")) && made.repeatable);
    plan.body = SLICE_NONE;
    plan.method = SLICE("GET");
    assert_int_equal(make(), 0);
    assert_null(made.body.at);
}

static void what_http1_cannot_carry_goes_nowhere(void **state)
{
    static const char *const names[] = {"x y", "x:", "x\r\nhost", "", "x\x01", "(x)"};
    static const char *const values[] = {"a\r\nx: y", "a\nb", "\x01", "a\x7f"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        request("GET", "/", "/", NULL);
        header(names[i], "v");
        refused(400, "malformed");
    }
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        request("GET", "/", "/", NULL);
        header("x", values[i]);
        refused(400, "malformed");
        request("GET", "/", "/", NULL);
        from.authority = slice_of(values[i]);
        refused(400, "host is malformed");
    }
    request("GET / HTTP/1.1\r\nx: y", "/", "/", NULL);
    refused(400, "method");
    request("CONNECT", "/", "/", NULL);
    refused(501, "method");
    request("TRACE", "/", "/", NULL);
    refused(501, "method");
    request("GET", "/", "/", NULL);
    header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    refused(501, "WebSocket");
    request("GET", "/", "/", NULL);
    for (int i = 0; i < 4; i++)
        header("via", "1.1 crescent, 1.0 fred (x), 2 crescent");
    refused(508, "circles");
}

/* --- replies ---------------------------------------------------------------------------------------------------------
 */

static struct http_response answer;
static long long length;
static struct error words;

static int reply(int status, const char *head)
{
    struct httpc_reply r = {.status = status, .head = slice_of(head)};
    http_response_clear(&answer);
    return proxy_response(&plan, plan.upstreams, &r, &answer, &length, &words);
}

/* "a: 1|b: 2|" */
static const char *fields(void)
{
    static char text[4096];
    size_t at = 0;
    char *to = text;
    *to = '\0';
    for (size_t i = 0; i < answer.header_count; i++) {
        const char *name = answer.bytes.at + at, *value = name + answer.header[i].name_len;
        to += snprintf(to, (size_t)(text + sizeof(text) - to), "%.*s: %.*s|", (int)answer.header[i].name_len, name,
                       (int)answer.header[i].value_len, value);
        at += answer.header[i].name_len + answer.header[i].value_len;
    }
    return text;
}

static void a_reply_comes_back_without_what_is_of_its_connection(void **state)
{
    request("GET", "/", "/", NULL);
    assert_int_equal(reply(200, "Content-Type: text/css\r\nContent-Length: 12\r\nConnection: keep-alive\r\nKeep-Alive: "
                                "timeout=5\r\nDate: now\r\nServer: nginx\r\nSet-Cookie: a=1; Path=/\r\nset-cookie: "
                                "b=2\r\nContent-Encoding: gzip\r\nProxy-Authenticate: Basic\r\nX-Empty:\r\n"),
                     0);
    assert_string_equal(fields(), "content-type: text/css|set-cookie: a=1; Path=/|set-cookie: b=2|content-encoding: "
                                  "gzip|x-empty: |");
    assert_int_equal(answer.status, 200);
    assert_int_equal(length, 12);
    assert_int_equal(reply(404, "Connection: close, X-Secret\r\nConnection: x-other\r\nx-secret: 1\r\nX-Other: 2\r\na: "
                                "b\r\n"),
                     0);
    assert_string_equal(fields(), "a: b|");
    assert_int_equal(length, -1);
    assert_int_equal(reply(200, "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), 0);
    assert_string_equal(fields(), "");
    assert_int_equal(length, -1);
    assert_int_equal(reply(200, "Content-Length: 7\r\nContent-Length: 7\r\n"), 0);
    assert_int_equal(length, 7);
    http_response_free(&answer);
}

static void scripts_change_the_reply(void **state)
{
    static const struct proxy_change back[] = {
        {{"x-a", 3}, {"new", 3}}, {{"set-cookie", 10}, {NULL, 0}}, {{"x-b", 3}, {"1", 1}}, {{"x-b", 3}, {"2", 1}}};
    request("GET", "/", "/", NULL);
    plan.response = (struct proxy_changes){back, 4};
    assert_int_equal(reply(200, "X-A: old\r\nSet-Cookie: a=1\r\nx-c: 3\r\n"), 0);
    assert_string_equal(fields(), "x-c: 3|x-a: new|x-b: 1|x-b: 2|");
    http_response_free(&answer);
}

static void what_readers_may_disagree_about_does_not_come_back(void **state)
{
    static const char *const bad[] = {
        "a: b\r\n folded\r\n",
        "a: b\r\n\tfolded\r\n",
        "no colon\r\n",
        ": no name\r\n",
        "a : b\r\n",
        "a\x01: b\r\n",
        "a: b\x01\r\n",
        "a: b\rset-cookie: x\r\n",
        "a: b\x7f\r\n",
        "(a): b\r\n",
        "content-length: 5\r\ncontent-length: 6\r\n",
        "content-length: 5, 5\r\n",
        "content-length: -1\r\n",
        "content-length: +1\r\n",
        "content-length: \r\n",
        "content-length: 99999999999999999999\r\n",
    };
    static const int statuses[] = {0, 99, 100, 101, 199, 600, 999};
    request("GET", "/", "/", NULL);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (reply(200, bad[i]) == 0)
            print_message("taken: %s\n", bad[i]);
        assert_int_equal(reply(200, bad[i]), -1);
    }
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
        assert_int_equal(reply(statuses[i], "a: b\r\n"), -1);
    struct buf many = {0};
    for (int i = 0; i <= HTTP_RESPONSE_HEADERS_MAX; i++)
        buf_addf(&many, "x-%d: y\r\n", i);
    assert_int_equal(reply(200, buf_text(&many)), -1);
    assert_non_null(strstr(words.text, "headers"));
    buf_free(&many);
    http_response_free(&answer);
}

static void redirects_to_the_upstream_lead_here(void **state)
{
    static const struct {
        const char *upstream, *strip, *location, *here;
    } cases[] = {
        {"http://up:81", NULL, "http://up:81/login?x=1#f", "/login?x=1#f"},
        {"http://up:81", NULL, "HTTP://UP:81", "/"},
        {"http://up:81", NULL, "http://up:81?x", "/?x"},
        {"http://up:81", NULL, "http://up:81//evil.example/x", "/.//evil.example/x"},
        {"http://up:81", NULL, "http://up/login", "http://up/login"},
        {"http://up:81", NULL, "https://up:81/login", "https://up:81/login"},
        {"http://up:81", NULL, "http://up:81@evil/", "http://up:81@evil/"},
        {"http://up:81", NULL, "http://upper:81/", "http://upper:81/"},
        {"http://up:81", NULL, "/login", "/login"},
        {"http://up:81", NULL, "login", "login"},
        {"http://up", NULL, "http://up:80/a", "/a"},
        {"https://up", NULL, "https://up/a", "/a"},
        {"http://[::1]:81", NULL, "http://[::1]:81/a", "/a"},
        {"http://up:81/v2", NULL, "http://up:81/v2/a", "http://up:81/v2/a"},
        {"http://up:81/v2", "/api", "http://up:81/v2/a?b", "/api/a?b"},
        {"http://up:81/v2/", "/api", "http://up:81/v2", "/api"},
        {"http://up:81/v2", "/api", "http://up:81/v20/a", "http://up:81/v20/a"},
        {"http://up:81", "/api", "http://up:81/a", "/api/a"},
        {"http://up:81", "/api", "http://up:81//a", "/api//a"},
        {"http://up:81", "/api", "/a", "/a"}, /* what the upstream says of its own paths it may mean of ours */
        {"http://up:81/v2", "/api", "/v2/a", "/v2/a"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char head[128], expected[128];
        request("GET", "/", "/", NULL);
        upstream(0, cases[i].upstream);
        plan.strip = slice_of(cases[i].strip);
        snprintf(head, sizeof(head), "Location: %s\r\n", cases[i].location);
        snprintf(expected, sizeof(expected), "location: %s|", cases[i].here);
        assert_int_equal(reply(302, head), 0);
        assert_string_equal(fields(), expected);
    }
    http_response_free(&answer);
}

/* --- which upstream --------------------------------------------------------------------------------------------------
 */

static void never(struct outbound_wait *wait)
{
    fail();
}

static struct slice origin(size_t i)
{
    return (struct slice){upstreams[i].origin, upstreams[i].origin_len};
}

static void ask(struct outbound *o, size_t i, struct outbound_wait *w)
{
    *w = (struct outbound_wait){0};
    assert_int_equal(outbound_enter(o, origin(i), 100, w, never), OUTBOUND_GO);
}

static void ask_and_end(struct outbound *o, size_t i, enum outbound_outcome outcome)
{
    struct outbound_wait w;
    ask(o, i, &w);
    outbound_leave(o, &w, outcome);
}

static void the_least_busy_is_asked_then_each_in_turn(void **state)
{
    struct loop *loop = loop_new();
    struct outbound *o = outbound_new(loop);
    struct outbound_wait busy[3];
    request("GET", "/", "/", NULL);
    upstream(0, "http://a");
    upstream(1, "http://b");
    upstream(2, "http://c");
    for (size_t i = 0; i < 9; i++) {
        assert_int_equal(proxy_choose(&plan, o, 0), i % 3);
        ask_and_end(o, i % 3, OUTBOUND_GOOD);
    }
    ask(o, 0, &busy[0]);
    ask(o, 1, &busy[1]);
    assert_int_equal(proxy_choose(&plan, o, 0), 2);
    ask(o, 2, &busy[2]);
    assert_int_equal(proxy_choose(&plan, o, 0), 0);
    outbound_leave(o, &busy[1], OUTBOUND_GOOD);
    assert_int_equal(proxy_choose(&plan, o, 0), 1);
    assert_int_equal(proxy_choose(&plan, o, 2), 0);
    assert_int_equal(proxy_choose(&plan, o, 2 | 1), 2);
    assert_int_equal(proxy_choose(&plan, o, 7), 1); /* all are tried: again */
    outbound_leave(o, &busy[0], OUTBOUND_GOOD);
    outbound_leave(o, &busy[2], OUTBOUND_GOOD);
    outbound_free(&o);
    loop_free(&loop);
}

static void one_that_fails_is_left_out_and_one_that_all_fail_is_tried_soon(void **state)
{
    struct loop *loop = loop_new();
    struct outbound *o = outbound_new(loop);
    request("GET", "/", "/", NULL);
    upstream(0, "http://a");
    upstream(1, "http://b");
    loop_pass(loop, DUR_MS(0));
    for (int i = 0; i < OUTBOUND_FAILURES; i++)
        ask_and_end(o, 0, OUTBOUND_FAILED);
    assert_true(outbound_is_open(o, origin(0)));
    for (int i = 0; i < 4; i++) {
        assert_int_equal(proxy_choose(&plan, o, 0), 1);
        ask_and_end(o, 1, OUTBOUND_GOOD);
    }
    assert_int_equal(proxy_choose(&plan, o, 2), 0); /* the other one was tried: what is left */
    for (int i = 0; i < OUTBOUND_FAILURES; i++)
        ask_and_end(o, 1, OUTBOUND_FAILED);
    assert_int_equal(proxy_choose(&plan, o, 0), 0); /* its time is over first */
    mono_t soon = mono_add(loop_now(loop), OUTBOUND_OPEN_LEAST);
    assert_false(mono_before(soon, outbound_open_until(o, origin(0))));
    assert_false(mono_before(soon, outbound_open_until(o, origin(1))));
    outbound_free(&o);
    loop_free(&loop);
}

static int tear_down(void **state)
{
    buf_free(&room.url);
    buf_free(&room.text);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_path_is_the_requests_own_unless_the_url_has_one),
        cmocka_unit_test(a_prefix_is_stripped_and_dot_segments_never_leave_the_base),
        cmocka_unit_test(what_belongs_to_the_connection_stays),
        cmocka_unit_test(nobody_says_who_he_is),
        cmocka_unit_test(nor_with_an_underscore),
        cmocka_unit_test(scripts_set_and_leave_out),
        cmocka_unit_test(cookies_of_http2_are_one_field),
        cmocka_unit_test(bodies_go_as_they_are),
        cmocka_unit_test(what_http1_cannot_carry_goes_nowhere),
        cmocka_unit_test(a_reply_comes_back_without_what_is_of_its_connection),
        cmocka_unit_test(scripts_change_the_reply),
        cmocka_unit_test(what_readers_may_disagree_about_does_not_come_back),
        cmocka_unit_test(redirects_to_the_upstream_lead_here),
        cmocka_unit_test(the_least_busy_is_asked_then_each_in_turn),
        cmocka_unit_test(one_that_fails_is_left_out_and_one_that_all_fail_is_tried_soon),
    };
    return cmocka_run_group_tests(tests, NULL, tear_down);
}
