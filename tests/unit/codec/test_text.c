/*
 * test_text.c: base64 and hex by the vectors of RFC 4648 10, UTF-8 by the limits of RFC 3629 4, forms and cookies.
 */
#include "codec/base64.h"
#include "codec/form.h"
#include "codec/utf8.h"
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on

#define assert_slice(s, text) (assert_int_equal((s).len, strlen(text)), assert_memory_equal((s).at, text, strlen(text)))

static void base64_follows_rfc4648(void **state)
{
    static const char *const vectors[][2] = {{"", ""},
                                             {"f", "Zg=="},
                                             {"fo", "Zm8="},
                                             {"foo", "Zm9v"},
                                             {"foob", "Zm9vYg=="},
                                             {"fooba", "Zm9vYmE="},
                                             {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        struct buf text = {0}, bytes = {0};
        base64_encode(slice_of(vectors[i][0]), &text);
        assert_slice(text, vectors[i][1]);
        assert_true(base64_decode(slice_of(vectors[i][1]), &bytes));
        assert_slice(bytes, vectors[i][0]);
        buf_free(&text);
        buf_free(&bytes);
    }
}

static void base64url_has_its_own_digits_and_no_padding(void **state)
{
    struct buf text = {0}, bytes = {0};
    base64_encode_url(SLICE("\xfb\xff\xfe\xff"), &text);
    assert_slice(text, "-__-_w");
    assert_true(base64_decode_url(SLICE("-__-_w"), &bytes));
    assert_true(slice_equal(buf_slice(&bytes), SLICE("\xfb\xff\xfe\xff")));
    buf_clear(&bytes);
    assert_true(base64_decode_url(SLICE("-__-_w=="), &bytes));
    assert_false(base64_decode_url(SLICE("-__-_w="), &bytes));
    assert_false(base64_decode_url(SLICE("+//+"), &bytes));
    assert_false(base64_decode(SLICE("-__-"), &bytes));
    buf_free(&text);
    buf_free(&bytes);
}

/* One value has one spelling, and a refusal appends nothing. */
static void base64_refuses_other_spellings(void **state)
{
    static const char *const wrong[] = {
        "Zg", "Zg=", "Z", "Z===", "====", "Zh==", "Zm9=", "Zg==\n", " Zg==", "Zm9v=", "Zg==Zg==", "Z=g=", "Zm9vYg=a"};
    struct buf bytes = {0};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_false(base64_decode(slice_of(wrong[i]), &bytes));
        assert_int_equal(bytes.len, 0);
    }
    assert_false(base64_decode_url(SLICE("Zh"), &bytes));
    assert_false(base64_decode(SLICE("Zg\0="), &bytes));
    buf_free(&bytes);
}

static void hex_both_ways(void **state)
{
    char text[8];
    struct buf bytes = {0};
    base64_hex(SLICE("\x00\xaf\x10\xff"), text);
    assert_memory_equal(text, "00af10ff", 8);
    assert_true(base64_unhex(SLICE("00AF10fF"), &bytes));
    assert_true(slice_equal(buf_slice(&bytes), SLICE("\x00\xaf\x10\xff")));
    assert_false(base64_unhex(SLICE("0"), &bytes));
    assert_false(base64_unhex(SLICE("0g"), &bytes));
    assert_false(base64_unhex(SLICE("0x"), &bytes));
    assert_int_equal(bytes.len, 4);
    buf_free(&bytes);
}

static void utf8_ends_where_rfc3629_says(void **state)
{
    static const char *const good[] = {"",
                                       "plain ascii of some length",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x80",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xc2",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xe2\x82",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xff",
                                      "\xf0\x90\x80",
                                      "\xc2\x41"};
    char text[64];
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_int_equal(utf8_valid(slice_of(good[i])), strlen(good[i]));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        for (size_t before = 0; before < 20; before++) { /* around the eight bytes that are looked at together */
            memset(text, 'x', sizeof(text));
            memcpy(text + before, bad[i], strlen(bad[i]));
            assert_int_equal(utf8_valid((struct slice){text, before + strlen(bad[i])}), before);
        }
    }
}

static void a_form_is_decoded_once(void **state)
{
    struct form_pairs pairs;
    struct form_fault fault;
    assert_int_equal(
        form_parse(SLICE("a=1&b=%20x+y&c&=d&&e=%2525&a=2&f=g=h&%61%3d=%00"), FORM_PAIRS_MAX, &pairs, &fault), 0);
    assert_int_equal(pairs.count, 8);
    assert_slice(form_first(&pairs, SLICE("a")), "1");
    assert_slice(form_first(&pairs, SLICE("b")), " x y");
    assert_slice(form_first(&pairs, SLICE("c")), "");
    assert_slice(form_first(&pairs, SLICE("")), "d");
    assert_slice(form_first(&pairs, SLICE("e")), "%25");
    assert_slice(pairs.at[5].value, "2");
    assert_slice(form_first(&pairs, SLICE("f")), "g=h");
    assert_true(slice_equal(form_first(&pairs, SLICE("a=")), SLICE("\0")));
    assert_null(form_first(&pairs, SLICE("z")).at);
    form_free(&pairs);
    assert_int_equal(form_parse(SLICE(""), FORM_PAIRS_MAX, &pairs, &fault), 0);
    assert_int_equal(pairs.count, 0);
    form_free(&pairs);
}

