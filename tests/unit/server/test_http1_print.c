/*
 * Promises of sprintf as libh2o calls it: it is the one that libraries are given, and it writes what libc's does,
 * whatever the format.
 */
#include "server/http1_print.h"
#include <dlfcn.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* As a library finds it; through a pointer, as compilers know what the room of a call by that name may be. */
static int (*volatile print)(char *to, int flag, size_t size, const char *format, ...);

static int set_up(void **state)
{
    print = (int (*)(char *, int, size_t, const char *, ...))dlsym(RTLD_DEFAULT, "__sprintf_chk");
    return 0;
}

#define HEAD "HTTP/1.1 %d %s\r\nDate: %s\r\nConnection: %s\r\nContent-Length: %zu\r\n"

/* Both write the same, and say the same length. */
#define SAME(...)                                                     \
    do {                                                              \
        char ours[512], theirs[512];                                  \
        memset(ours, 'x', sizeof(ours));                              \
        int len = snprintf(theirs, sizeof(theirs), __VA_ARGS__);      \
        assert_int_equal(print(ours, 1, SIZE_MAX, __VA_ARGS__), len); \
        assert_string_equal(ours, theirs);                            \
        assert_int_equal(ours[len + 1], 'x');                         \
    } while (0)

static void libraries_are_given_it(void **state)
{
    assert_true(http1_print_bound());
    assert_ptr_not_equal(dlsym(RTLD_NEXT, "__sprintf_chk"), (void *)print);
}

static void the_heads_of_replies_are_as_libc_writes_them(void **state)
{
    SAME(HEAD, 200, "OK", "Mon, 30 Nov 2026 10:35:30 GMT", "keep-alive", (size_t)5);
    SAME(HEAD, 503, "", "", "close", SIZE_MAX - 1);
    SAME("Server: %s\r\n", "crescent");
    SAME("%d%d%d", 0, INT_MAX, INT_MIN);
    SAME("%zu", (size_t)0);
    SAME("%s", "");
    SAME("no conversion");
}

static void what_is_not_written_here_is_libcs(void **state)
{
    SAME("%5d|%-5d|%05d|%x", 1, 2, 3, 255u);
    SAME("100%% of %s", "it");
    SAME("%s %.*s", "a", 2, "bcd");
    SAME("%zd %ld %llu %c %g", (size_t)7, -8L, 9ULL, 'c', 0.5);
    SAME("%d then %u", 1, 2u); /* found behind one that could be */
}

static void a_room_of_known_size_is_kept_to(void **state)
{
    char room[8];
    assert_int_equal(print(room, 1, sizeof(room), "%s", "1234567"), 7);
    assert_string_equal(room, "1234567");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(libraries_are_given_it),
        cmocka_unit_test(the_heads_of_replies_are_as_libc_writes_them),
        cmocka_unit_test(what_is_not_written_here_is_libcs),
        cmocka_unit_test(a_room_of_known_size_is_kept_to),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
