/*
 * test_ways.c: promises: a path's way names every link and folder that it leads through, by a path without links
 * before it, and ends where realpath(3) ends; a circle and a gap end it.
 */
#include "base/buf.h"
#include "reload/ways.h"
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char root[PATH_MAX];

static const char *below(const char *name)
{
    static char path[2][PATH_MAX + 64];
    static unsigned turn;
    char *to = path[turn++ % 2];
    snprintf(to, sizeof(path[0]), "%s/%s", root, name);
    return to;
}

static int fill(void **state)
{
    char made[] = "/tmp/crescent-ways-XXXXXX";
    assert_non_null(mkdtemp(made));
    assert_non_null(realpath(made, root));
    const char *const folders[] = {"releases", "releases/1", "releases/1/hooks"};
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
        assert_int_equal(mkdir(below(folders[i]), 0700), 0);
    FILE *f = fopen(below("releases/1/hooks/a.lua"), "w");
    assert_non_null(f);
    fclose(f);
    assert_int_equal(symlink("releases/1", below("current")), 0);
    assert_int_equal(symlink(below("current/hooks"), below("way")), 0);
    assert_int_equal(symlink("../../../current/hooks/a.lua", below("releases/1/hooks/b.lua")), 0);
    assert_int_equal(symlink("circle", below("circle")), 0);
    assert_int_equal(symlink("nowhere", below("dangling")), 0);
    return 0;
}

static int empty(void **state)
{
    char command[PATH_MAX + 16];
    snprintf(command, sizeof(command), "rm -rf '%s'", root);
    return system(command);
}

/* Only what lies below the root counts: "L" link, "F" folder, "E" end. */
static void note(void *cookie, const char *at, enum way_part part)
{
    struct slice s = slice_of(at);
    if (slice_starts(s, slice_of(root)) && s.len > strlen(root))
        buf_addf(cookie, "%c:%s ", "LFE"[part], at + strlen(root) + 1);
}

static void expect(const char *path, const char *way)
{
    struct buf met = {0};
    ways_walk(below(path), note, &met);
    assert_string_equal(buf_text(&met), way);
    buf_free(&met);
}

static void each_part_is_named(void **state)
{
    expect("releases/1/hooks/a.lua", "F:releases F:releases/1 F:releases/1/hooks E:releases/1/hooks/a.lua ");
    expect("current", "L:current F:releases E:releases/1 ");
    expect("current/hooks/", "L:current F:releases F:releases/1 E:releases/1/hooks ");
    expect("way/a.lua", "L:way L:current F:releases F:releases/1 F:releases/1/hooks E:releases/1/hooks/a.lua ");
    expect("releases/./1//hooks/../hooks/a.lua",
           "F:releases F:releases/1 F:releases/1/hooks F:releases/1/hooks E:releases/1/hooks/a.lua ");
    expect("releases/1/hooks/..", "F:releases F:releases/1 F:releases/1/hooks E:releases/1 ");
    expect("releases/1/hooks/b.lua", "F:releases F:releases/1 F:releases/1/hooks L:releases/1/hooks/b.lua L:current "
                                     "F:releases F:releases/1 F:releases/1/hooks E:releases/1/hooks/a.lua ");
}

static void it_ends_where_realpath_ends(void **state)
{
    const char *const paths[] = {"way", "way/b.lua", "current/hooks", "releases/1/../1/hooks/b.lua"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        char real[PATH_MAX], ending[PATH_MAX + 8];
        struct buf met = {0};
        assert_non_null(realpath(below(paths[i]), real));
        ways_walk(below(paths[i]), note, &met);
        snprintf(ending, sizeof(ending), "E:%s ", real + strlen(root) + 1);
        assert_true(slice_ends(buf_slice(&met), slice_of(ending)));
        buf_free(&met);
    }
}

static void circles_and_gaps_end_it(void **state)
{
    struct buf met = {0};
    expect("dangling", "L:dangling ");
    expect("gone/below", "");
    expect("releases/1/gone/x", "F:releases F:releases/1 ");
    ways_walk(below("circle"), note, &met);
    assert_int_equal(met.len, 41 * strlen("L:circle ")); /* 40 are followed */
    buf_free(&met);
    char *path = malloc(2 * PATH_MAX);
    memset(path, '/', 2 * PATH_MAX - 1);
    path[2 * PATH_MAX - 1] = '\0';
    ways_walk(path, note, &met);
    assert_int_equal(met.len, 0);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_part_is_named),
        cmocka_unit_test(it_ends_where_realpath_ends),
        cmocka_unit_test(circles_and_gaps_end_it),
    };
    return cmocka_run_group_tests(tests, fill, empty);
}
