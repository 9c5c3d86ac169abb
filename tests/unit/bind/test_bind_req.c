/*
 * test_bind_req.c: req says what was sent, is read-only, and is nothing after its request; body readers give a 400 with
 * the place.
 */
#include "handle.h"
#include <malloc.h>

static void fields_are_what_was_sent(void **state)
{
    char id[UUID_TEXT + 1] = {0}, expected[128];
    new_request("a=1&a=2&B=%20x", "application/json", "{}");
    header("x-hook", "one");
    header("x-hook", "two");
    expect("return table.concat({ req.method, req.path, req.host, req.scheme, req.version, req.ip, req.body }, ' ')",
           "200 text/plain; charset=utf-8|POST /orders/7 hooks.example.com https 1.1 192.0.2.7 {}");
    expect("return tostring(req.received_at == 1700000000.25)", "200 text/plain; charset=utf-8|true");
    expect("return { req.query.a, req.query.B, req.query.b or 'none' }",
           "200 application/json|[\"1\",\" x\",\"none\"]");
    expect("return { req.headers['X-Hook'], req.headers['x-hook'], req.headers.nope or 'none' }",
           "200 application/json|[\"one\",\"one\",\"none\"]");
    expect("return req:all_headers 'X-Hook'", "200 application/json|[\"one\",\"two\"]");
    expect("return json.array(req:all_headers 'nope')", "200 application/json|[]");
    expect("local n = 0 for k, v in pairs(req.headers) do n = n + 1 end return { n, req.params.id }",
           "200 application/json|[2,\"7\"]");
    expect("return { tostring(req.auth), tostring(req.event_type), tostring(req) }",
           "200 application/json|[\"nil\",\"nil\",\"req POST /orders/7\"]");
    expect("return { req.query == req.query, req.headers == req.headers }", "200 application/json|[true,true]");
    uuid_text(&http.id, id);
    snprintf(expected, sizeof(expected), "200 text/plain; charset=utf-8|%s", id);
    expect("return req.id", expected);
    auth = (struct verify_auth){SLICE("api_key"), 2, SLICE("ci")};
    request.event_type = SLICE("push");
    expect("return req.event_type", "200 text/plain; charset=utf-8|push");
    new_request(NULL, NULL, "");
    http.version = 0x200;
    auth = (struct verify_auth){SLICE("api_key"), 2, SLICE("ci")};
    expect(
        "return table.concat({ req.version, req.auth.by, req.auth.index, req.auth.subject, next(req.query) or '-' }, "
        "' ')",
        "200 text/plain; charset=utf-8|2 api_key 2 ci -");
}

static void cookies_come_from_every_cookie_header(void **state)
{
    new_request(NULL, NULL, "");
    header("cookie", "a=1; b=2");
    header("cookie", "c=3; a=9");
    expect("return table.concat({ req.cookies.a, req.cookies.b, req.cookies.c, req.cookies.d or '-' }, ' ')",
           "200 text/plain; charset=utf-8|1 2 3 -");
    new_request(NULL, NULL, "");
    expect("return tostring(next(req.cookies))", "200 text/plain; charset=utf-8|nil");
}

static void unknown_fields_and_assignment_are_errors_in_words(void **state)
{
    new_request(NULL, NULL, "");
    expect_raised("local x = req.boddy", 500, "hooks/t.lua:1: req has no field 'boddy'; did you mean 'body'?");
    expect_raised("local x = req.pikc", 500, "did you mean 'pick'?");
    expect_raised("req.body = 'x'", 500, "hooks/t.lua:1: req is read-only");
    expect_raised("local x = req[1]", 500, "");
    expect_raised("req.json()", 500, "expected req");
    expect_raised("req.json(io)", 500, "expected req");
    expect_raised("local f = req.json f(json.null)", 500, "expected req");
    expect("return tostring(getmetatable(req))", "200 text/plain; charset=utf-8|false");
}

static void broken_query_and_cookies_are_a_400_that_says_where(void **state)
{
    new_request("a=1&b=%zz", NULL, "");
    header("cookie", "a=\x01");
    expect_raised("return req.query.a", 400, "the query string is malformed at byte ");
    expect_raised("return req.cookies.a", 400, "the cookie header is malformed at byte ");
    expect("local ok, e = pcall(function() return req.query end) return { ok, e.status, type(tostring(e)) }",
           "200 application/json|[false,400,\"string\"]");
}

static void json_keeps_big_integers_null_and_empty_arrays(void **state)
{
    new_request(NULL, "text/plain", "{\"a\":[1,null,\"\\u0000\"]}");
    expect("return req:json()", "200 application/json|{\"a\":[1,null,\"\\u0000\"]}");
    new_request(NULL, NULL, "[12345678901234567890123,9007199254740993,[],{},-0.5]");
    expect("return req:json()", "200 application/json|[12345678901234567890123,9007199254740993,[],{},-0.5]");
}

