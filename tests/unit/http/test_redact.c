/*
 * test_redact.c: what is told of the secrets in a log line: by the names they stand under, by the values of env that
 * they are; and that JSON stays JSON.
 */
#include "../base/time_factor.h"
#include "base/time.h"
#include "codec/json.h"
#include "http/redact.h"
#include <stdio.h>
#include <stdlib.h>
// clang-format off
#include <stdarg.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on

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
    struct json_reader *reader = json_reader_new();
    struct json_fault fault;
    bool any = redact_json(r, slice_of(text), &out);
    assert_int_equal(any, expected != NULL);
    assert_int_equal(any ? json_parse(reader, buf_slice(&out), &fault) : 0, 0);
    json_reader_free(&reader);
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

static void what_was_cut_within_a_value_goes_too(void **state)
{
    struct redact *r = redact_new();
    redact_learn(r, SLICE("A_KEY"), SLICE("abcdefghijkl"));
    redact_learn(r, SLICE("B_KEY"), SLICE("abcdefzz"));
    redact_learn(r, SLICE("C_KEY"), SLICE("uvwxyz...uvwxyz"));
    redact_learn(r, SLICE("URL"), SLICE("https://example.com/T0/B0"));
    expect_text(r, "'abcdef...'", "'[redacted]...'");
    expect_text(r, "'abcdefghijk...': and abcdefz...", "'[redacted]...': and [redacted]...");
    expect_text(r, "abcdefghijkl...", "[redacted]...");
    expect_text(r, "<uvwxyz...uvw...>", "<[redacted]...uvw...>");
    expect_text(r, "abcde...", NULL); /* as short as a value that is none */
    expect_text(r, "abcdefg", NULL);  /* nothing was cut there: it is a word like another */
    expect_text(r, "abcdefy... abcdefgh, abcdef..", NULL);
    expect_text(r, "to https://example.com/T0, https://example.com", NULL);
    expect_text(r, "to https://example.com/T0/...", "to [redacted]...");
    expect_json(r, "{\"x\":\"<abcdefgh...>\"}", "{\"x\":\"<[redacted]...>\"}");
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

static void values_that_overlap_leave_nothing_of_either(void **state)
{
    struct redact *r = redact_new();
    redact_learn(r, SLICE("A_KEY"), SLICE("abcdefgh"));
    redact_learn(r, SLICE("B_KEY"), SLICE("efghijkl"));
    redact_learn(r, SLICE("C_KEY"), SLICE("abcdefghz"));
    redact_learn(r, SLICE("D_KEY"), SLICE("abcdefaa"));
    expect_text(r, "<abcdefghijkl>", "<[redacted]>");
    expect_text(r, "abcdefgh abcdefghz abcdefghy abcdefaa", "[redacted] [redacted] [redacted]y [redacted]");
    expect_text(r, "abcdefg abcdefab", NULL);
    expect_text(r, "abcdefghefghijkl", "[redacted][redacted]");
    redact_free(&r);
}

static void json_stays_json_wherever_a_value_stands_in_it(void **state)
{
    struct redact *r = redact_new();
    redact_learn(r, SLICE("API_KEY"), SLICE("123456"));
    redact_learn(r, SLICE("B_KEY"), SLICE("nabcdef"));
    redact_learn(r, SLICE("C_KEY"), SLICE("back\\slash\\"));
    redact_learn(r, SLICE("D_KEY"), SLICE("\x01\x1f\"\b\xc3\xa9"));
    redact_learn(r, SLICE("E_KEY"), SLICE("\":1,\"x\":"));
    redact_learn(r, SLICE("F_KEY"), SLICE("[1,2,3,4]"));
    expect_json(r, "{\"a\":123456789}", "{\"a\":\"[redacted]\"}");
    expect_json(r, "1234567", "\"[redacted]\"");
    expect_json(r, "[-0.123456,1234560.5e3,[12345]]", "[\"[redacted]\",\"[redacted]\",[12345]]");
    expect_json(r, "{\"123456\":{\"b\":\"x123456\"}}", "{\"[redacted]\":{\"b\":\"x[redacted]\"}}");
    expect_json(r, "[\"\\nabcdef\"]", NULL); /* a line break, and abcdef */
    expect_json(r, "[\"\\nnabcdef\"]", "[\"\\n[redacted]\"]");
    expect_json(r, "[\"back\\\\slash\\\"\"]", NULL); /* back\slash" */
    expect_json(r, "[\"back\\\\slash\\\\\\\"\"]", "[\"[redacted]\\\"\"]");
    expect_json(r, "[\"\\u0001\\u001f\\\"\\b\xc3\xa9\\u0000\"]", "[\"[redacted]\\u0000\"]");
    expect_json(r, "{\"w\":1,\"x\":2}", NULL); /* what stands across tokens is nobody's value */
    expect_json(r, "[1,2,3,4]", NULL);
    expect_json(r, "[\"[1,2,3,4]\",\"\",true,null]", "[\"[redacted]\",\"\",true,null]");
    redact_free(&r);
}

#define MANY 3000

static void no_value_is_forgotten_however_many_there_are(void **state)
{
    struct redact *r = redact_new();
    char text[64];
    for (int i = 0; i < 2 * MANY; i++) {
        int len = snprintf(text, sizeof(text), "%d-long-unnamed-\"value\"", i * 7919 % 100003);
        redact_learn(r, i % 2 == 0 ? SLICE("NAME") : SLICE("KEY"), (struct slice){text, (size_t)len});
    }
    for (int i = 0; i < 2 * MANY; i++) {
        snprintf(text, sizeof(text), "<%d-long-unnamed-\"value\">", i * 7919 % 100003);
        expect_text(r, text, "<[redacted]>");
        snprintf(text, sizeof(text), "<%d-long-unnamed-\\\"value\\\">", i * 7919 % 100003);
        expect_text(r, text, "<[redacted]>"); /* as it stands in JSON */
    }
    redact_free(&r);
}

/* Each log line pays for it. The best of ten, 1 µs in a debug build; a search for each value takes 80 µs. */
static void a_thousand_values_cost_a_line_little(void **state)
{
    struct redact *r = redact_new();
    struct buf out = {0};
    char text[200];
    unsigned seed = 1;
    for (int i = 0; i < 1000; i++) {
        for (int k = 0; k < 30; k++)
            text[k] = (char)('a' + rand_r(&seed) % 26);
        redact_learn(r, SLICE("NAME"), (struct slice){text, 30});
    }
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)('a' + rand_r(&seed) % 26);
    int64_t best = INT64_MAX;
    for (int round = 0; round < 10; round++) {
        mono_t start = mono_now();
        for (int i = 0; i < 100; i++)
            assert_false(redact_text(r, (struct slice){text, sizeof(text)}, &out));
        int64_t each = mono_since(mono_now(), start).ns / 100;
        best = each < best ? each : best;
    }
    assert_true(best < 30000 * time_factor());
    redact_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_secrets_are_known),
        cmocka_unit_test(learned_values_are_taken_out_wherever_they_stand),
        cmocka_unit_test(what_was_cut_within_a_value_goes_too),
        cmocka_unit_test(json_loses_secret_members_and_values),
        cmocka_unit_test(values_that_overlap_leave_nothing_of_either),
        cmocka_unit_test(json_stays_json_wherever_a_value_stands_in_it),
        cmocka_unit_test(no_value_is_forgotten_however_many_there_are),
        cmocka_unit_test(a_thousand_values_cost_a_line_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
