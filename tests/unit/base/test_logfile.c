/*
 * test_logfile.c: who opens the log, who makes it, and where root makes none. Only root can try.
 */
#include "base/fd.h"
#include "base/logfile.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on

#define NOBODY 65534

static const struct jail_user nobody = {
    .name = (char *)"nobody", .uid = NOBODY, .gid = NOBODY, .groups = {NOBODY}, .group_count = 1};

static char top[64];

static const char *at(const char *name)
{
    static char room[2][160];
    static unsigned which;
    char *path = room[which++ % 2];
    snprintf(path, sizeof(room[0]), "%s/%s", top, name);
    return path;
}

static void make_folder(const char *name, uid_t owner, mode_t mode)
{
    assert_int_equal(mkdir(at(name), 0700), 0);
    assert_int_equal(chown(at(name), owner, owner), 0);
    assert_int_equal(chmod(at(name), mode), 0);
}

static void is_opened(const char *name, uid_t owner)
{
    struct error err = {""};
    struct stat st;
    int fd = logfile_open(at(name), &nobody, &err);
    if (fd < 0)
        print_error("%s\n", err.text);
    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    assert_int_equal(st.st_uid, owner);
    assert_int_equal(st.st_mode & 0777 & ~0640, 0);
    fd_close(&fd);
}

static void is_refused(const char *name, const char *words)
{
    struct error err = {""};
    assert_int_equal(logfile_open(at(name), &nobody, &err), -1);
    if (strstr(err.text, words) == NULL)
        fail_msg("%s", err.text);
}

static bool is_root(void)
{
    if (geteuid() == 0)
        return true;
    skip();
    return false;
}

static int begin(void **state)
{
    strcpy(top, "/tmp/crescent-log-XXXXXX"); /* on the way a folder with the sticky bit */
    return mkdtemp(top) != NULL && chmod(top, 0755) == 0 ? 0 : -1;
}

static int end(void **state)
{
    char command[96];
    snprintf(command, sizeof(command), "rm -rf %s", top);
    return system(command);
}

static void nobody_else_to_be_it_is_simply_opened(void **state)
{
    struct error err;
    struct stat st;
    int fd = logfile_open(at("log"), NULL, &err);
    assert_true(fd >= 0 && fstat(fd, &st) == 0 && st.st_uid == geteuid());
    fd_close(&fd);
    assert_int_equal(logfile_open(at("none/log"), NULL, &err), -1);
    assert_non_null(strstr(err.text, "No such file"));
}

static void the_user_makes_it_where_it_may(void **state)
{
    if (!is_root())
        return;
    make_folder("own", NOBODY, 0700);
    make_folder("all", 0, 01777);
    is_opened("own/log", NOBODY);
    is_opened("own/log", NOBODY);
    is_opened("all/log", NOBODY);
}

static void root_makes_it_where_nobody_else_changes_anything(void **state)
{
    if (!is_root())
        return;
    make_folder("roots", 0, 0755);
    is_opened("roots/log", NOBODY);
    is_opened("roots/log", NOBODY);
    is_opened("roots/./../roots//other", NOBODY);
    is_refused("roots/none/log", "No such file");
}

static void root_makes_none_elsewhere(void **state)
{
    static const char *const places[] = {"group/log",    "daemons/log", "own/link/log",       "link/log",
                                         "group/in/log", "own/in/log",  "own/../own/link/log"};
    if (!is_root())
        return;
    make_folder("roots", 0, 0755);
    make_folder("group", 0, 0775);
    make_folder("daemons", 1, 0755);
    make_folder("own", NOBODY, 0755);
    make_folder("group/in", 0, 0755);
    make_folder("own/in", 0, 0755);
    assert_int_equal(symlink(at("roots"), at("own/link")), 0);
    assert_int_equal(symlink("roots", at("link")), 0); /* of root's, and still a link */
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        is_refused(places[i], "root makes no log where others can change");
        assert_int_not_equal(access(at(places[i]), F_OK), 0);
    }
    assert_int_not_equal(access(at("roots/log"), F_OK), 0);
}

static void what_is_there_is_given_to_nobody(void **state)
{
    struct stat st;
    if (!is_root())
        return;
    make_folder("roots", 0, 0755);
    make_folder("own", NOBODY, 0755);
    int fd = open(at("roots/empty"), O_CREAT | O_WRONLY, 0600);
    fd_close(&fd);
    assert_int_equal(symlink(at("roots/empty"), at("own/log")), 0);
    assert_int_equal(symlink(at("roots/new"), at("own/dangling")), 0);
    is_refused("roots/empty", "as user nobody: Permission denied");
    is_refused("own/log", "as user nobody: Permission denied");
    is_refused("own/dangling", "as user nobody: Permission denied");
    assert_true(stat(at("roots/empty"), &st) == 0 && st.st_uid == 0 && (st.st_mode & 0777) == 0600);
    assert_int_not_equal(access(at("roots/new"), F_OK), 0);
}

static void afterwards_it_is_who_it_was(void **state)
{
    gid_t before[64], after[64];
    int signal_before, signal_after;
    if (!is_root())
        return;
    int count = getgroups(64, before), dumpable = prctl(PR_GET_DUMPABLE);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    prctl(PR_GET_PDEATHSIG, &signal_before);
    make_folder("own", NOBODY, 0755);
    is_opened("own/log", NOBODY);
    is_refused("own/none/log", "No such file");
    assert_int_equal(geteuid(), 0);
    assert_int_equal(getegid(), 0);
    assert_int_equal(getgroups(64, after), count);
    assert_memory_equal(before, after, (size_t)count * sizeof(before[0]));
    assert_int_equal(prctl(PR_GET_DUMPABLE), dumpable);
    prctl(PR_GET_PDEATHSIG, &signal_after);
    assert_int_equal(signal_after, signal_before);
    prctl(PR_SET_PDEATHSIG, 0);
    assert_int_equal(access("/etc/shadow", R_OK), 0); /* with root's rights about files */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nobody_else_to_be_it_is_simply_opened, begin, end),
        cmocka_unit_test_setup_teardown(the_user_makes_it_where_it_may, begin, end),
        cmocka_unit_test_setup_teardown(root_makes_it_where_nobody_else_changes_anything, begin, end),
        cmocka_unit_test_setup_teardown(root_makes_none_elsewhere, begin, end),
        cmocka_unit_test_setup_teardown(what_is_there_is_given_to_nobody, begin, end),
        cmocka_unit_test_setup_teardown(afterwards_it_is_who_it_was, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
