/*
 * Promise: a timestamp is read in exactly the form its provider uses, and nothing else passes for one.
 * Expectations: date(1).
 */
#include "policy/timestamp.h"
#include "request.h"

static void numbers_in_their_unit(void **state)
{
    wall_t t;
    assert_true(timestamp_parse(SLICE("1614265330"), TIMESTAMP_SECONDS, &t));
    assert_int_equal(t.ns, 1614265330000000000);
    assert_true(timestamp_parse(SLICE("1614265330123"), TIMESTAMP_MILLISECONDS, &t));
    assert_int_equal(t.ns, 1614265330123000000);
    assert_true(timestamp_parse(SLICE("1614265330123"), TIMESTAMP_ANY, &t));
    assert_int_equal(t.ns, 1614265330123000000);
    assert_true(timestamp_parse(SLICE("1614265330"), TIMESTAMP_ANY, &t));
    assert_int_equal(t.ns, 1614265330000000000);
}

static void dates(void **state)
{
    static const struct {
        const char *text;
        int64_t ns;
    } cases[] = {{"2021-02-25T15:02:10Z", 1614265330000000000},
                 {"2021-02-25t15:02:10.5z", 1614265330500000000},
                 {"2021-02-25T15:02:10.123456789Z", 1614265330123456789},
                 {"2021-02-25T15:02:10.1234567899Z", 1614265330123456789},
                 {"2021-02-25T16:02:10+01:00", 1614265330000000000},
                 {"2021-02-25 09:32:10-05:30", 1614265330000000000},
                 {"2024-02-29T00:00:00Z", 1709164800000000000},
                 {"2016-12-31T23:59:60Z", 1483228800000000000}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        wall_t t;
        assert_true(timestamp_parse(slice_of(cases[i].text), TIMESTAMP_RFC3339, &t));
        assert_int_equal(t.ns, cases[i].ns);
        assert_true(timestamp_parse(slice_of(cases[i].text), TIMESTAMP_ANY, &t));
    }
}

static void everything_else_is_refused(void **state)
{
    static const char *const bad[] = {"",
                                      "-1",
                                      "+1",
                                      "1.5",
                                      " 1",
                                      "1 ",
                                      "0x10",
                                      "1e9",
                                      "soon",
                                      "18446744073709551616",
                                      "2021-02-30T00:00:00Z",
                                      "2021-13-01T00:00:00Z",
                                      "2021-00-01T00:00:00Z",
                                      "2021-02-25",
                                      "2021-02-25T15:02:10",
                                      "2021-02-25T15:02:10.Z",
                                      "2021-02-25T24:02:10Z",
                                      "2021-02-25T15:60:10Z",
                                      "2021-02-25T15:02:61Z",
                                      "2021-02-25T15:02:10+0100",
                                      "2021-02-25T15:02:10+24:00",
                                      "1969-12-31T23:59:59Z",
                                      "1970-01-01T00:00:00+01:00",
                                      "9999-01-01T00:00:00Z"};
    wall_t t;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        for (int unit = TIMESTAMP_SECONDS; unit <= TIMESTAMP_ANY; unit++)
            if (timestamp_parse(slice_of(bad[i]), (enum timestamp_unit)unit, &t))
                fail_msg("'%s' passed for unit %d", bad[i], unit);
    assert_false(timestamp_parse(SLICE("9223372036855"), TIMESTAMP_SECONDS, &t));
    assert_false(timestamp_parse(SLICE("1614265330"), TIMESTAMP_RFC3339, &t));
    assert_false(timestamp_parse(SLICE("2021-02-25T15:02:10Z"), TIMESTAMP_SECONDS, &t));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(numbers_in_their_unit), cmocka_unit_test(dates),
                                       cmocka_unit_test(everything_else_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
