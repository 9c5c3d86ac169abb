/*
 * Promises of cors: an origin is compared as parsed, never as text; what is not listed is refused, however it is
 * spelt; a wildcard never reaches the domain itself, nor a neighbour; answers never say an origin that is not allowed;
 * what cannot be meant is refused while it is built.
 */
#include "base/panic.h"
#include "policy/cors.h"
#include "request.h"
#include <stdio.h>

static struct cors *make(const char *const *origins)
{
    struct cors *c = cors_new();
    struct error err;
    for (size_t i = 0; origins[i] != NULL; i++)
        if (cors_add_origin(c, slice_of(origins[i]), &err) != 0)
            fail_msg("%s", err.text);
    return c;
}
#define MAKE(...) make((const char *const[]){__VA_ARGS__, NULL})

/* A request with this Origin (NULL: none), to http://hooks.example. */
static void ask(struct request *r, const char *origin)
{
    request_make(r, "");
    r->http.scheme = SLICE("http");
    r->http.authority = SLICE("hooks.example");
    if (origin != NULL)
        request_header(r, "origin", slice_of(origin));
}

static enum cors_verdict judge(const struct cors *c, const char *origin)
{
    struct request r;
    ask(&r, origin);
    return cors_judge(c, &r.http);
}

static struct slice said(const struct http_response *r, const char *name)
{
    for (size_t i = 0, at = 0; i < r->header_count; i++) {
        struct slice this = {r->bytes.at + at, r->header[i].name_len};
        if (slice_equal(this, slice_of(name)))
            return (struct slice){r->bytes.at + at + this.len, r->header[i].value_len};
        at += (size_t)r->header[i].name_len + r->header[i].value_len;
    }
    return SLICE_NONE;
}

static void assert_said(const struct http_response *r, const char *name, const char *value)
{
    struct slice is = said(r, name);
    bool same = value == NULL ? is.at == NULL : is.at != NULL && slice_equal(is, slice_of(value));
    if (!same)
        fail_msg("%s: \"%.*s\", not \"%s\"", name, SLICE_ARG(is), value != NULL ? value : "(none)");
}

