/*
 * test_values.c: the small value types of base/: slices, durations and sizes, ids, wire reads.
 */
#include "base/buf.h"
#include "base/duration.h"
#include "base/uuid.h"
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on

static void cut_gives_every_part_empty_ones_too(void **state)
{
    struct slice rest = SLICE("a,,b"), part;
    assert_true(slice_cut(&rest, ',', &part) && slice_equal(part, SLICE("a")));
    assert_true(slice_cut(&rest, ',', &part) && part.len == 0);
    assert_true(slice_cut(&rest, ',', &part) && slice_equal(part, SLICE("b")));
    assert_false(slice_cut(&rest, ',', &part));
    rest = SLICE("a,");
    assert_true(slice_cut(&rest, ',', &part));
    assert_true(slice_cut(&rest, ',', &part) && part.len == 0);
    assert_false(slice_cut(&rest, ',', &part));
}

static void the_last_of_a_byte_is_found(void **state)
{
    assert_int_equal(slice_find_last(SLICE("[::1]:80"), ':'), 5);
    assert_int_equal(slice_find_last(SLICE(":"), ':'), 0);
    assert_int_equal(slice_find_last(SLICE("80"), ':') + 1, 0);
    assert_int_equal(slice_find_last(SLICE_NONE, ':'), SIZE_MAX);
}

static void numbers_are_digits_only_and_bounded(void **state)
{
    unsigned long long n;
    assert_true(slice_to_u64(SLICE("18446744073709551615"), UINT64_MAX, &n) && n == UINT64_MAX);
    assert_false(slice_to_u64(SLICE("18446744073709551616"), UINT64_MAX, &n));
    char digits[20];
    assert_memory_equal(digits, "18446744073709551615", slice_put_u64(digits, UINT64_MAX) - digits);
    assert_int_equal(slice_put_u64(digits, UINT64_MAX) - digits, 20);
    assert_int_equal(slice_put_u64(digits, 0) - digits, 1);
    assert_int_equal(digits[0], '0');
    assert_false(slice_to_u64(SLICE(""), 9, &n));
    assert_false(slice_to_u64(SLICE("+1"), 9, &n));
    assert_false(slice_to_u64(SLICE("10"), 9, &n));
}

static void nearest_name_is_offered_only_when_near(void **state)
{
    static const char *const names[] = {"handle", "methods", "verify"};
    assert_string_equal(slice_nearest(SLICE("verfiy"), names, 3), "verify");
    assert_string_equal(slice_nearest(SLICE("Handle"), names, 3), "handle");
    assert_null(slice_nearest(SLICE("colour"), names, 3));
}

static void durations_read_as_the_documentation_spells_them(void **state)
{
    static const struct {
        const char *text;
        int64_t ns;
    } good[] = {{"250ms", 250000000},    {"5s", 5000000000},   {"5m", 300000000000}, {"2h", 7200000000000},
                {"7d", 604800000000000}, {"1.5s", 1500000000}, {"3", 3000000000},    {"0.25", 250000000}};
    static const char *const bad[] = {"", "s", "-1s", "5 s", "1e3", "5x", "1.s", "99999999999d", "1.0000000001s"};
    dur_t d;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(duration_parse(slice_of(good[i].text), &d));
        assert_int_equal(d.ns, good[i].ns);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(duration_parse(slice_of(bad[i]), &d));
}

static void sizes_read_and_spell_back(void **state)
{
    size_t bytes;
    char room[32];
    assert_true(duration_parse_size(SLICE("64KiB"), &bytes) && bytes == 65536);
    assert_true(duration_parse_size(SLICE("12"), &bytes) && bytes == 12);
    assert_false(duration_parse_size(SLICE("64kb"), &bytes));
    assert_false(duration_parse_size(SLICE("1.5MiB"), &bytes));
    assert_string_equal(duration_size_text(1 << 20, room), "1MiB");
    assert_string_equal(duration_size_text(1000, room), "1000B");
    assert_string_equal(duration_text(DUR_MS(1500), room), "1500ms");
    assert_string_equal(duration_text(DUR_S(600), room), "10m");
}

static void uuids_are_version_7_and_carry_the_time(void **state)
{
    char text[UUID_TEXT + 1] = {0};
    struct uuid a = uuid_new((wall_t){0x0123456789abLL * 1000000}), b = uuid_new((wall_t){0});
    uuid_text(&a, text);
    assert_memory_equal(text, "01234567-89ab-7", 15);
    assert_true(text[19] == '8' || text[19] == '9' || text[19] == 'a' || text[19] == 'b');
    assert_memory_not_equal(a.bytes + 9, b.bytes + 9, 7);
}

static void wire_reads_past_the_end_say_so_once(void **state)
{
    struct buf b = {0};
    bool bad = false;
    buf_add_u32(&b, 7);
    buf_add_string(&b, SLICE("x\0y"));
    buf_add_u64(&b, 1ull << 40);
    struct slice all = buf_slice(&b);
    assert_int_equal(buf_take_u32(&all, &bad), 7);
    assert_true(slice_equal(buf_take_string(&all, &bad), SLICE("x\0y")));
    assert_int_equal(buf_take_u64(&all, &bad), 1ull << 40);
    assert_false(bad);
    assert_int_equal(buf_take_u32(&all, &bad), 0);
    assert_true(bad);
    bad = false; /* a length that claims more than there is */
    struct slice lie = SLICE("\xff\xff\xff\x7f"
                             "abc");
    assert_int_equal(buf_take_string(&lie, &bad).len, 0);
    assert_true(bad);
    buf_free(&b);
}

static void bounded_buffers_stop_at_their_limit(void **state)
{
    struct buf b = {.limit = 4};
    buf_add_text(&b, "abc");
    buf_add_text(&b, "de");
    assert_true(b.overflow);
    assert_string_equal(buf_text(&b), "abc");
    buf_clear(&b);
    buf_addf(&b, "%d", 1234);
    assert_string_equal(buf_text(&b), "1234");
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cut_gives_every_part_empty_ones_too),
        cmocka_unit_test(the_last_of_a_byte_is_found),
        cmocka_unit_test(numbers_are_digits_only_and_bounded),
        cmocka_unit_test(nearest_name_is_offered_only_when_near),
        cmocka_unit_test(durations_read_as_the_documentation_spells_them),
        cmocka_unit_test(sizes_read_and_spell_back),
        cmocka_unit_test(uuids_are_version_7_and_carry_the_time),
        cmocka_unit_test(wire_reads_past_the_end_say_so_once),
        cmocka_unit_test(bounded_buffers_stop_at_their_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
