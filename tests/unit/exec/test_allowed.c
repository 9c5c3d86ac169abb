/*
 * test_allowed.c: names are compared as they are looked up, paths begin at the configuration's folder, and no PATH but
 * an absolute one is looked in.
 */
#include "base/panic.h"
#include "exec/allowed.h"
#include "programs.h"
#include <sys/stat.h>

static char folder[64];

static int make_folder(void **state)
{
    char path[96];
    strcpy(folder, "/tmp/crescent-allowed-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof(path), "%s/run", folder);
    close(open(path, O_CREAT | O_WRONLY, 0700));
    snprintf(path, sizeof(path), "%s/text", folder);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    snprintf(path, sizeof(path), "%s/bin", folder);
    return mkdir(path, 0700);
}

static int remove_folder(void **state)
{
    char command[96];
    snprintf(command, sizeof(command), "rm -r %s", folder);
    return system(command);
}

static bool allows(const struct config *c, const char *name)
{
    struct buf list = {0};
    char *form = allowed_name(c->root, name);
    allowed_write(c, &list);
    bool has = allowed_has(buf_slice(&list), form);
    buf_free(&list);
    free(form);
    return has;
}

static void names_are_compared_as_they_are_looked_up(void **state)
{
    char *names[] = {(char *)"git", (char *)"./deploy.sh", (char *)"/usr/bin/make", (char *)"bin//x/./y"};
    const struct config c = {.root = (char *)"/srv/app", .exec = names, .exec_count = 4};
    const char *good[] = {"git", "./deploy.sh", "/srv/app/deploy.sh", "././deploy.sh", "/usr/bin/make", "bin/x/y"};
    const char *bad[] = {"gi",   "git ",         "/usr/bin/git",   "deploy.sh",      "make",
                         "/git", "../deploy.sh", "x/../deploy.sh", "./deploy.sh/..", ""};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        if (!allows(&c, good[i]))
            fail_msg("%s", good[i]);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (allows(&c, bad[i]))
            fail_msg("%s", bad[i]);
}

static void a_list_that_is_cut_allows_nothing(void **state)
{
    struct buf list = {0};
    buf_add_string(&list, SLICE("git"));
    assert_true(allowed_has(buf_slice(&list), "git"));
    for (size_t len = 0; len < list.len; len++)
        assert_false(allowed_has((struct slice){list.at, len}, "git"));
    buf_free(&list);
}

static void expect_file(const char *name, const char *path, const char *file)
{
    const char *code = "";
    struct error err;
    char *got = allowed_file(name, path, &code, &err);
    if (got == NULL)
        fail_msg("%s: %s %s", name, code, err.text);
    assert_string_equal(got, file);
    free(got);
}

static void expect_none(const char *name, const char *path, const char *code, const char *words)
{
    const char *got = "";
    struct error err;
    assert_null(allowed_file(name, path, &got, &err));
    assert_string_equal(got, code);
    assert_non_null(strstr(err.text, words));
}

static void a_name_is_looked_for_in_path(void **state)
{
    char path[160], file[96];
    snprintf(file, sizeof(file), "%s/run", folder);
    snprintf(path, sizeof(path), "/nowhere:%s", folder);
    expect_file("run", path, file);
    expect_file(file, "", file);
    expect_none("nothing", path, "not_found", "nothing: there is no such program");
    expect_none("text", path, "not_executable", "text: it is not executable");
    expect_none("bin", path, "not_found", "there is no such program"); /* a folder of that name is none */
    expect_none("run/x", path, "not_found", "there is no such program");
    snprintf(file, sizeof(file), "%s/bin", folder);
    expect_none(file, path, "not_executable", "Is a directory");
    assert_int_equal(chdir(folder), 0);
    expect_none("run", "", "not_found", "there is no such program"); /* an empty entry would be the working folder */
    expect_none("run", ".:::bin", "not_found", "there is no such program");
    assert_int_equal(chdir("/"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_compared_as_they_are_looked_up),
        cmocka_unit_test(a_list_that_is_cut_allows_nothing),
        cmocka_unit_test(a_name_is_looked_for_in_path),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
