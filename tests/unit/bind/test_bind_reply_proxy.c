/*
 * Promises of reply.proxy as scripts make it: what is misspelt or cannot be is an error with the script's line; what is
 * made is plain data that outlives the script's own values.
 */
#include "handle.h"

#include "bind/bind_reply_internal.h"
#include "http/proxy.h"

static const struct proxy_plan *plan_of(const char *text)
{
    expect(text, "200 ");
    assert_non_null(answer.plan.proxy);
    assert_int_not_equal(answer.plan.function, 0);
    lua_gc(state_lua(lua), LUA_GCCOLLECT, 0); /* what it points to is kept by it */
    return answer.plan.proxy;
}

static void drop(void)
{
    bind_reply_plan_drop(state_lua(lua), &answer.plan);
    assert_null(answer.plan.proxy);
}

static void text_is(struct slice s, const char *text)
{
    if (text == NULL) {
        assert_null(s.at);
        return;
    }
    char *copy = slice_dup(s);
    assert_string_equal(copy, text);
    free(copy);
}

static void without_options_it_has_defaults(void **state)
{
    new_request(NULL, NULL, "");
    const struct proxy_plan *p = plan_of("return reply.proxy 'http://Up.example:81'");
    assert_int_equal(p->upstream_count, 1);
    text_is((struct slice){p->upstreams[0].origin, p->upstreams[0].origin_len}, "http://up.example:81");
    text_is(p->upstreams[0].url.path, "");
    text_is(p->method, NULL);
    text_is(p->strip, NULL);
    assert_false(p->has_body);
    assert_int_equal(p->host_how, PROXY_HOST_UPSTREAM);
    assert_int_equal(p->attempts, 1);
    assert_int_equal(p->concurrency, OUTBOUND_CONCURRENCY_MAX);
    assert_int_equal(p->timeout.ns, 0);
    assert_int_equal(p->connect_timeout.ns, PROXY_CONNECT_TIMEOUT.ns);
    assert_int_equal(p->idle.ns, PROXY_IDLE_TIMEOUT.ns);
    assert_true(p->public_only); /* as the setting says, which is false here */
    drop();
}

static void options_are_what_they_say(void **state)
{
    new_request(NULL, NULL, "");
    host.http_private = true;
    const struct proxy_plan *p = plan_of(
        "local function s(x) return ('%s'):format(x) end " /* strings that only the plan keeps */
        "return reply.proxy({ s'http://a', s'https://b/v2' }, { headers = { [s'X-A'] = s'1', ['x-b'] = { 2, s'3' },"
        "via = false }, response_headers = { Server_ = 1.5 }, host = s'pass', method = s'PUT', body = s'hello',"
        "strip = s'/api', timeout = '2s', connect_timeout = 0.5, idle_timeout = false, retries = 4,"
        "concurrency = 7, private = false, ca = s'ca.pem', cert = s'c.pem', key = s'k.pem' })");
    assert_int_equal(p->upstream_count, 2);
    text_is((struct slice){p->upstreams[1].origin, p->upstreams[1].origin_len}, "https://b:443");
    text_is(p->upstreams[1].url.path, "/v2");
    assert_int_equal(p->request.count, 4);
    for (size_t i = 0; i < 4; i++) {
        const struct proxy_change *c = &p->request.at[i];
        if (slice_equal(c->name, SLICE("via")))
            text_is(c->value, NULL);
        else if (slice_equal(c->name, SLICE("x-a")))
            text_is(c->value, "1");
        else if (slice_equal(c->name, SLICE("x-b")))
            assert_true(slice_equal(c->value, SLICE("2")) || slice_equal(c->value, SLICE("3")));
        else
            fail();
    }
    assert_int_equal(p->response.count, 1);
    text_is(p->response.at[0].name, "server_");
    text_is(p->response.at[0].value, "1.5");
    assert_int_equal(p->host_how, PROXY_HOST_PASS);
    text_is(p->method, "PUT");
    assert_true(p->has_body);
    text_is(p->body, "hello");
    text_is(p->strip, "/api");
    assert_int_equal(p->timeout.ns, DUR_S(2).ns);
    assert_int_equal(p->connect_timeout.ns, DUR_MS(500).ns);
    assert_int_equal(p->idle.ns, 0);
    assert_int_equal(p->attempts, 5);
    assert_int_equal(p->concurrency, 7);
    assert_true(p->public_only);
    text_is(p->ca, "ca.pem");
    text_is(p->cert, "c.pem");
    text_is(p->key, "k.pem");
    drop();
    p = plan_of("return reply.proxy({ 'http://a', 'http://b', 'http://c' }, { body = false, host = 'inner:81' })");
    assert_int_equal(p->attempts, 3);
    assert_true(p->has_body && p->body.at == NULL && !p->public_only);
    assert_int_equal(p->host_how, PROXY_HOST_SET);
    text_is(p->host, "inner:81");
    drop();
    host.http_private = false;
}

