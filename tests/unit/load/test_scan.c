/*
 * test_scan.c: promises: exactly the scripts and modules of the folder are found, links followed, loops and what cannot
 * be read reported in their own entry, and a change of a file shows in its stamp.
 */
#include "base/slice.h"
#include "load/scan.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/crescent-scan-XXXXXX";

static void put(const char *path, const char *text)
{
    char full[256];
    snprintf(full, sizeof full, "%s/%s", folder, path);
    FILE *f = fopen(full, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void make(const char *path)
{
    char full[256];
    snprintf(full, sizeof full, "%s/%s", folder, path);
    assert_int_equal(mkdir(full, 0700), 0);
}

static void point(const char *target, const char *path)
{
    char full[256];
    snprintf(full, sizeof full, "%s/%s", folder, path);
    assert_int_equal(symlink(target, full), 0);
}

static int fill(void **state)
{
    assert_non_null(mkdtemp(folder));
    make("billing");
    make("_lib");
    make("_lib/deep");
    make("_private");
    make(".git");
    make("target");
    put("github.lua", "return 1");
    put("billing/stripe.lua", "");
    put("billing/readme.md", "");
    put("billing/_draft.lua", "");
    put(".hidden.lua", "");
    put(".git/x.lua", "");
    put("_private/x.lua", "");
    put("_x.lua", "");
    put("_lib/orders.lua", "");
    put("_lib/deep/_inner.lua", "");
    put("_lib/a.b.lua", "");
    put("target/linked.lua", "");
    point("target", "link");
    point("..", "target/loop");
    point("nowhere.lua", "dangling.lua");
    point("github.lua", "same.lua");
    return 0;
}

static int clear(void **state)
{
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

static const struct scan_file *find(const struct scan *s, const char *path)
{
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->files[i].path, path) == 0)
            return &s->files[i];
    return NULL;
}

static void test_folder(void **state)
{
    static const char *const paths[] = {"_lib/a.b.lua", "_lib/deep/_inner.lua", "_lib/orders.lua", "billing/stripe.lua",
                                        "dangling.lua", "github.lua",           "link/linked.lua", "link/loop",
                                        "same.lua",     "target/linked.lua",    "target/loop"};
    static const char *const faulty[] = {"_lib/a.b.lua", "dangling.lua", "link/loop", "target/loop"};
    struct scan s;
    struct error err;
    assert_int_equal(scan_folder(folder, &s, &err), 0);
    for (size_t i = 0; i < s.count; i++)
        if (i >= sizeof paths / sizeof *paths || strcmp(s.files[i].path, paths[i]) != 0)
            fail_msg("found %s", s.files[i].path);
    assert_int_equal(s.count, sizeof paths / sizeof *paths);
    for (size_t i = 0; i < sizeof faulty / sizeof *faulty; i++)
        assert_non_null(find(&s, faulty[i])->error);
    assert_null(find(&s, "same.lua")->error);
    assert_true(find(&s, "_lib/orders.lua")->module);
    assert_false(find(&s, "github.lua")->module);
    assert_string_equal(s.folders[0], "");
    assert_int_equal(s.folder_count, 6); /* "", billing, _lib, _lib/deep, target, link */
    scan_free(&s);
    assert_int_equal(scan_folder("/nowhere/at/all", &s, &err), -1);
}

static void test_change(void **state)
{
    struct scan before, after;
    struct error err;
    struct buf text = {0};
    assert_int_equal(scan_folder(folder, &before, &err), 0);
    assert_int_equal(scan_read(folder, find(&before, "github.lua"), &text, &err), 0);
    assert_string_equal(buf_text(&text), "return 1");
    usleep(20000); /* the kernel's clock for files is coarse */
    put("github.lua", "return 2");
    assert_int_equal(scan_folder(folder, &after, &err), 0);
    assert_memory_not_equal(find(&before, "github.lua")->stamp, find(&after, "github.lua")->stamp, 32);
    assert_memory_equal(find(&before, "billing/stripe.lua")->stamp, find(&after, "billing/stripe.lua")->stamp, 32);
    buf_free(&text);
    scan_free(&before);
    scan_free(&after);
}

static void test_names(void **state)
{
    char *script = scan_script_name("billing/stripe.lua"), *module = scan_module_name("_lib/x/y.lua");
    assert_string_equal(script, "billing/stripe");
    assert_string_equal(module, "_lib.x.y");
    free(script);
    free(module);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_folder), cmocka_unit_test(test_change),
                                       cmocka_unit_test(test_names)};
    return cmocka_run_group_tests(tests, fill, clear);
}
