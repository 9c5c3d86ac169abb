/*
 * test_ratelimit.c: limits are what their text says, and what cannot be one is refused in words; several are all asked
 * before the first is counted; the header fields are those of draft-ietf-httpapi-ratelimit-headers-11.
 */
#include "policy/ratelimit.h"

#include "base/panic.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct limits *cells;
static struct ratelimit *r;

static int begin(void **state)
{
    cells = aligned_alloc(128, sizeof(*cells));
    if (cells == NULL)
        return -1;
    memset(cells, 0, sizeof(*cells));
    limits_seed(cells);
    r = ratelimit_new();
    return 0;
}

static int end(void **state)
{
    ratelimit_free(&r);
    ratelimit_free(&r);
    free(cells);
    return 0;
}

static void add(const char *text)
{
    struct error err = {""};
    if (ratelimit_add_text(r, slice_of(text), &err) != 0)
        fail_msg("%s: %s", text, err.text);
}

static void a_limit_is_what_its_text_says(void **state)
{
    static const struct {
        const char *text, *again; /* NULL: the same */
        uint64_t limit, burst;
        int64_t per, interval; /* s, ns */
    } cases[] = {
        {"100/m", "100/m by ip", 100, 100, 60, 600000000},
        {"1/s by ip", NULL, 1, 1, 1, 1000000000},
        {"100/60s", "100/m by ip", 100, 100, 60, 600000000},
        {"5/1d burst 7", "5/d burst 7 by ip", 5, 7, 86400, INT64_C(17280000000000)},
        {"7/m by auth", NULL, 7, 7, 60, INT64_C(8571428571)},
        {"3/90s burst 1 by header:X-Key", "3/90s burst 1 by header:x-key", 3, 1, 90, INT64_C(30000000000)},
        {"10/5m by query:a b, by x", NULL, 10, 10, 300, INT64_C(30000000000)},
        {"1000000/s by /a b", NULL, 1000000, 1000000, 1, 1000},
        {"1/31d", "1/31d by ip", 1, 1, 31 * 86400, INT64_C(2678400000000000)},
        {"3/s burst 3", "3/s by ip", 3, 3, 1, 333333333},
        {"600000/s by body", NULL, 600000, 600000, 1, 1667}, /* rounded */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        add(cases[i].text);
        const struct ratelimit_rule *rule = &r->rule[0];
        assert_string_equal(rule->text, cases[i].again != NULL ? cases[i].again : cases[i].text);
        assert_int_equal(rule->limit, cases[i].limit);
        assert_int_equal(rule->burst, cases[i].burst);
        assert_int_equal(rule->per.ns, cases[i].per * INT64_C(1000000000));
        assert_int_equal(rule->rate.interval, cases[i].interval);
        assert_int_equal(rule->rate.depth, cases[i].interval * (int64_t)cases[i].burst);
        ratelimit_free(&r);
        r = ratelimit_new();
        add(cases[i].again != NULL ? cases[i].again : cases[i].text); /* what is described can be read */
        ratelimit_free(&r);
        r = ratelimit_new();
    }
}

