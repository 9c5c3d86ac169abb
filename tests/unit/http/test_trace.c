/*
 * test_trace.c: which traceparent counts (W3C Trace Context 3.2), and what is told of the secrets in a log line.
 */
#include "http/redact.h"
#include "http/trace.h"
#include <stdio.h>
// clang-format off
#include <stdarg.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on

#define GOOD "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static bool carried(const char *text, struct trace *t)
{
    const struct http_header headers[] = {{SLICE("host"), SLICE("a")}, {SLICE("traceparent"), slice_of(text)}};
    const struct http_request r = {.headers = headers, .header_count = 2, .id = {{[8] = 1}}};
    trace_read(&r, t);
    return t->carried;
}

static void a_valid_one_is_carried_on_with_a_span_of_ours(void **state)
{
    struct trace t;
    char text[TRACE_TEXT + 1] = "", id[33] = "";
    const struct uuid request = {{1, 2, 3}};
    assert_true(carried(GOOD, &t));
    trace_text(&t, text);
    assert_string_equal(text, "00-0af7651916cd43dd8448eb211c80319c-0100000000000000-01");
    trace_id_text(&t, &request, id);
    assert_string_equal(id, "0af7651916cd43dd8448eb211c80319c");
    assert_true(carried("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-fe", &t));
    assert_int_equal(t.flags, 0); /* unknown flags are not passed on */
    assert_true(carried("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what the future holds", &t));
    trace_text(&t, text);
    assert_memory_equal(text, "00-", 3);
    assert_true(carried("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", &t));
}

static void whatever_else_counts_as_none(void **state)
{
    static const char *const table[] = {
        "",
        "00",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-011",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
        "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "0g-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0af7651916cd43dd8448eb211c80319c-B7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0x",
        "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331_01",
        " " GOOD,
        GOOD ",",
    };
    const struct uuid request = {{0xab, 0xcd}};
    char id[33] = "";
    struct trace t;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (carried(table[i], &t))
            fail_msg("taken: %s", table[i]);
    trace_id_text(&t, &request, id);
    assert_string_equal(id, "abcd0000000000000000000000000000");
}

static void two_of_them_are_none(void **state)
{
    const struct http_header headers[] = {{SLICE("traceparent"), SLICE(GOOD)}, {SLICE("traceparent"), SLICE(GOOD)}};
    const struct http_request r = {.headers = headers, .header_count = 2};
    struct trace t;
    trace_read(&r, &t);
    assert_false(t.carried);
}

/* --- redaction ---------------------------------------------------------------------------------------------------- */

static void names_of_secrets_are_known(void **state)
{
    static const char *const secret[] = {"authorization",
                                         "Proxy-Authorization",
                                         "cookie",
                                         "Set-Cookie",
                                         "password",
                                         "db_password",
                                         "X-Hub-Signature-256",
                                         "stripe-signature",
                                         "x-api-key",
                                         "X_Api_Key",
                                         "apiKey",
                                         "api_key",
                                         "key",
                                         "access_token",
                                         "token",
                                         "client_secret",
                                         "GITHUB_WEBHOOK_SECRET",
                                         "ALICE_KEY",
                                         "credentials",
                                         "auth"};
    static const char *const harmless[] = {"author",    "keys_count", "keyboard", "monkey", "idempotency-key",
                                           "order_key", "public_key", "path",     "id",     "",
                                           "authors",   "a_key_of"};
    for (size_t i = 0; i < sizeof(secret) / sizeof(secret[0]); i++)
        if (!redact_name(slice_of(secret[i])))
            fail_msg("%s", secret[i]);
    for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
        if (redact_name(slice_of(harmless[i])))
            fail_msg("%s", harmless[i]);
}

static void expect_text(const struct redact *r, const char *text, const char *expected)
{
    struct buf out = {0};
    bool any = redact_text(r, slice_of(text), &out);
    assert_int_equal(any, expected != NULL);
    assert_string_equal(buf_text(&out), expected != NULL ? expected : "");
    buf_free(&out);
}

