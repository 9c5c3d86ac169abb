/*
 * test_bind_part.c: files and fields of a multipart form as scripts see them; a part is nothing after its request; a
 * packed body is unpacked for every reader, and not for a verifier.
 */
#include "handle.h"

#define FORM                                                                                                        \
    "--b\r\nContent-Disposition: form-data; name=\"tag\"\r\n\r\nx\r\n"                                              \
    "--b\r\nContent-Disposition: form-data; name=\"up\"; filename=\"../a.txt\"\r\nContent-Type: text/plain\r\n\r\n" \
    "hello\r\n"                                                                                                     \
    "--b\r\nContent-Disposition: form-data; name=\"tag\"\r\n\r\ny\r\n"                                              \
    "--b\r\nContent-Disposition: form-data; name=\"none\"; filename=\"\"\r\n\r\n\r\n"                               \
    "--b\r\nContent-Disposition: form-data; name=\"up\"; filename=\"\"\r\n\r\nnameless\r\n--b--\r\n"
#define TYPE "multipart/form-data; boundary=b"

static void files_are_told_from_fields(void **state)
{
    new_request(NULL, TYPE, FORM);
    expect(
        "local f = req:files() local a, b = f[1], f[2] return { #f, a.name, a.filename, a.filename_raw, a.type, "
        "a.size, a.data, b.name, tostring(b.filename), b.filename_raw, tostring(b.type), b.data }",
        "200 application/json|[2,\"up\",\"a.txt\",\"../a.txt\",\"text/plain\",5,\"hello\",\"up\",\"nil\",\"\",\"nil\","
        "\"nameless\"]");
    expect("local f, all = req:form() return { f.tag, all.tag, tostring(f.up), tostring(f.none) }",
           "200 application/json|[\"x\",[\"x\",\"y\"],\"nil\",\"nil\"]");
    expect("local f, all, files = req:data() return { f.tag, #all.tag, files[1].data }",
           "200 application/json|[\"x\",2,\"hello\"]");
    expect("return req:files()[1].data .. tostring(req:files()[1])", "200 text/plain; charset=utf-8|hellopart up");
    new_request(NULL, TYPE, "--b--");
    expect("return { #req:files(), tostring(next((req:form()))) }", "200 application/json|[0,\"nil\"]");
}

static void other_bodies_are_refused_in_words(void **state)
{
    new_request(NULL, "application/json", "{}");
    expect_raised("return req:files()", 415, "expected a form of type multipart/form-data");
    new_request(NULL, NULL, "");
    expect_raised("return req:files()", 415, "expected a form");
    new_request(NULL, "multipart/mixed; boundary=b", "--b--");
    expect_raised("return req:files()", 415, "expected a form");
    new_request(NULL, "multipart/form-data", "--b--");
    expect_raised("return req:files()", 400, "the multipart form is malformed: Content-Type has no boundary");
    new_request(NULL, TYPE, "--b\r\nContent-Disposition: form-data\r\n\r\n\r\n--b--");
    expect_raised("return req:form()", 400,
                  "the multipart form is malformed in part 1, at byte 36: Content-Disposition has no name");
    new_request(NULL, TYPE, "--b--");
    header("content-type", "multipart/form-data; boundary=c");
    expect_raised("return req:form()", 400, "two Content-Type");
    expect_raised("return req:data()", 400, "two Content-Type");
}

static void a_part_is_read_only_and_ends_with_its_request(void **state)
{
    new_request(NULL, TYPE, FORM);
    expect_raised("req:files()[1].name = 'x'", 500, "a part is read-only");
    expect_raised("return req:files()[1].filname", 500, "a part has no field 'filname'; did you mean 'filename'?");
    expect_raised("return req:files()[1].save({}, 'x')", 500, "expected a part of a form");
    expect_raised("return getmetatable(req:files()[1]).__index(req, 'name')", 500, "");
    lua_State *L = state_lua(lua); /* a part kept beyond the end, as an upvalue would */
    bind_req_push(L, &request);
    lua_getfield(L, -1, "files");
    lua_insert(L, -2);
    assert_int_equal(lua_pcall(L, 1, 1, 0), 0);
    lua_rawgeti(L, -1, 1);
    lua_gc(L, LUA_GCCOLLECT, 0);
    bind_req_end(&request);
    assert_int_equal(luaL_loadstring(L, "local part, field = ... return part[field]"), 0);
    lua_insert(L, -2);
    lua_pushliteral(L, "size");
    assert_int_not_equal(lua_pcall(L, 2, 1, 0), 0);
    assert_non_null(strstr(lua_tostring(L, -1), "the request has ended: its parts cannot be used"));
    lua_settop(L, 0);
}

/* The body moves when an HTTP/2 request is detached before a wait; parts follow it. */
static void parts_follow_a_body_that_moves(void **state)
{
    char first[] = FORM, second[] = FORM;
    new_request(NULL, TYPE, "");
    http.body = (struct slice){first, sizeof(first) - 1};
    expect("return { req:files()[1].data, req:form().tag }", "200 application/json|[\"hello\",\"x\"]");
    memset(first, '!', sizeof(first));
    http.body.at = second;
    expect("return { req:files()[1].data, req:form().tag }", "200 application/json|[\"hello\",\"x\"]");
}

/* python3: gzip.compress(b'{"a":1}', mtime=0) */
#define PACKED                                                           \
    SLICE("\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\x56\x4a\x54\xb2" \
          "\x32\xac\x05\x00\xaf\xac\x1b\x56\x07\x00\x00\x00")

static void a_packed_body_is_unpacked_for_readers_not_for_verifiers(void **state)
{
    new_request(NULL, "application/json", "");
    http.body = PACKED;
    header("content-encoding", "gzip");
    expect("return { req.body, req:json().a, (req:pick '/a'), req:data().a }",
           "200 application/json|[\"{\\\"a\\\":1}\",1,1,1]");
    request.verifying = true;
    expect("return { #req.body, req:json().a }", "200 application/json|[27,1]");
    new_request(NULL, "application/json", "xx");
    header("content-encoding", "gzip");
    expect_raised("return req:json()", 400, "the body's compressed content ");
    expect_raised("return req.body", 400, "the body's compressed content ");
    new_request(NULL, "application/json", "xx");
    header("content-encoding", "br");
    expect_raised("return req:json()", 415, "not known here");
    expect_raised("return req:data()", 415, "not known here");
    new_request(NULL, "application/json", "");
    http.body = PACKED;
    header("content-encoding", "gzip");
    request.max_body = 6;
    expect_raised("return req.body", 413, "too large when it is unpacked");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(files_are_told_from_fields, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_bodies_are_refused_in_words, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_part_is_read_only_and_ends_with_its_request, set_up, tear_down),
        cmocka_unit_test_setup_teardown(parts_follow_a_body_that_moves, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_packed_body_is_unpacked_for_readers_not_for_verifiers, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