static void it_has_no_fields_for_scripts(void **state)
{
    new_request(NULL, NULL, "");
    expect_raised("return reply.proxy('http://a').url", 500, "a reply has no field 'url'");
    expect_raised("reply.proxy('http://a').status = 5", 500, "a reply has no field 'status'");
}

static void misuse_raises_in_words(void **state)
{
    static const struct {
        const char *arguments, *words;
    } cases[] = {
        {"", "expected a URL or a list of URLs, got nothing"},
        {"5", "expected a URL or a list of URLs, got number"},
        {"{}", "a list of 1 to 32 URLs"},
        {"{ 'http://a', x = 1 }", "the list of URLs: 'x' is no position of a list"},
        {"{ 'http://a', nil, 'http://b' }", "the list of URLs: position 2 of the list is nil"},
        {"{ 'http://a', 5 }", "expected a URL, got number"},
        {"'ftp://a'", "'ftp://a' is no URL of an upstream: it must begin with http"},
        {"'unix:/x'", "must begin with http"},
        {"'http://a b/'", "is no URL of an upstream"},
        {"'http://a/b c'", "%20"},
        {"'http://a\\r\\nx'", "control character"},
        {"'http://'", "it names no host"},
        {"'http://u:p@a/'", "holds credentials"},
        {"'http://a/#x'", "fragment"},
        {"'http://a:99999'", "port"},
        {"'http://a', 1, 2", "expected a URL and options, got 3 values"},
        {"'http://a', 200", "expected a table of options"},
        {"'http://a', { status = 200 }", "unknown option 'status'"},
        {"'http://a', { header = {} }", "did you mean 'headers'?"},
        {"'http://a', { retrys = 1 }", "did you mean 'retries'?"},
        {"'http://a', { headers = 'x' }", "headers: expected a table, got string"},
        {"'http://a', { headers = { 'x' } }", "expected names as keys"},
        {"'http://a', { headers = { ['x y'] = 'z' } }", "no name of a header"},
        {"'http://a', { headers = { [''] = 'z' } }", "no name of a header"},
        {"'http://a', { headers = { x = 'a\\r\\nb: c' } }", "'x' holds a control character"},
        {"'http://a', { headers = { x = true } }", "a list of these, or false, got boolean"},
        {"'http://a', { headers = { x = {} } }", "false leaves it out"},
        {"'http://a', { headers = { x = { 'a', b = 'c' } } }", "headers: 'x': 'b' is no position of a list"},
        {"'http://a', { response_headers = { x = { 'a', [1.5] = 'c' } } }", "'x': 1.5 is no position of a list"},
        {"'http://a', { headers = { x = { nil, 'a' } } }", "'x': position 1 of the list is nil"},
        {"'http://a', { ca = 'ca.pem' }", "ca: there is no TLS in which to use it"},
        {"{ 'http://a', 'http://b' }, { cert = 'c.pem', key = 'k.pem' }", "cert: there is no TLS in which to use it"},
        {"'http://a', { headers = { x = { 'a', false } } }", "got boolean"},
        {"'http://a', { headers = { Host = 'z' } }", "Host is the option 'host'"},
        {"'http://a', { headers = { Connection = 'z' } }", "'connection' is the server's own"},
        {"'http://a', { headers = { ['Content-Length'] = 0 } }", "'content-length' is the server's own"},
        {"'http://a', { headers = { ['Transfer-Encoding'] = false } }", "the server's own"},
        {"'http://a', { response_headers = { Date = 'x' } }", "'date' is the server's own"},
        {"'http://a', { response_headers = { upgrade = 'x' } }", "the server's own"},
        {"'http://a', { host = '' }", "host: expected \"pass\""},
        {"'http://a', { host = 'a b' }", "host: expected"},
        {"'http://a', { host = 'a:b:c' }", "host: expected"},
        {"'http://a', { host = 'a:99999' }", "host: expected"},
        {"'http://a', { host = '::1' }", "host: expected"},
        {"'http://a', { host = '[::1' }", "host: expected"},
        {"'http://a', { host = 'u@a' }", "host: expected"},
        {"'http://a', { host = 'a,b' }", "host: expected"},
        {"'http://a', { host = 'http://a' }", "host: expected"},
        {"'http://a', { host = ':80' }", "host: expected"},
        {"'http://a', { host = 'a\\r\\nb' }", "host: expected"},
        {"'http://a', { method = 'get' }", "capital letters"},
        {"'http://a', { method = 'G T' }", "method: expected"},
        {"'http://a', { method = 'CONNECT' }", "method: expected"},
        {"'http://a', { body = 5 }", "body: expected a string or false, got number"},
        {"'http://a', { body = true }", "body: expected"},
        {"'http://a', { strip = 'api' }", "strip: expected"},
        {"'http://a', { strip = '/' }", "strip: expected"},
        {"'http://a', { strip = '/api/' }", "strip: expected"},
        {"'http://a?x', { strip = '/api' }", "the URL has a query"},
        {"'http://a', { timeout = 0 }", "timeout: expected more than nothing"},
        {"'http://a', { timeout = 'soon' }", "expected a duration"},
        {"'http://a', { idle_timeout = true }", "expected a duration"},
        {"'http://a', { connect_timeout = '2d' }", "at most a day"},
        {"'http://a', { retries = 17 }", "from 0 to 16"},
        {"'http://a', { retries = -1 }", "from 0 to 16"},
        {"'http://a', { concurrency = 0 }", "from 1 to 1024"},
        {"'http://a', { private = true }", "the setting http_private forbids it"},
        {"'http://a', { private = 1 }", "expected true or false"},
        {"'http://a', { ca = '' }", "ca: expected PEM text"},
        {"'https://a', { cert = 'x' }", "cert and key go together"},
    };
    new_request(NULL, NULL, "");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[256], words[256];
        snprintf(text, sizeof(text), "\nreply.proxy(%s)", cases[i].arguments);
        snprintf(words, sizeof(words), "%s", cases[i].words);
        expect_raised(text, 500, words);
        if (strstr(buf_text(&answer.raised.log), "hooks/t.lua:2: reply.proxy") == NULL)
            print_message("%s\n", buf_text(&answer.raised.log));
        assert_non_null(strstr(buf_text(&answer.raised.log), "hooks/t.lua:2: reply.proxy"));
    }
    expect_raised("local l = {} for i = 1, 33 do l[i] = 'http://a' end reply.proxy(l)", 500, "1 to 32");
    expect_raised("local h = {} for i = 1, 65 do h['x' .. i] = i end reply.proxy('http://a', { headers = h })", 500,
                  "more than 64");
}

static void a_plan_taken_apart_is_refused(void **state)
{
    static const char *const values[] = {"nil", "5", "'x'", "{}", "req", "print", "reply.proxy 'http://a'"};
    new_request(NULL, NULL, "");
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        char text[160];
        snprintf(text, sizeof(text), "local r = reply.proxy 'http://a' rawset(r, %d, %s) return r", REPLY_BODY,
                 values[i]);
        expect_refused(text, "the reply's plan is no longer one");
    }
    expect_refused("return 200, reply.proxy 'http://a'", "own status");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_options_it_has_defaults), cmocka_unit_test(options_are_what_they_say),
        cmocka_unit_test(it_has_no_fields_for_scripts),    cmocka_unit_test(misuse_raises_in_words),
        cmocka_unit_test(a_plan_taken_apart_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
