/*
 * test_bind_reply.c: each form that handle may return is that answer; all else is refused in words, never a quiet 2xx.
 */
#include "handle.h"

#include "bind/bind_reply_internal.h"

static void plain_forms_are_answers(void **state)
{
    new_request(NULL, NULL, "");
    expect("return 'hello'", "200 text/plain; charset=utf-8|hello");
    expect("return ''", "200 text/plain; charset=utf-8|");
    expect("return 'a\\0b'", "200 text/plain; charset=utf-8|a");
    assert_int_equal(answer.response.body.len, 3);
    expect("return 202", "202 ");
    expect("return { id = 7 }", "200 application/json|{\"id\":7}");
    expect("return {}", "200 application/json|{}");
    expect("return json.array {}", "200 application/json|[]");
    expect("return 201, { ok = true }", "201 application/json|{\"ok\":true}");
    expect("return 404, 'none'", "404 text/plain; charset=utf-8|none");
    expect("return 200, nil, { ['X-A'] = { 'a', 'b', 3 } }", "200 x-a: a|x-a: b|x-a: 3|");
    expect("return", "204 ");
    expect("return nil", "204 ");
    expect("return nil, nil", "204 ");
    expect("return 304", "304 ");
    expect("return 204, ''", "204 ");
}

static void a_header_of_the_script_stands_instead_of_the_default(void **state)
{
    new_request(NULL, NULL, "");
    expect("return 200, 'x', { ['Content-Type'] = 'text/css' }", "200 text/css|x");
    expect("return 200, {}, { ['content-type'] = 'application/vnd.a+json' }", "200 application/vnd.a+json|{}");
}

/* However many the script gives: the type has a place of its own. */
static void the_default_is_there_behind_as_many_headers_as_may_be(void **state)
{
    new_request(NULL, NULL, "");
    assert_null(run("local h = {} for i = 1, 128 do h[i] = 'v' end return 200, 'x', { x = h }"));
    assert_int_equal(answer.read, 0);
    assert_int_equal(answer.response.header_count, HTTP_RESPONSE_HEADERS_MAX + 1);
    expect_refused("local h = {} for i = 1, 129 do h[i] = 'v' end return 200, 'x', { x = h }", "more than 128 headers");
}

static void what_is_no_answer_is_refused_in_words(void **state)
{
    new_request(NULL, NULL, "");
    expect_refused("return nil, 'timeout'", "handle returned nil, timeout");
    expect_refused("return nil, { code = 1 }", "handle returned nil and a table");
    expect_refused("return nil, nil, false", "handle returned nil and a boolean");
    expect_refused("return false", "handle returned false");
    expect_refused("return true", "handle returned true");
    expect_refused("return false, 'why'", "handle returned false");
    expect_refused("return function() end", "handle returned a function");
    expect_refused("return req", "handle returned a userdata");
    expect_refused("return json.null", "handle returned a userdata");
    expect_refused("return 'a', 200", "a status comes first");
    expect_refused("return ('a'):gsub('a', 'b')", "a status comes first");
    expect_refused("return {}, 201", "a status comes first");
    expect_refused("return 99", "status 99");
    expect_refused("return 100", "status 100");
    expect_refused("return 600", "status 600");
    expect_refused("return 200.5", "status 200.5");
    expect_refused("return 0/0", "must be an integer from 200 to 599");
    expect_refused("return 1/0", "must be an integer from 200 to 599");
    expect_refused("return 200, 5", "a body that is a number");
    expect_refused("return 200, true", "a body that is a boolean");
    expect_refused("return 200, 'a', {}, 1", "handle returned 4 values");
    expect_refused("return 1, 2, 3, 4, 5, 6, 7, 8, 9, 10", "must be an integer");
    expect_refused("return 200, 'a', 'b'", "headers must be a table");
    expect_refused("return 200, 'a', { 'b' }", "headers must have names");
    expect_refused("return 200, 'a', { x = true }", "header 'x' must be a string");
    expect_refused("return 200, 'a', { x = {} }", "empty list");
    expect_refused("return 200, 'a', { x = { 'b', y = 'c' } }", "header 'x': 'y' is no position of a list");
    expect_refused("return 200, 'a', { x = { 'b', nil, 'c' } }", "header 'x': position 2 of the list is nil");
    expect_refused("return reply.text('a', { headers = { x = { 'b', [1.5] = 'c' } } })",
                   "header 'x': 1.5 is no position");
    expect_refused("return 200, 'a', { x = { {} } }", "header 'x' must be a string");
    expect_refused("return 204, 'a'", "a 204 answer cannot have a body");
    expect_refused("return 205, 'a'", "a 205 answer cannot have a body");
    expect_refused("return 304, { 1 }", "a 304 answer cannot have a body");
    expect_refused("return 200, reply.text 'x'", "a reply has its own status");
    expect_refused("return { f = print }", "at /f");
    expect_refused("return { 'a\\255' }", "UTF-8");
    expect_refused("local t = {} t.t = t return t", "the JSON answer");
    expect_refused("return { 0/0 }", "the JSON answer");
}