static void a_broken_escape_has_its_offset(void **state)
{
    static const struct {
        const char *text;
        size_t offset;
    } wrong[] = {{"%", 0}, {"a=%2", 2}, {"a=1&b=x%zz", 7}, {"%4", 0}, {"a&b%g0=1", 3}, {"a=1&&c=%-1", 7}};
    struct form_pairs pairs;
    struct form_fault fault;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(form_parse(slice_of(wrong[i].text), FORM_PAIRS_MAX, &pairs, &fault), -1);
        assert_int_equal(fault.offset, wrong[i].offset);
        assert_null(pairs.at);
        form_free(&pairs);
    }
}

static void pairs_are_bounded(void **state)
{
    struct form_pairs pairs;
    struct form_fault fault;
    char text[2 * FORM_PAIRS_MAX + 2];
    memset(text, '&', sizeof(text));
    for (size_t i = 0; i < sizeof(text); i += 2)
        text[i] = 'a';
    assert_int_equal(form_parse((struct slice){text, 2 * FORM_PAIRS_MAX - 1}, FORM_PAIRS_MAX, &pairs, &fault), 0);
    assert_int_equal(pairs.count, FORM_PAIRS_MAX);
    form_free(&pairs);
    assert_int_equal(form_parse((struct slice){text, 2 * FORM_PAIRS_MAX + 1}, FORM_PAIRS_MAX, &pairs, &fault), -1);
    assert_true(fault.many);
    assert_int_equal(form_parse(SLICE("a&b&c"), 3, &pairs, &fault), 0);
    form_free(&pairs);
    assert_int_equal(form_parse(SLICE("a&b&c"), 2, &pairs, &fault), -1);
    assert_int_equal(form_parse(SLICE("%"), 2, &pairs, &fault), -1);
    assert_false(fault.many);
    assert_int_equal(form_parse_cookies(SLICE("a=1; b=2"), 1, &pairs, &fault), -1);
    assert_true(fault.many);
}

static void cookies_stay_as_sent(void **state)
{
    struct form_pairs pairs;
    struct form_fault fault;
    assert_int_equal(
        form_parse_cookies(SLICE("a=1; b=\"x y\"; c=%20+; d=e=f;; g=; h=\"u"), FORM_PAIRS_MAX, &pairs, &fault), 0);
    assert_slice(form_first(&pairs, SLICE("a")), "1");
    assert_slice(form_first(&pairs, SLICE("b")), "x y");
    assert_slice(form_first(&pairs, SLICE("c")), "%20+");
    assert_slice(form_first(&pairs, SLICE("d")), "e=f");
    assert_slice(form_first(&pairs, SLICE("g")), "");
    assert_slice(form_first(&pairs, SLICE("h")), "\"u");
    form_free(&pairs);
    assert_int_equal(form_parse_cookies(SLICE("a=1; b"), FORM_PAIRS_MAX, &pairs, &fault), -1);
    assert_int_equal(fault.offset, 5);
    assert_int_equal(form_parse_cookies(SLICE("=1"), FORM_PAIRS_MAX, &pairs, &fault), -1);
    assert_int_equal(form_parse_cookies(SLICE("a b=1"), FORM_PAIRS_MAX, &pairs, &fault), -1);
    assert_int_equal(form_parse_cookies(SLICE("a=\x01"), FORM_PAIRS_MAX, &pairs, &fault), -1);
}

static void percent_decoding_leaves_plus(void **state)
{
    struct form_fault fault;
    char out[16];
    size_t len = form_percent_decode(SLICE("a%2Fb+c%c3%A9"), out, &fault);
    assert_true(slice_equal((struct slice){out, len}, SLICE("a/b+c\xc3\xa9")));
    assert_int_equal(form_percent_decode(SLICE("ab%"), out, &fault), SIZE_MAX);
    assert_int_equal(fault.offset, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base64_follows_rfc4648),         cmocka_unit_test(base64url_has_its_own_digits_and_no_padding),
        cmocka_unit_test(base64_refuses_other_spellings), cmocka_unit_test(hex_both_ways),
        cmocka_unit_test(utf8_ends_where_rfc3629_says),   cmocka_unit_test(a_form_is_decoded_once),
        cmocka_unit_test(a_broken_escape_has_its_offset), cmocka_unit_test(pairs_are_bounded),
        cmocka_unit_test(cookies_stay_as_sent),           cmocka_unit_test(percent_decoding_leaves_plus),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
