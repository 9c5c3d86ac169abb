/*
 * test_watch.c: promises: a script that is being written is known by its path as it is now, also in a folder that was
 * renamed, or that is reached through a link.
 */
#include "base/buf.h"
#include "reload/watch.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    char root[64], hooks[80], env_file[80];
    struct loop *loop;
    struct env_sources sources;
    struct watch *watch;
};

static void at(const struct fixture *f, const char *name, char path_out[160])
{
    snprintf(path_out, 160, "%s/%s", f->root, name);
}

static void on_changed(void *cookie)
{
}

static int setup(void **state)
{
    static struct fixture f;
    char path[160];
    f = (struct fixture){.root = "/tmp/crescent-watch-XXXXXX"};
    assert_non_null(mkdtemp(f.root));
    snprintf(f.hooks, sizeof(f.hooks), "%s/hooks", f.root);
    snprintf(f.env_file, sizeof(f.env_file), "%s/.env", f.root);
    static const char *const folders[] = {"hooks", "hooks/old", "out"};
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        at(&f, folders[i], path);
        assert_int_equal(mkdir(path, 0700), 0);
    }
    at(&f, "hooks/linked", path);
    assert_int_equal(symlink("../out", path), 0);
    f.loop = loop_new();
    env_sources_list(f.env_file, &f.sources);
    f.watch = watch_new(f.loop, f.hooks, &f.sources, &(struct watch_host){on_changed, on_changed, NULL});
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[128];
    watch_free(&f->watch);
    env_sources_free(&f->sources);
    loop_free(&f->loop);
    snprintf(command, sizeof(command), "rm -rf '%s'", f->root);
    return system(command);
}

static void look(struct fixture *f)
{
    struct scan scan;
    struct error err;
    assert_int_equal(scan_folder(f->hooks, &scan, &err), 0);
    watch_folders(f->watch, &scan);
    scan_free(&scan);
}

/* A script of which the first byte is written; to be closed. */
static int begin(const struct fixture *f, const char *name)
{
    char path[160];
    at(f, name, path);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_int_equal(write(fd, "x", 1), 1);
    return fd;
}

static void expect_written_until_closed(struct fixture *f, int fd, const char *path)
{
    assert_true(watch_is_written(f->watch, path));
    close(fd);
    assert_false(watch_is_written(f->watch, path));
}

static void a_file_that_is_open_is_written_until_it_is_closed(void **state)
{
    struct fixture *f = *state;
    look(f);
    int fd = begin(f, "hooks/old/a.lua");
    assert_false(watch_is_written(f->watch, "old/b.lua"));
    expect_written_until_closed(f, fd, "old/a.lua");
    expect_written_until_closed(f, begin(f, "hooks/b.lua"), "b.lua");
}

static void in_a_renamed_folder_by_its_new_path(void **state)
{
    struct fixture *f = *state;
    char old[160], fresh[160];
    look(f);
    at(f, "hooks/old", old);
    at(f, "hooks/new", fresh);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(rename(old, fresh), 0);
        look(f);
        int fd = begin(f, "hooks/new/a.lua");
        assert_false(watch_is_written(f->watch, "old/a.lua"));
        expect_written_until_closed(f, fd, "new/a.lua");
        assert_int_equal(rename(fresh, old), 0);
        look(f);
        expect_written_until_closed(f, begin(f, "hooks/old/a.lua"), "old/a.lua");
    }
}

/* The link leads to an inode that is watched by another path too. */
static void in_a_folder_behind_a_link_by_the_path_of_the_link(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < 3; i++) {
        look(f);
        expect_written_until_closed(f, begin(f, "out/a.lua"), "linked/a.lua");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_file_that_is_open_is_written_until_it_is_closed, setup, teardown),
        cmocka_unit_test_setup_teardown(in_a_renamed_folder_by_its_new_path, setup, teardown),
        cmocka_unit_test_setup_teardown(in_a_folder_behind_a_link_by_the_path_of_the_link, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