static void origins_are_compared_by_scheme_host_and_port(void **state)
{
    struct cors *c = MAKE("https://App.Example.com", "http://localhost:3000", "http://[0:0:0:0:0:0:0:1]:8080",
                          "https://10.0.0.1", "chrome-extension://abcdefgh");
    static const char *const good[] = {
        "https://app.example.com", "HTTPS://APP.example.COM", "https://app.example.com:443", "http://localhost:3000",
        "http://[::1]:8080",       "https://10.0.0.1",        "chrome-extension://abcdefgh"};
    static const char *const bad[] = {"http://app.example.com",
                                      "https://app.example.com:8443",
                                      "https://app.example.com.evil.example",
                                      "https://app.example.comm",
                                      "https://xapp.example.com",
                                      "https://app.example.com.",
                                      "https://example.com",
                                      "https://app.example.com/",
                                      "https://app.example.com@evil.example",
                                      "https://app.example.com#",
                                      "https://app.example.com\\.evil.example",
                                      "https://app.example.com https://evil.example",
                                      "https://app.example.com,https://evil.example",
                                      "https://app_example.com",
                                      "http://localhost",
                                      "http://localhost:30000",
                                      "http://localhost:3000:3000",
                                      "http://localhost:",
                                      "http://localhost:0",
                                      "http://localhost:65536",
                                      "http://localhost:+3000",
                                      "http://[::1]",
                                      "http://[::2]:8080",
                                      "http://::1:8080",
                                      "http://[::1]:8080]",
                                      "https://10.0.0.01",
                                      "https://167772161",
                                      "chrome-extension://abcdefgi",
                                      "chrome-extension://abcdefgh:1",
                                      "null",
                                      "NULL",
                                      "",
                                      "*",
                                      "https://",
                                      "https:",
                                      "://x",
                                      "app.example.com",
                                      "//app.example.com"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (judge(c, good[i]) != CORS_ALLOWED)
            fail_msg("%s is refused", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (judge(c, bad[i]) != CORS_REFUSED)
            fail_msg("%s is not refused", bad[i]);
    assert_int_equal(judge(c, NULL), CORS_NONE);
    cors_free(&c);
    assert_null(c);
    cors_free(&c);
}

static void a_wildcard_is_every_name_below_and_nothing_else(void **state)
{
    struct cors *c = MAKE("https://*.example.com", "http://*.localhost:3000");
    static const char *const good[] = {"https://a.example.com", "https://a.b.c.EXAMPLE.com:443",
                                       "http://app.localhost:3000"};
    static const char *const bad[] = {
        "https://example.com",           "https://.example.com",     "https://a..example.com",
        "https://evilexample.com",       "https://evil-example.com", "https://a.example.com.evil.net",
        "https://a.example.com:8443",    "http://a.example.com",     "https://*.example.com",
        "https://evil.net/.example.com", "http://localhost:3000",    "https://[::1].example.com"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (judge(c, good[i]) != CORS_ALLOWED)
            fail_msg("%s is refused", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (judge(c, bad[i]) != CORS_REFUSED)
            fail_msg("%s is not refused", bad[i]);
    struct request r;
    ask(&r, NULL);
    request_header(&r, "origin", SLICE("https://evil.net\0.example.com"));
    assert_int_equal(cors_judge(c, &r.http), CORS_REFUSED);
    cors_free(&c);
}

static void a_request_of_its_own_origin_is_no_other_sites(void **state)
{
    struct cors *c = MAKE("https://app.example.com");
    struct request r;
    assert_int_equal(judge(c, "http://hooks.example"), CORS_NONE);
    assert_int_equal(judge(c, "http://HOOKS.example:80"), CORS_NONE);
    assert_int_equal(judge(c, "https://hooks.example"), CORS_REFUSED);
    assert_int_equal(judge(c, "http://hooks.example:8080"), CORS_REFUSED);
    assert_int_equal(judge(c, "http://x.hooks.example"), CORS_REFUSED);
    ask(&r, "http://[::1]:8080");
    r.http.authority = SLICE("[::0:1]:8080");
    assert_int_equal(cors_judge(c, &r.http), CORS_NONE);
    static const char *const broken[] = {"", "[::1", "*.example", "a@hooks.example", ":80"};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) { /* a Host that is none makes nobody at home */
        char origin[64];
        snprintf(origin, sizeof origin, "http://%s", broken[i]);
        ask(&r, origin);
        r.http.authority = slice_of(broken[i]);
        assert_int_equal(cors_judge(c, &r.http), CORS_REFUSED);
    }
    static const struct http_published published = {SLICE("https://public.example:8443/base"), SLICE("https"),
                                                    SLICE("public.example")};
    static const struct http_published bare = {SLICE("https://public.example"), SLICE("https"),
                                               SLICE("public.example")};
    ask(&r, "https://public.example:8443");
    assert_int_equal(cors_judge(c, &r.http), CORS_REFUSED);
    r.http.published = &published;
    assert_int_equal(cors_judge(c, &r.http), CORS_NONE);
    r.http.published = &bare;
    assert_int_equal(cors_judge(c, &r.http), CORS_REFUSED);
    ask(&r, "https://public.example");
    r.http.published = &bare;
    assert_int_equal(cors_judge(c, &r.http), CORS_NONE);
    ask(&r, "http://hooks.example"); /* the Host field says so, too: a name can be made to lead here */
    r.http.published = &bare;
    assert_int_equal(cors_judge(c, &r.http), CORS_REFUSED);
    ask(&r, "http://hooks.example");
    r.http.authority = SLICE_NONE;
    assert_int_equal(cors_judge(c, &r.http), CORS_REFUSED);
    cors_free(&c);
}

static void null_is_allowed_where_it_is_listed(void **state)
{
    struct cors *c = MAKE("https://app.example.com"), *n = MAKE("https://app.example.com", "null"), *any = MAKE("*");
    assert_int_equal(judge(c, "null"), CORS_REFUSED);
    assert_int_equal(judge(n, "null"), CORS_ALLOWED);
    assert_int_equal(judge(n, "Null"), CORS_REFUSED);
    assert_int_equal(judge(any, "null"), CORS_ALLOWED);
    assert_int_equal(judge(any, "no origin at all"), CORS_ALLOWED);
    assert_int_equal(judge(any, NULL), CORS_ALLOWED);
    cors_free(&c);
    cors_free(&n);
    cors_free(&any);
}

static void two_origins_are_none(void **state)
{
    struct cors *c = MAKE("https://a.example", "https://b.example");
    struct request r;
    ask(&r, "https://a.example");
    request_header(&r, "origin", SLICE("https://b.example"));
    assert_int_equal(cors_judge(c, &r.http), CORS_REFUSED);
    ask(&r, "https://a.example");
    request_header(&r, "origin", SLICE("https://a.example"));
    assert_int_equal(cors_judge(c, &r.http), CORS_REFUSED);
    ask(&r, NULL);
    request_header(&r, "origin", SLICE_NONE); /* an empty line of the header is one, too */
    assert_int_equal(cors_judge(c, &r.http), CORS_REFUSED);
    cors_free(&c);
}

static void answers_say_who_may_read_them(void **state)
{
    struct cors *c = MAKE("https://a.example", "https://b.example"), *any = MAKE("*");
    struct http_response out;
    struct request r;
    http_response_init(&out);
    ask(&r, "https://B.example");
    c->credentials = true;
    cors_answer(c, &r.http, &out);
    assert_said(&out, "access-control-allow-origin",
                "https://B.example"); /* as a browser will compare it: its own bytes */
    assert_said(&out, "access-control-allow-credentials", "true");
    assert_said(&out, "vary", "Origin");
    static const char *const others[] = {"https://evil.example", "http://hooks.example", "null", NULL};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        http_response_clear(&out);
        ask(&r, others[i]);
        cors_answer(c, &r.http, &out);
        assert_said(&out, "access-control-allow-origin", NULL);
        assert_said(&out, "access-control-allow-credentials", NULL);
        assert_said(&out, "vary", "Origin");
        http_response_clear(&out);
        cors_answer(any, &r.http, &out);
        assert_said(&out, "access-control-allow-origin", "*");
        assert_said(&out, "vary", NULL);
    }
    http_response_free(&out);
    cors_free(&c);
    cors_free(&any);
}

static void a_preflight_is_told_what_may_follow(void **state)
{
    struct cors *c = MAKE("https://a.example");
    struct http_response out;
    struct request r;
    struct error err;
    http_response_init(&out);
    ask(&r, "https://a.example");
    r.http.method = SLICE("OPTIONS");
    assert_false(cors_is_preflight(&r.http));
    request_header(&r, "access-control-request-method", SLICE("PUT"));
    assert_true(cors_is_preflight(&r.http));
    assert_int_equal(cors_preflight(c, &r.http, SLICE("GET, PUT"), &out), 0);
    assert_said(&out, "access-control-allow-methods", "GET, PUT");
    assert_said(&out, "access-control-allow-headers", NULL);
    assert_said(&out, "access-control-max-age", NULL);
    assert_said(&out, "vary", "Access-Control-Request-Method, Access-Control-Request-Headers");

    http_response_clear(&out);
    request_header(&r, "access-control-request-headers", SLICE("content-type,x-a"));
    request_header(&r, "access-control-request-headers", SLICE(" , x-b ,"));
    c->max_age_s = 600;
    assert_int_equal(cors_preflight(c, &r.http, SLICE("GET"), &out), 0);
    assert_said(&out, "access-control-allow-headers", "content-type, x-a, x-b");
    assert_said(&out, "access-control-max-age", "600");

    http_response_clear(&out);
    assert_int_equal(cors_add_header(c, SLICE("Content-Type"), &err), 0);
    assert_int_equal(cors_add_header(c, SLICE("X-Key"), &err), 0);
    assert_int_equal(cors_preflight(c, &r.http, SLICE("GET"), &out), 0);
    assert_said(&out, "access-control-allow-headers", "Content-Type, X-Key");

    request_header(&r, "access-control-request-headers", SLICE("x a"));
    assert_int_equal(cors_preflight(c, &r.http, SLICE("GET"), &out), -1);
    r.headers[r.http.header_count - 1].value = SLICE("x\r\ny: z");
    assert_int_equal(cors_preflight(c, &r.http, SLICE("GET"), &out), -1);
    r.http.method = SLICE("POST");
    assert_false(cors_is_preflight(&r.http));
    http_response_free(&out);
    cors_free(&c);
}

static void what_cannot_be_meant_is_refused(void **state)
{
    static const struct {
        const char *origin, *words;
    } bad[] = {
        {"app.example.com", "\"app.example.com\": an origin begins with a scheme, as in \"https://example.com\""},
        {"https://app.example.com/",
         "\"https://app.example.com/\": an origin ends with its host or port, without a '/' or a path"},
        {"https://u@app.example.com", "\"https://u@app.example.com\": an origin has no user"},
        {"https://a.example:*", "\"https://a.example:*\": its port is none"},
        {"https://", "\"https://\": it names no host"},
        {"1https://a.example", "\"1https://a.example\": its scheme is malformed"},
        {"https://a b", "\"https://a b\": its host is malformed"},
        {"https://[::1", "\"https://[::1\": its port is none"},
        {"https://1.2.3", "\"https://1.2.3\": its host is malformed"},
        {"https://b\xc3\xbc"
         "cher.example",
         "\"https://b\xc3\xbc"
         "cher.example\": write its host as browsers send it, in ASCII (xn--...)"},
        {"https://*",
         "\"https://*\": '*' stands for the names below a domain, as in \"https://*.example.com\", and nowhere else"},
        {"https://a.*.example", "\"https://a.*.example\": '*' stands for the names below a domain, as in "
                                "\"https://*.example.com\", and nowhere else"},
        {"https://*.*.example.com", "\"https://*.*.example.com\": '*' stands for the names below a domain, as in "
                                    "\"https://*.example.com\", and nowhere else"},
        {"*://example.com", "\"*://example.com\": its scheme is malformed"},
        {"https://*.com", "\"https://*.com\": that is too wide: name a domain, as in \"https://*.example.com\""},
        {"https://*.10.0.0.1", "\"https://*.10.0.0.1\": an address has no names below it"},
        {"https://*.", "\"https://*.\": its host is malformed"},
        {"HTTPS://X.example:443", "\"HTTPS://X.example:443\": it stands twice"},
        {"", "\"\": an origin begins with a scheme, as in \"https://example.com\""},
    };
    struct cors *c = MAKE("https://x.example");
    struct error err;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(cors_add_origin(c, slice_of(bad[i].origin), &err), -1);
        assert_string_equal(err.text, bad[i].words);
    }
    assert_int_equal(c->count, 1);
    assert_int_equal(cors_add_header(c, SLICE("*"), &err), -1);
    assert_int_equal(cors_add_header(c, SLICE("x-a:"), &err), -1);
    assert_int_equal(cors_add_header(c, SLICE(""), &err), -1);
    assert_int_equal(cors_add_header(c, SLICE("X-A"), &err), 0);
    assert_int_equal(cors_add_header(c, SLICE("x-a"), &err), -1);
    assert_string_equal(err.text, "\"x-a\" stands twice");
    assert_string_equal(c->headers, "X-A");
    cors_free(&c);
}

static void a_scheme_has_no_nul(void **state)
{
    static const struct slice bad[] = {SLICE("ht\0tp://a.example"), SLICE("http\0://a.example"),
                                       SLICE("\0://a.example")};
    struct cors *c = cors_new();
    struct cors_origin o;
    struct error err;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(cors_add_origin(c, bad[i], &err), -1);
        assert_non_null(strstr(err.text, ": its scheme is malformed"));
        assert_string_equal(cors_parse_origin(bad[i], false, &o), "its scheme is malformed");
    }
    assert_int_equal(c->count, 0);
    assert_null(cors_parse_origin(SLICE("a+b-c.d1://a.example"), false, &o));
    cors_free(&c);
}

