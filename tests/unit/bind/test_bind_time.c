/*
 * test_bind_time.c: promises: time.parse and time.format agree with date(1) and with node's Date (whose figures these
 * are); what is no time is nil and words, misuse raises; uuids have the bits of RFC 9562 and differ.
 */
#include "handle.h"

static void gives(const char *text, const char *value)
{
    char result[160];
    snprintf(result, sizeof(result), "200 text/plain; charset=utf-8|%s", value);
    expect(text, result);
}

static void parse_reads_rfc3339(void **state)
{
    static const struct {
        const char *text, *seconds;
    } rows[] = {
        {"1970-01-01T00:00:00Z", "0"},
        {"2024-02-29T12:00:00Z", "1709208000"},
        {"2024-02-29 12:00:00z", "1709208000"},
        {"2024-02-29t12:00:00.5+02:00", "1709200800.5"},
        {"1969-12-31T23:59:59.250Z", "-0.75"},
        {"1900-03-01T00:00:00-11:30", "-2203849800"},
        {"0001-01-01T00:00:00Z", "-62135596800"},
        {"9999-12-31T23:59:59Z", "253402300799"},
        {"2016-12-31T23:59:60Z", "1483228800"},
        {"Sun, 06 Nov 1994 08:49:37 GMT", "784111777"},
        {"Sunday, 06-Nov-94 08:49:37 GMT", "784111777"},
        {"Sun Nov  6 08:49:37 1994", "784111777"},
    };
    new_request(NULL, NULL, "");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[160];
        snprintf(text, sizeof(text), "return ('%%.14g'):format(assert(time.parse '%s'))", rows[i].text);
        gives(text, rows[i].seconds);
    }
}

static void what_is_no_time_is_nil_and_words(void **state)
{
    static const char *const bad[] = {"",
                                      "now",
                                      "1709208000",
                                      "2024-02-30T12:00:00Z",
                                      "2023-02-29T12:00:00Z",
                                      "2024-13-01T12:00:00Z",
                                      "2024-00-01T12:00:00Z",
                                      "2024-02-29T24:00:00Z",
                                      "2024-02-29T12:60:00Z",
                                      "2024-02-29T12:00:00",
                                      "2024-02-29T12:00Z",
                                      "2024-02-29T12:00:00.Z",
                                      "2024-02-29T12:00:00Z ",
                                      " 2024-02-29T12:00:00Z",
                                      "2024-02-29T12:00:00+0200",
                                      "2024-02-29T12:00:00+24:00",
                                      "2024-2-29T12:00:00Z",
                                      "-024-02-29T12:00:00Z",
                                      "2024-02-29T12:00:00Z\\0"};
    new_request(NULL, NULL, "");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char text[200];
        snprintf(text, sizeof(text), "local t, err = time.parse '%s' return t == nil and err:sub(1, 10)", bad[i]);
        gives(text, "not a time");
    }
}

static void what_format_does_not_write_is_not_read(void **state)
{
    static const char *const beyond[] = {"0000-01-01T00:00:00Z",      "0000-12-31T23:59:59.999999999Z",
                                         "0001-01-01T00:59:59+01:00", "9999-12-31T23:00:00-01:00",
                                         "9999-12-31T23:59:60Z",      "9999-12-31T23:59:59.5-00:01"};
    static const char *const last[] = {"0001-01-01T00:00:00Z", "0000-12-31T23:59:59-00:01",
                                       "9999-12-31T23:59:59.9999999999Z", "9999-12-31T23:59:60+00:01"};
    char text[200];
    new_request(NULL, NULL, "");
    for (size_t i = 0; i < sizeof(beyond) / sizeof(beyond[0]); i++) {
        snprintf(text, sizeof(text), "local t, err = time.parse '%s' return t == nil and err", beyond[i]);
        gives(text, "not a time of the years 1 to 9999 (in UTC)");
    }
    for (size_t i = 0; i < sizeof(last) / sizeof(last[0]); i++) {
        snprintf(text, sizeof(text), "return type(time.format(assert(time.parse '%s')))", last[i]);
        gives(text, "string");
    }
}