static void pick_gives_nil_for_missing_and_null(void **state)
{
    new_request(NULL, "application/json", "{\"a\":{\"b\":[1,null,\"x\"]},\"n\":null,\"e\":[]}");
    expect("local a, b, c, d, e = req:pick('/a/b/0', '/a/b/1', '/a/b/2', '/n', '/zz') "
           "return table.concat({ tostring(a), tostring(b), tostring(c), tostring(d), tostring(e) }, ' ')",
           "200 text/plain; charset=utf-8|1 nil x nil nil");
    expect("return { req:pick '/a/b/2', (req:json().a.b[1]), (req:pick '/e') }", "200 application/json|[\"x\",1,[]]");
    expect("return 200 + select('#', req:pick('/zz', '/n'))", "202 ");
    expect_raised("return req:pick()", 500, "expected a JSON pointer");
    expect_raised("return req:pick('a')", 500, "bad argument");
    expect_raised("return req:pick('/a', {})", 500, "string expected");
}

static void a_body_that_does_not_parse_is_a_400_with_line_and_column(void **state)
{
    new_request(NULL, "application/json", "{\n  \"a\": 1,\n  \"b\": tru\n}");
    expect_raised("return req:json()", 400, "the body is not valid JSON: line 3, column 8: ");
    expect_raised("return req:pick '/a'", 400, "line 3, column 8: ");
    new_request(NULL, "application/json", "");
    expect_raised("return req:json()", 400, "the body is not valid JSON: line 1, column 1: ");
    new_request(NULL, "application/json", "{\"a\":\"\xff\"}");
    expect_raised("return req:json()", 400, "the body is not valid JSON: ");
}

/* GitHub's and Slack's way. */
static void a_payload_field_is_read_as_json(void **state)
{
    new_request(NULL, "application/x-www-form-urlencoded; charset=utf-8", "payload=%7B%22ref%22%3A%22main%22%7D&x=1");
    expect("return req:json().ref .. req:pick '/ref' .. req:form().x", "200 text/plain; charset=utf-8|mainmain1");
    new_request(NULL, "application/x-www-form-urlencoded", "payload=%7Bx");
    expect_raised("return req:json()", 400, "not valid JSON: line 1, column 2: ");
    new_request(NULL, "application/x-www-form-urlencoded", "{\"sent\":\"by curl -d\"}");
    expect("return req:json().sent", "200 text/plain; charset=utf-8|by curl -d");
}

static void forms_are_tables_of_first_values_and_of_lists(void **state)
{
    new_request(NULL, "application/x-www-form-urlencoded", "name=A+B&tag=x&tag=y&e=");
    expect("local f, all = req:form() return { f.name, f.tag, f.e, all.tag, #all.name }",
           "200 application/json|[\"A B\",\"x\",\"\",[\"x\",\"y\"],1]");
    expect("return req:data().tag", "200 text/plain; charset=utf-8|x");
    new_request(NULL, "application/x-www-form-urlencoded", "a=%4");
    expect_raised("return req:form()", 400, "the form is malformed at byte 3: ");
    new_request(NULL, "application/json", "{}");
    expect_raised("return req:form()", 415, "expected a form");
}

static void data_follows_the_content_type(void **state)
{
    new_request(NULL, "application/vnd.api+JSON; charset=utf-8", "{\"a\":1}");
    expect("return { req:data().a }", "200 application/json|[1]");
    new_request(NULL, "text/plain", "{\"a\":1}");
    expect("return req:data()", "200 text/plain; charset=utf-8|{\"a\":1}");
    new_request(NULL, NULL, "raw");
    expect("return req:data()", "200 text/plain; charset=utf-8|raw");
}

/* One state serves many requests: what was parsed for one must never be read by another. */
static void two_requests_never_see_each_others_body(void **state)
{
    struct http_request first;
    new_request(NULL, "application/json", "{\"who\":\"first\"}");
    expect("return req:pick '/who'", "200 text/plain; charset=utf-8|first");
    first = http;
    new_request(NULL, "application/json", "{\"who\":\"second\"}");
    expect("return req:pick '/who'", "200 text/plain; charset=utf-8|second");
    bind_req_end(&request);
    http = first;
    expect("return req:pick '/who'", "200 text/plain; charset=utf-8|first");
    expect("json.decode '{\"who\":\"third\"}' return req:json().who", "200 text/plain; charset=utf-8|first");
}