static void credentials_go_to_nobody_unnamed(void **state)
{
    struct cors *any = MAKE("*"), *null = MAKE("https://a.example", "null"), *both = MAKE("*", "https://a.example");
    struct error err;
    assert_int_equal(cors_check(any, &err), 0);
    assert_int_equal(cors_check(null, &err), 0);
    assert_int_equal(cors_check(both, &err), -1);
    any->credentials = null->credentials = true;
    assert_int_equal(cors_check(any, &err), -1);
    assert_int_equal(cors_check(null, &err), -1);
    cors_free(&any);
    cors_free(&null);
    cors_free(&both);
}

static void an_upstreams_words_are_taken_out(void **state)
{
    struct http_response out;
    http_response_init(&out);
    assert_int_equal(http_response_add(&out, SLICE("Access-Control-Allow-Origin"), SLICE("*"), NULL), 0);
    assert_int_equal(http_response_add(&out, SLICE("x-a"), SLICE("1"), NULL), 0);
    assert_int_equal(http_response_add(&out, SLICE("access-control-allow-origin"), SLICE("https://evil.example"), NULL),
                     0);
    assert_int_equal(http_response_add(&out, SLICE("access-control-allow-credentials"), SLICE("true"), NULL), 0);
    assert_int_equal(http_response_add(&out, SLICE("access-control-expose-headers"), SLICE("x-a"), NULL), 0);
    assert_true(cors_decides(SLICE("access-control-max-age")));
    assert_false(cors_decides(SLICE("access-control-expose-headers")));
    cors_remove(&out);
    assert_int_equal(out.header_count, 2);
    assert_said(&out, "x-a", "1");
    assert_said(&out, "access-control-expose-headers", "x-a");
    http_response_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(origins_are_compared_by_scheme_host_and_port),
        cmocka_unit_test(a_wildcard_is_every_name_below_and_nothing_else),
        cmocka_unit_test(a_request_of_its_own_origin_is_no_other_sites),
        cmocka_unit_test(null_is_allowed_where_it_is_listed),
        cmocka_unit_test(two_origins_are_none),
        cmocka_unit_test(answers_say_who_may_read_them),
        cmocka_unit_test(a_preflight_is_told_what_may_follow),
        cmocka_unit_test(what_cannot_be_meant_is_refused),
        cmocka_unit_test(a_scheme_has_no_nul),
        cmocka_unit_test(credentials_go_to_nobody_unnamed),
        cmocka_unit_test(an_upstreams_words_are_taken_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