static void format_writes_rfc3339(void **state)
{
    static const struct {
        const char *seconds, *text;
    } rows[] = {
        {"0", "1970-01-01T00:00:00Z"},
        {"1709208000", "2024-02-29T12:00:00Z"},
        {"1709208000.5", "2024-02-29T12:00:00.500Z"},
        {"1709208000.0004", "2024-02-29T12:00:00Z"},
        {"1709208000.123456", "2024-02-29T12:00:00.123Z"},
        {"1709207999.9999", "2024-02-29T12:00:00Z"},
        {"-0.75", "1969-12-31T23:59:59.250Z"},
        {"951868799", "2000-02-29T23:59:59Z"},
        {"-62135596800", "0001-01-01T00:00:00Z"},
        {"253402300799", "9999-12-31T23:59:59Z"},
        {"253402300799.9999", "9999-12-31T23:59:59.999Z"},
    };
    new_request(NULL, NULL, "");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[80];
        snprintf(text, sizeof(text), "return time.format(%s)", rows[i].seconds);
        gives(text, rows[i].text);
    }
    gives("return time.format(784111777.9, 'http')", "Sun, 06 Nov 1994 08:49:37 GMT");
    gives("return time.format(-0.5, 'http')", "Wed, 31 Dec 1969 23:59:59 GMT");
    gives("return time.format(0, 'rfc3339')", "1970-01-01T00:00:00Z");
    gives("for i = 1, 2000 do local t = math.random(-6e13, 25e13) / 1000 "
          "if math.abs(time.parse(time.format(t)) - t) > 0.0006 then return tostring(t) end end return 'all'",
          "all");
}

static void misuse_raises(void **state)
{
    static const struct {
        const char *text, *words;
    } rows[] = {
        {"time.parse()", "bad argument #1 to 'parse'"},
        {"time.parse(5)", "bad argument #1 to 'parse'"},
        {"time.parse('x', 'http')", "time.parse: expected at most 1 argument, got 2"},
        {"time.format('soon')", "bad argument #1 to 'format'"},
        {"time.format(0, 'iso')", "bad argument #2 to 'format' (invalid option 'iso')"},
        {"time.format(0, 'http', 1)", "time.format: expected at most 2 arguments, got 3"},
        {"time.now(1)", "time.now: expected at most 0 arguments, got 1"},
        {"time.monotonic(1)", "time.monotonic: expected at most 0 arguments, got 1"},
        {"uuid(4)", "uuid: expected at most 0 arguments, got 1"},
        {"uuid.v4(1)", "uuid.v4: expected at most 0 arguments, got 1"},
        {"uuid.v7(1)", "uuid.v7: expected at most 0 arguments, got 1"},
        {"time.format(0/0)", "expected seconds of the years 1 to 9999"},
        {"time.format(1/0)", "expected seconds of the years 1 to 9999"},
        {"time.format(-1/0)", "expected seconds of the years 1 to 9999"},
        {"time.format(253402300800)", "expected seconds of the years 1 to 9999"},
        {"time.format(-62135596800.5)", "expected seconds of the years 1 to 9999"},
    };
    new_request(NULL, NULL, "");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        expect_raised(rows[i].text, 500, rows[i].words);
}

static void clocks_go_forward(void **state)
{
    new_request(NULL, NULL, "");
    gives("local t = time.now() return math.abs(t - os.time()) < 2 and t % 1 ~= 0 and 'near'", "near");
    gives("local a = time.monotonic() for i = 1, 1e5 do local b = time.monotonic() if b < a then return 'back' "
          "end a = b end return 'forward'",
          "forward");
}

static void uuids_have_their_bits_and_differ(void **state)
{
    new_request(NULL, NULL, "");
    gives("local seen, n = {}, 0 for _, make in ipairs { uuid.v4, uuid.v7, function() return uuid() end } do "
          "for i = 1, 3000 do local id = make() if seen[id] then return 'twice ' .. id end seen[id] = true n = n + 1 "
          "if not id:match '^%x%x%x%x%x%x%x%x%-%x%x%x%x%-[47]%x%x%x%-[89ab]%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x$' "
          "then return id end end end return tostring(n)",
          "9000");
    gives(
        "local id = uuid.v7() local ms = tonumber(id:sub(1, 8) .. id:sub(10, 13), 16) "
        "return math.abs(ms / 1000 - time.now()) < 1 and id:sub(15, 15) .. uuid.v4():sub(15, 15) .. uuid():sub(15, 15)",
        "747");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parse_reads_rfc3339),
        cmocka_unit_test(what_is_no_time_is_nil_and_words),
        cmocka_unit_test(what_format_does_not_write_is_not_read),
        cmocka_unit_test(format_writes_rfc3339),
        cmocka_unit_test(misuse_raises),
        cmocka_unit_test(clocks_go_forward),
        cmocka_unit_test(uuids_have_their_bits_and_differ),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