static void after_its_request_req_is_an_error(void **state)
{
    struct sandbox_chunk chunk;
    char *message = NULL;
    new_request("a=1", "application/json", "{}");
    assert_int_equal(
        sandbox_load(lua,
                     SLICE("local kept, all, json\nreturn function(req)\n"
                           "if kept then local ok, e = pcall(function() return kept.body end)\n"
                           "local ok2, e2 = pcall(json, kept) return e .. '|' .. e2 .. '|' .. tostring(kept) "
                           ".. '|' .. all.a end\nkept, all, json = req, req.query, req.json return 1\nend"),
                     "hooks/k.lua", NULL, &chunk, &message),
        0);
    for (int i = 0; i < 2; i++) {
        lua_rawgeti(state_lua(lua), LUA_REGISTRYINDEX, chunk.result);
        bind_req_push(state_lua(lua), &request);
        forget_answer();
        task_start(lua, 1, "k", 1, DUR_S(1), over, NULL);
        bind_req_end(&request);
        assert_null(request.userdata);
        lua_gc(state_lua(lua), LUA_GCCOLLECT, 0);
    }
    assert_string_equal(buf_text(&answer.body),
                        "hooks/k.lua:3: the request has ended: req cannot be used after handle has "
                        "returned|the request has ended: req cannot be used after handle has "
                        "returned|req (ended)|1");
    sandbox_unload(lua, &chunk);
    bind_req_end(&request); /* twice is fine */
}

static void it_is_the_same_object_each_time(void **state)
{
    lua_State *L = state_lua(lua);
    new_request(NULL, NULL, "");
    bind_req_push(L, &request);
    bind_req_push(L, &request);
    assert_true(lua_rawequal(L, -1, -2));
    assert_ptr_equal(bind_req_check(L, -1), &request);
    lua_pop(L, 2);
}

/* Requests come and go: the registry must not grow with them. */
static void requests_leave_nothing_behind(void **state)
{
    size_t before = 0;
    for (int i = 0; i < 3000; i++) {
        new_request("a=1&b=2", "application/json", "{\"a\":[1,2,3]}");
        bind_req_push(state_lua(lua), &request);
        lua_pop(state_lua(lua), 1);
        if (i % 1000 == 0)
            expect("return req:json().a[1] + req.query.b + #req:all_headers 'x' + 200", "203 ");
        bind_req_end(&request);
        if (i == 1500 || i == 2999) {
            lua_gc(state_lua(lua), LUA_GCCOLLECT, 0);
            if (i == 1500)
                before = state_memory(lua);
        }
    }
    assert_true(state_memory(lua) < before + 16 * 1024);
}

static size_t in_use(void)
{
    struct mallinfo2 now = mallinfo2();
    return now.uordblks + now.hblkhd;
}

/* A parsed body is many times its text; an idle worker must not sit on the last one. */
static void a_large_body_is_let_go_with_its_request(void **state)
{
    static const char *const readers[] = {"return req:pick '/0' or 200", "pcall(req.json, req) return 200",
                                          "return 200 + #(req:form().a or '') % 2"};
    size_t len = 8 << 20, before;
    for (size_t i = 0; i < 3; i++) {
        struct buf body = {0};
        new_request(NULL, i == 2 ? "application/x-www-form-urlencoded" : "application/json", "");
        memset(buf_reserve(&body, len), '0', len);
        body.len = len;
        if (i == 1)
            body.at[0] = '['; /* refused at the second digit */
        else
            memcpy(body.at, i == 2 ? "a=" : "\"x", 2);
        if (i == 0)
            body.at[len - 1] = '"';
        before = in_use();
        http.body = buf_slice(&body);
        expect(readers[i], "200 ");
        bind_req_end(&request);
        lua_gc(state_lua(lua), LUA_GCCOLLECT, 0);
        assert_true(in_use() <= before + (1 << 20));
        buf_free(&body);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_what_was_sent),
        cmocka_unit_test(cookies_come_from_every_cookie_header),
        cmocka_unit_test(unknown_fields_and_assignment_are_errors_in_words),
        cmocka_unit_test(broken_query_and_cookies_are_a_400_that_says_where),
        cmocka_unit_test(json_keeps_big_integers_null_and_empty_arrays),
        cmocka_unit_test(pick_gives_nil_for_missing_and_null),
        cmocka_unit_test(a_body_that_does_not_parse_is_a_400_with_line_and_column),
        cmocka_unit_test(a_payload_field_is_read_as_json),
        cmocka_unit_test(forms_are_tables_of_first_values_and_of_lists),
        cmocka_unit_test(data_follows_the_content_type),
        cmocka_unit_test(two_requests_never_see_each_others_body),
        cmocka_unit_test(after_its_request_req_is_an_error),
        cmocka_unit_test(it_is_the_same_object_each_time),
        cmocka_unit_test(requests_leave_nothing_behind),
        cmocka_unit_test(a_large_body_is_let_go_with_its_request),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