static void what_is_no_limit_is_refused_in_words(void **state)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"", "expected a limit like \"100/m\", got \"\""},
        {"100", "expected a limit like \"100/m\", got \"100\""},
        {"-1/m", "expected a limit like \"100/m\", got \"-1/m\""},
        {" 1/m", "expected a limit like \"100/m\", got \" 1/m\""},
        {"1.5/m", "expected a limit like \"100/m\", got \"1.5/m\""},
        {"99999999999999999999/m", "expected a limit like \"100/m\", got \"99999999999999999999/m\""},
        {"100/", "\"100/\": the period is \"s\", \"m\", \"h\", \"d\" or a duration like \"30s\""},
        {"100/min", "\"100/min\": the period is \"s\", \"m\", \"h\", \"d\" or a duration like \"30s\""},
        {"100/m by", "\"100/m by\": expected nothing more, or \" burst NUMBER\", or \" by KEY\""},
        {"100/m ", "\"100/m \": expected nothing more, or \" burst NUMBER\", or \" by KEY\""},
        {"100/m burst", "\"100/m burst\": expected nothing more, or \" burst NUMBER\", or \" by KEY\""},
        {"100/m burst x", "\"100/m burst x\": expected a number behind \"burst\""},
        {"100/m burst 0", "\"100/m burst 0\": a burst of 0 requests lets nobody in"},
        {"0/m", "a limit of 0 requests lets nobody in"},
        {"10/500ms", "the period must be whole seconds, from 1s to 31d"},
        {"10/1500ms", "the period must be whole seconds, from 1s to 31d"},
        {"10/0", "the period must be whole seconds, from 1s to 31d"},
        {"10/32d", "the period must be whole seconds, from 1s to 31d"},
        {"1000001/s", "more than 1000000 requests a second cannot be counted"},
        {"4611686018427387903/d", "more than 1000000 requests a second cannot be counted"},
        {"1/d burst 32", "a burst of 32 requests would take longer than 31d to be forgotten"},
        {"1/m burst 4611686018427387903",
         "a burst of 4611686018427387903 requests would take longer than 31d to be forgotten"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error err = {""};
        assert_int_equal(ratelimit_add_text(r, slice_of(cases[i].text), &err), -1);
        assert_string_equal(err.text, cases[i].words);
        assert_int_equal(r->count, 0);
    }
    struct error err = {""};
    assert_int_equal(ratelimit_add_text(r, SLICE("1/m by hedaer:x"), &err), -1);
    assert_non_null(strstr(err.text, "\"1/m by hedaer:x\": 'hedaer:x' is no key (did you mean \"header:\"?)"));
    add("1/m");
    assert_int_equal(ratelimit_add_text(r, SLICE("1/60s burst 1"), &err), -1);
    assert_string_equal(err.text, "the limit \"1/m by ip\" stands twice");
    for (int i = 2; i <= RATELIMIT_MOST; i++) {
        char text[16];
        snprintf(text, sizeof(text), "%d/m", i);
        add(text);
    }
    assert_int_equal(ratelimit_add_text(r, SLICE("9/m"), &err), -1);
    assert_string_equal(err.text, "more than 8 limits");
}

static int released;

static void release(void *owner, int ref)
{
    released += ref;
}

static void what_it_takes_it_gives_back(void **state)
{
    struct error err;
    struct key by = {.kind = KEY_FUNCTION, .function = {.ref = 1, .release = release}};
    assert_int_equal(ratelimit_add(r, 0, DUR_S(1), 0, &by, &err), -1);
    assert_int_equal(released, 1);
    by = (struct key){.kind = KEY_FUNCTION, .function = {.ref = 10, .release = release}};
    assert_int_equal(ratelimit_add(r, 5, DUR_S(1), 0, &by, &err), 0);
    by = (struct key){.kind = KEY_FUNCTION, .function = {.ref = 100, .release = release}};
    assert_int_equal(ratelimit_add(r, 5, DUR_S(1), 0, &by, &err), 0); /* two functions may differ */
    ratelimit_finish(r, "x");
    assert_true(r->rule[0].identity != r->rule[1].identity);
    assert_int_equal(released, 1);
    ratelimit_free(&r);
    assert_int_equal(released, 111);
}

static mono_t at(double s)
{
    return (mono_t){(int64_t)(s * 1e9) + INT64_C(1000000000000000000)};
}

static struct ratelimit_state state_;
static unsigned evicted;

/* One request of `key` for all rules. */
static bool ask(const char *key, double s)
{
    unsigned all = r->by_ip | r->by_key;
    state_ = (struct ratelimit_state){0};
    for (size_t i = 0; i < r->count; i++)
        ratelimit_say(r, i, cells->seed, slice_of(key), false, &state_);
    return ratelimit_decide(r, all, cells, at(s), &state_, &evicted);
}

static void expect_field(const char *wanted)
{
    char room[RATELIMIT_FIELD];
    size_t len = ratelimit_field(r, &state_, room);
    assert_int_equal(len, strlen(wanted));
    assert_memory_equal(room, wanted, len);
}

static void the_fields_tell_quota_and_what_is_left(void **state)
{
    add("5/m");
    ratelimit_finish(r, "github");
    assert_string_equal(r->policy.at, "\"ip\";q=5;w=60");
    state_ = (struct ratelimit_state){0};
    expect_field(""); /* nothing is known before it was decided */
    static const char *const fields[] = {"\"ip\";r=4;t=12", "\"ip\";r=3;t=12", "\"ip\";r=2;t=12", "\"ip\";r=1;t=12",
                                         "\"ip\";r=0;t=12"};
    for (int i = 0; i < 5; i++) {
        assert_true(ask("a", 0));
        expect_field(fields[i]);
    }
    assert_false(ask("a", 0));
    expect_field("\"ip\";r=0;t=12");
    assert_int_equal(ratelimit_retry_after(&state_), 12);
    assert_false(ask("a", 11.5));
    expect_field("\"ip\";r=0;t=1");
    assert_int_equal(ratelimit_retry_after(&state_), 1);
    assert_false(ask("a", 11.999999999));
    assert_int_equal(ratelimit_retry_after(&state_), 1);
    assert_true(ask("a", 12));
    expect_field("\"ip\";r=0;t=12");
    assert_true(ask("a", 1000));
    expect_field("\"ip\";r=4;t=12");
}