static void expect_json(const struct redact *r, const char *text, const char *expected)
{
    struct buf out = {0};
    bool any = redact_json(r, slice_of(text), &out);
    assert_int_equal(any, expected != NULL);
    assert_string_equal(buf_text(&out), expected != NULL ? expected : "");
    buf_free(&out);
}

static void learned_values_are_taken_out_wherever_they_stand(void **state)
{
    struct redact *r = redact_new();
    expect_text(r, "nothing is learned yet", NULL);
    redact_learn(r, SLICE("API_KEY"), SLICE("abc123"));
    redact_learn(r, SLICE("LONGER_KEY"), SLICE("abc123def"));
    redact_learn(r, SLICE("SHORT_SECRET"), SLICE("abcde"));
    redact_learn(r, SLICE("REGION"), SLICE("eu-west-1"));
    redact_learn(r, SLICE("DATABASE"), SLICE("postgres://u:p@h/d"));
    expect_text(r, "abc123", "[redacted]");
    expect_text(r, "<abc123><abc123>", "<[redacted]><[redacted]>");
    expect_text(r, "abc123abc123", "[redacted][redacted]");
    expect_text(r, "x abc123def y", "x [redacted] y"); /* the longest, so that nothing of it is left */
    expect_text(r, "abcde eu-west-1 abc12", NULL);
    redact_learn(r, SLICE("PWD"), SLICE("/srv/hooks/production"));
    redact_learn(r, SLICE("HOSTNAME"), SLICE("ip-10-0-0-1.internal"));
    expect_text(r, "/srv/hooks/production ip-10-0-0-1.internal", NULL);
    expect_text(r, "to postgres://u:p@h/d now", "to [redacted] now");
    expect_text(NULL, "abc123", NULL);
    redact_free(&r);
}

static void json_loses_secret_members_and_values(void **state)
{
    struct redact *r = redact_new();
    expect_json(r, "{\"a\":1}", NULL);
    expect_json(r, "[]", NULL);
    expect_json(r, "\"token\"", NULL);
    expect_json(r, "{\"a\":{\"authorization\":\"Bearer x\",\"b\":2}}",
                "{\"a\":{\"authorization\":\"[redacted]\",\"b\":2}}");
    expect_json(r, "{\"cookie\":[\"a\",{\"b\":\"}\"}],\"c\":3}", "{\"cookie\":\"[redacted]\",\"c\":3}");
    expect_json(r, "{\"token\":\"a\\\"b\",\"key\":\"\\\\\"}", "{\"token\":\"[redacted]\",\"key\":\"[redacted]\"}");
    expect_json(r, "{\"tokens_used\":17,\"secret\":null,\"has_password\":true}", NULL);
    redact_learn(r, SLICE("SECRET"), SLICE("a\"b\\c\nd"));
    expect_json(r, "{\"x\":\"<a\\\"b\\\\c\\nd>\"}", "{\"x\":\"<[redacted]>\"}");
    expect_json(r, "{\"x\":\"a\\\"b\\\\c\\nd\",\"pwd\":\"q\"}", "{\"x\":\"[redacted]\",\"pwd\":\"[redacted]\"}");
    redact_free(&r);
}

static void more_values_than_it_keeps_are_survived(void **state)
{
    struct redact *r = redact_new();
    for (int i = 0; i < 2000; i++) {
        char value[32];
        int len = snprintf(value, sizeof(value), "secret-value-%d", i);
        redact_learn(r, SLICE("KEY"), (struct slice){value, (size_t)len});
    }
    expect_text(r, "the secret-value-1999", "the [redacted]");
    redact_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_valid_one_is_carried_on_with_a_span_of_ours),
        cmocka_unit_test(whatever_else_counts_as_none),
        cmocka_unit_test(two_of_them_are_none),
        cmocka_unit_test(names_of_secrets_are_known),
        cmocka_unit_test(learned_values_are_taken_out_wherever_they_stand),
        cmocka_unit_test(json_loses_secret_members_and_values),
        cmocka_unit_test(more_values_than_it_keeps_are_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
