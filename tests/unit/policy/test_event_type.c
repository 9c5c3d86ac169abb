/*
 * Promise: an event's type is found where the provider puts it, and wanted types are told from others.
 */
#include "codec/json.h"
#include "policy/event_type.h"
#include "request.h"

static void places_are_checked(void **state)
{
    struct error err;
    assert_int_equal(event_type_check("header:X-GitHub-Event", &err), 0);
    assert_int_equal(event_type_check("/data/type", &err), 0);
    assert_int_equal(event_type_check("header:", &err), -1);
    assert_int_equal(event_type_check("header:a b", &err), -1);
    assert_int_equal(event_type_check("/a~2", &err), -1);
    assert_int_equal(event_type_check("", &err), -1);
    assert_int_equal(event_type_check("type", &err), -1);
    assert_string_equal(err.text, "'type' must be \"header:NAME\" or a JSON pointer (\"/type\")");
}

static void types_are_read(void **state)
{
    struct request r;
    struct json_reader *json = json_reader_new();
    struct json_fault fault;
    request_make(&r, "{\"type\":\"invoice.paid\",\"n\":1,\"data\":{\"t\":\"x\"}}");
    request_header(&r, "x-github-event", SLICE("push"));
    assert_int_equal(json_parse(json, r.http.body, &fault), 0);
    assert_true(slice_equal(event_type_read("header:X-GitHub-Event", &r.http, NULL), SLICE("push")));
    assert_true(slice_equal(event_type_read("/type", &r.http, json), SLICE("invoice.paid")));
    assert_true(slice_equal(event_type_read("/data/t", &r.http, json), SLICE("x")));
    assert_null(event_type_read("header:x-other", &r.http, json).at);
    assert_null(event_type_read("/n", &r.http, json).at);
    assert_null(event_type_read("/none", &r.http, json).at);
    assert_null(event_type_read("/type", &r.http, NULL).at);
    assert_true(event_type_in_body("/type"));
    assert_false(event_type_in_body("header:x"));
    json_reader_free(&json);
}

static void wanted_types(void **state)
{
    char push[] = "push", invoices[] = "invoice.*", all[] = "*";
    char *const some[] = {push, invoices}, *const every[] = {all};
    assert_true(event_type_wanted(SLICE("push"), some, 2));
    assert_true(event_type_wanted(SLICE("invoice.paid"), some, 2));
    assert_false(event_type_wanted(SLICE("invoice"), some, 2));
    assert_false(event_type_wanted(SLICE("Push"), some, 2));
    assert_false(event_type_wanted(SLICE("pushed"), some, 2));
    assert_false(event_type_wanted(SLICE_NONE, some, 2));
    assert_true(event_type_wanted(SLICE("anything"), every, 1));
    assert_false(event_type_wanted(SLICE_NONE, every, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(places_are_checked), cmocka_unit_test(types_are_read),
                                       cmocka_unit_test(wanted_types)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
