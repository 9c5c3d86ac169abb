/*
 * Promises of paths: joined without what says nothing; whether two folders overlap, by where they really are.
 */
#include "base/path.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void joins(const char *base, const char *path, const char *wanted)
{
    char *joined = path_join(base, path);
    assert_string_equal(joined, wanted);
    free(joined);
}

static void joined_without_what_says_nothing(void **unused)
{
    joins("/a", "b", "/a/b");
    joins("/a/", "./b//c/", "/a/b/c");
    joins("/a", "/b", "/b");
    joins("/", ".", "/");
    joins("/a", "../b", "/a/../b"); /* what it means depends on links */
}

static void overlap_is_by_where_they_are(void **unused)
{
    char dir[] = "/tmp/crescent-path-XXXXXX";
    assert_non_null(mkdtemp(dir));
    assert_int_equal(chdir(dir), 0);
    assert_int_equal(mkdir("hooks", 0700) | mkdir("hooks/up", 0700) | mkdir("hooks2", 0700), 0);
    assert_int_equal(symlink("hooks/up", "link"), 0);

    assert_true(path_overlap("hooks", "hooks"));
    assert_true(path_overlap("hooks/up", "hooks"));
    assert_true(path_overlap("hooks", "hooks/up"));
    assert_true(path_overlap(".", "hooks"));
    assert_true(path_overlap("link", "hooks"));
    assert_true(path_overlap("hooks/not-there-yet", "hooks"));
    assert_true(path_overlap("/", "hooks"));
    assert_false(path_overlap("hooks2", "hooks"));
    assert_false(path_overlap("not-there-yet", "hooks"));
    assert_false(path_overlap("hooks/up", "hooks2"));

    assert_int_equal(symlink("later", "hooks/chain") | symlink("hooks/chain", "leads-in"),
                     0); /* to what is not there */
    assert_int_equal(symlink("../hooks2/later", "hooks/leads-out") | symlink("round", "round"), 0);
    assert_true(path_overlap("leads-in", "hooks"));
    assert_false(path_overlap("hooks/leads-out", "hooks"));
    assert_true(path_overlap("hooks/leads-out", "hooks2"));
    assert_false(path_overlap("round", "hooks"));
    assert_int_equal(unlink("hooks/chain") | unlink("leads-in") | unlink("hooks/leads-out") | unlink("round"), 0);

    assert_int_equal(unlink("link") | rmdir("hooks/up") | rmdir("hooks") | rmdir("hooks2"), 0);
    assert_int_equal(chdir("/") | rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joined_without_what_says_nothing),
        cmocka_unit_test(overlap_is_by_where_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