static void headers_that_split_or_break_the_answer_are_refused(void **state)
{
    const char *bad[] = {
        "['x-a'] = 'a\\r\\nset-cookie: b=c'",
        "['x-a'] = 'a\\nb'",
        "['x-a'] = 'a\\0b'",
        "['x a'] = 'b'",
        "['x-a:'] = 'b'",
        "[''] = 'b'",
        "['content-length'] = '5'",
        "['Transfer-Encoding'] = 'chunked'",
        "connection = 'close'",
        "upgrade = 'h2c'",
        "['x-a'] = { 'a', 'b\\r\\n' }",
    };
    new_request(NULL, NULL, "");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char text[128];
        snprintf(text, sizeof(text), "return 200, 'x', { %s }", bad[i]);
        expect_refused(text, "");
        snprintf(text, sizeof(text), "return reply.text('x', { headers = { %s } })", bad[i]);
        expect_refused(text, "");
    }
    expect_refused("local h = {} for i = 1, 200 do h['x-' .. i] = 'v' end return 200, 'x', h", "");
    expect_refused("return reply.redirect('/a\\r\\nx: y')", "");
    expect_refused("return reply.text('x', { type = 'a\\nb' })", "");
}

static void replies_are_what_they_say(void **state)
{
    new_request(NULL, NULL, "");
    expect("return reply.json { a = 1 }", "200 application/json|{\"a\":1}");
    expect("return reply.json({ a = json.null }, 201)", "201 application/json|{\"a\":null}");
    expect("return reply.json(json.null)", "200 application/json|null");
    expect("return reply.json(5)", "200 application/json|5");
    expect("return reply.text('x', { status = 418, headers = { ['X-A'] = 'b' } })",
           "418 x-a: b|text/plain; charset=utf-8|x");
    expect("return reply.text(12)", "200 text/plain; charset=utf-8|12");
    expect("return reply.html '<p>'", "200 text/html; charset=utf-8|<p>");
    expect("return reply.bytes('\\1\\2', { type = 'image/png' })", "200 image/png|\x01\x02");
    expect("return reply.bytes 'x'", "200 application/octet-stream|x");
    expect("return reply.redirect '/next'", "302 location: /next|");
    expect("return reply.redirect('/next', 308)", "308 location: /next|");
    expect("return reply.redirect('/next', { status = 303, cookies = { s = '1' } })",
           "303 set-cookie: s=1|location: /next|");
    expect("return reply.text('', 204)", "204 ");
    expect("return reply.text(1732797219123456)", "200 text/plain; charset=utf-8|1732797219123456");
    expect("return 200, nil, { ['x-id'] = { 1732797219123456, 0.5 } }", "200 x-id: 1732797219123456|x-id: 0.5|");
    assert_null(run("return reply.problem(409, 'already paid')"));
    assert_int_equal(answer.response.status, 409);
    assert_non_null(strstr(as_text(), "application/problem+json"));
    assert_non_null(strstr(as_text(), "\"detail\":\"already paid\""));
    assert_non_null(strstr(as_text(), "\"request_id\":\""));
}

static void misuse_of_reply_raises_with_the_scripts_line(void **state)
{
    new_request(NULL, NULL, "");
    expect_raised("return reply.json()", 500, "reply.json: expected a value, got nil");
    expect_raised("local r = reply.json(nil) return r", 500, "hooks/t.lua:1: reply.json: expected a value");
    expect_raised("return reply.text({})", 500, "reply.text: expected a string, got table");
    expect_raised("return reply.text('x', { staus = 200 })", 500, "unknown option 'staus' (did you mean 'status'?)");
    expect_raised("return reply.text('x', 199)", 500, "200 to 599");
    expect_raised("return reply.text('x', 'y')", 500, "expected a table of options");
    expect_raised("return reply.text('x', 200, {})", 500, "expected one value and options, got 3");
    expect_raised("return reply.text('x', { headers = 'x' })", 500, "headers: expected a table");
    expect_raised("return reply.redirect('')", 500, "an empty URL");
    expect_raised("return reply.redirect('/x', 200)", 500, "expected status 301");
    expect_raised("return reply.problem(200)", 500, "400 to 599");
    expect_raised("return reply.problem(404.5)", 500, "400 to 599");
    expect_raised("return reply.file()", 500, "reply.file: expected a path, got nothing");
    expect_raised("return reply.file(7)", 500, "reply.file: expected a path, got number");
    expect_raised("return reply.file('x', { nam = 'y' })", 500, "did you mean 'name'?");
    expect_raised("return reply.file('x', { name = '' })", 500, "name: expected a file name");
    expect_raised("return reply.file('x', { name = 'a\\nb' })", 500, "name: expected a file name");
    expect_raised("return reply.file('x', { name = '\\255' })", 500, "name: expected a file name");
    expect_raised("return reply.skip(200)", 500, "reply.skip is not in this version");
    expect_raised("return reply.jsn {}", 500, "did you mean reply.json?");
    expect_raised("local r = reply.json {} r.status = 500 return r", 500, "a reply has no field 'status'");
    expect_raised("return reply.json({}).status", 500, "a reply has no field 'status'");
}

