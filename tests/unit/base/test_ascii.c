/*
 * Promises of ascii: NUL is in no set, whatever the set; letters and digits are those of ASCII; a token is what
 * RFC 9110 5.6.2 says, and no empty text.
 */
#include "base/ascii.h"
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on

static void nul_is_in_no_set(void **state)
{
    assert_false(ascii_is_one_of('\0', "+-."));
    assert_false(ascii_is_one_of('\0', ""));
    assert_true(ascii_is_one_of('+', "+-."));
    assert_true(ascii_is_one_of('.', "+-."));
    assert_false(ascii_is_one_of(',', "+-."));
    assert_false(ascii_is_one_of('\xff', "+-."));
}

/* Every byte, against the list of what is a character of its kind. */
static void assert_kind(bool (*is)(char), const char *all)
{
    for (int byte = 0; byte < 256; byte++) {
        bool listed = memchr(all, byte, strlen(all)) != NULL;
        if (is((char)byte) != listed)
            fail_msg("byte 0x%02x", (unsigned)byte);
    }
}

static void kinds_are_those_of_ascii(void **state)
{
#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    assert_kind(ascii_is_digit, "0123456789");
    assert_kind(ascii_is_letter, LETTERS);
    assert_kind(ascii_is_alnum, LETTERS "0123456789");
    assert_kind(ascii_is_token_char, LETTERS "0123456789!#$%&'*+-.^_`|~");
}

static void a_token_is_some_of_its_characters(void **state)
{
    assert_true(ascii_is_token(SLICE("x-Api_Key.1")));
    assert_true(ascii_is_token(SLICE("~")));
    assert_false(ascii_is_token(SLICE("")));
    assert_false(ascii_is_token(SLICE_NONE));
    assert_false(ascii_is_token(SLICE("a b")));
    assert_false(ascii_is_token(SLICE("a\0b")));
    assert_false(ascii_is_token(SLICE("a\0")));
    assert_false(ascii_is_token(SLICE("a:")));
    assert_false(ascii_is_token(SLICE("\xc3\xa9")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nul_is_in_no_set),
        cmocka_unit_test(kinds_are_those_of_ascii),
        cmocka_unit_test(a_token_is_some_of_its_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