static void all_are_asked_before_one_is_counted(void **state)
{
    add("3/s");
    add("100/h by header:x");
    add("5/h by header:y");
    ratelimit_finish(r, "x");
    assert_string_equal(r->policy.at, "\"ip\";q=3;w=1, \"header\";q=100;w=3600, \"header-2\";q=5;w=3600");
    for (int i = 0; i < 5; i++)
        assert_true(ask("a", i));
    expect_field("\"ip\";r=2;t=1, \"header\";r=95;t=32, \"header-2\";r=0;t=716");
    for (int i = 0; i < 50; i++)
        assert_false(ask("a", 4.1)); /* the last one is used up; the others hear nothing of it */
    expect_field("\"ip\";r=2;t=1, \"header\";r=95;t=32, \"header-2\";r=0;t=716");
    assert_int_equal(ratelimit_retry_after(&state_), 716);
    assert_true(ask("b", 4.1));
}

static void a_missing_key_is_no_key_that_reads_alike(void **state)
{
    struct ratelimit_state there = {0}, missing = {0};
    add("1/m by header:x");
    ratelimit_finish(r, "x");
    ratelimit_say(r, 0, cells->seed, SLICE("10.0.0.1"), false, &there);
    ratelimit_say(r, 0, cells->seed, SLICE("10.0.0.1"), true, &missing);
    assert_true(there.key[0] != missing.key[0]);
}

/* A reload makes them anew; what does not change goes on counting, another endpoint or limit does not. */
static void an_identity_is_of_endpoint_and_limit(void **state)
{
    static const char *const limits[] = {"5/m", "5/m burst 6", "5/m by auth", "6/m", "5/h"};
    uint64_t seen[2 * 5];
    for (size_t i = 0; i < 10; i++) {
        for (int again = 0; again < 2; again++) {
            ratelimit_free(&r);
            r = ratelimit_new();
            add(limits[i % 5]);
            ratelimit_finish(r, i < 5 ? "a" : "b");
            assert_true(again == 0 || seen[i] == r->rule[0].identity);
            seen[i] = r->rule[0].identity;
        }
        for (size_t k = 0; k < i; k++)
            assert_true(seen[k] != seen[i]);
    }
}

static void the_longest_field_has_room(void **state)
{
    struct error err;
    for (int i = 0; i < RATELIMIT_MOST; i++) {
        struct key by = {.kind = KEY_FUNCTION};
        assert_int_equal(ratelimit_add(r, 1000000, DUR_S(1), UINT64_C(2678400000000), &by, &err), 0);
    }
    ratelimit_finish(r, "x");
    assert_true(ask("a", 0));
    char room[RATELIMIT_FIELD];
    assert_in_range(ratelimit_field(r, &state_, room), 8 * 30, RATELIMIT_FIELD);
    for (int i = 0; i < RATELIMIT_MOST; i++) /* no state, whatever it holds, writes beyond */
        state_.of[i].remaining = state_.of[i].wait = INT64_MAX - 1000000000;
    assert_in_range(ratelimit_field(r, &state_, room), 8 * 30, RATELIMIT_FIELD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_limit_is_what_its_text_says, begin, end),
        cmocka_unit_test_setup_teardown(what_is_no_limit_is_refused_in_words, begin, end),
        cmocka_unit_test_setup_teardown(what_it_takes_it_gives_back, begin, end),
        cmocka_unit_test_setup_teardown(the_fields_tell_quota_and_what_is_left, begin, end),
        cmocka_unit_test_setup_teardown(all_are_asked_before_one_is_counted, begin, end),
        cmocka_unit_test_setup_teardown(a_missing_key_is_no_key_that_reads_alike, begin, end),
        cmocka_unit_test_setup_teardown(an_identity_is_of_endpoint_and_limit, begin, end),
        cmocka_unit_test_setup_teardown(the_longest_field_has_room, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