static void a_file_is_a_path_and_headers(void **state)
{
    new_request(NULL, NULL, "");
    expect("return reply.file 'a/b.txt'", "200 a/b.txt"); /* the server opens it, and says its type */
    assert_true(answer.plan.file);
    expect("return reply.file('x', { name = 'r\\195\\169.pdf', type = 'text/x', headers = { a = 'b' } })",
           "200 a: b|text/x|content-disposition: attachment; filename=\"r_.pdf\"; filename*=UTF-8''r%C3%A9.pdf|x");
    expect("return reply.file('x', 404)", "404 x");
    expect("return 'a text'", "200 text/plain; charset=utf-8|a text");
    assert_false(answer.plan.file);
    expect_refused("return reply.file('x', 304)", "reply.file with status 304");
    expect_refused("return reply.file('x', { headers = { ETag = '1' } })", "reply.file has its own etag header");
    expect_refused("return reply.file('x', { name = 'y', headers = { ['content-disposition'] = 'inline' } })",
                   "a name and a content-disposition");
    expect_refused("return reply.file('x', { type = 'a/b', headers = { ['content-type'] = 'c/d' } })",
                   "a type and a content-type");
    expect_refused("local r = reply.file 'x' rawset(r, 3, 7) return r", "no longer a string");
}

static void cookies_are_checked_character_by_character(void **state)
{
    new_request(NULL, NULL, "");
    expect("return reply.text('', { status = 204, cookies = { sid = 'abc' } })", "204 set-cookie: sid=abc|");
    assert_null(run("return reply.text('', { status = 204, cookies = { sid = { value = 'a', path = '/', domain = "
                    "'example.com', max_age = 60, secure = true, http_only = true, same_site = 'Lax' } } })"));
    assert_non_null(strstr(as_text(), "set-cookie: sid=a; "));
    const char *parts[] = {"; Path=/", "; Domain=example.com", "; Max-Age=60",
                           "; Secure", "; HttpOnly",           "; SameSite=Lax"};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        assert_non_null(strstr(as_text(), parts[i]));
    const char *bad[] = {"sid = 'a;b'",
                         "sid = 'a b'",
                         "sid = 'a,b'",
                         "sid = 'a\\nb'",
                         "['s id'] = 'a'",
                         "['s=d'] = 'a'",
                         "[''] = 'a'",
                         "sid = 5",
                         "sid = {}",
                         "sid = { value = 'a', path = '/;x' }",
                         "sid = { value = 'a', domain = 'a\\r\\nb' }",
                         "sid = { value = 'a', max_age = -1 }",
                         "sid = { value = 'a', max_age = 0/0 }",
                         "sid = { value = 'a', max_age = 1.5 }",
                         "sid = { value = 'a', same_site = 'lax' }",
                         "sid = { value = 'a', expires = 'now' }",
                         "sid = { value = 'a', secure = 1 }",
                         "'sid'",
                         "sid = ('x'):rep(5000)"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char text[160];
        snprintf(text, sizeof(text), "return reply.text('x', { cookies = { %s } })", bad[i]);
        expect_refused(text, "cookie");
    }
}

/* What rawset can do to a reply's inside must stay an answer or a refusal. */
static void a_reply_taken_apart_is_still_safe(void **state)
{
    new_request(NULL, NULL, "");
    const char *values[] = {"nil",   "0",   "1",   "5",  "6",    "7",     "200", "-1",
                            "1e308", "0/0", "'x'", "{}", "true", "print", "req"};
    for (int field = 1; field <= 7; field++)
        for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
            char text[160];
            snprintf(text, sizeof(text), "local r = reply.json({ a = 1 }) rawset(r, %d, %s) return r", field,
                     values[i]);
            assert_null(run(text));
            assert_int_equal(answer.end, TASK_RETURNED);
            if (answer.read == 0)
                assert_in_range(answer.response.status, 200, 599);
        }
    for (int kind = 0; kind <= REPLY_KIND_PROXY + 1; kind++) {
        char text[160];
        snprintf(text, sizeof(text), "local r = reply.text 'x' rawset(r, %d, %d) return r", REPLY_KIND, kind);
        assert_null(run(text)); /* as a problem, whose status must be an error's, too */
        assert_int_equal(answer.end, TASK_RETURNED);
    }
    expect_raised("getmetatable(reply.json {}).__metatable = nil", 500, "");
    expect_refused("local r = reply.text 'x' return 200, r", "own status");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_forms_are_answers),
        cmocka_unit_test(a_header_of_the_script_stands_instead_of_the_default),
        cmocka_unit_test(the_default_is_there_behind_as_many_headers_as_may_be),
        cmocka_unit_test(what_is_no_answer_is_refused_in_words),
        cmocka_unit_test(headers_that_split_or_break_the_answer_are_refused),
        cmocka_unit_test(replies_are_what_they_say),
        cmocka_unit_test(misuse_of_reply_raises_with_the_scripts_line),
        cmocka_unit_test(a_file_is_a_path_and_headers),
        cmocka_unit_test(cookies_are_checked_character_by_character),
        cmocka_unit_test(a_reply_taken_apart_is_still_safe),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
