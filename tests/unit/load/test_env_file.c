/*
 * test_env_file.c: promises of `env`: the syntax of .env, a malformed line named by file and line, each source over the
 * one before, what cannot be read told by name and file, and which files are none of its sources.
 */
#include "base/fd.h"
#include "load/env_sources.h"
#include "load/trial.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/crescent-env-XXXXXX";
static char path[64];

static int make_folder(void **state)
{
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/.env", folder);
    return 0;
}

static int remove_folder(void **state)
{
    unlink(path);
    return rmdir(folder);
}

static void write_file(struct slice text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(fd_write_all(fd, text), 0);
    close(fd);
}

static const char *value(const struct snapshot_env *e, const char *name, char room[256])
{
    for (size_t i = 0; i < e->count; i++)
        if (slice_equal(e->names[i], slice_of(name))) {
            snprintf(room, 256, "%.*s", SLICE_ARG(e->values[i]));
            return room;
        }
    return NULL;
}

static void expect(const char *text, const char *name, const char *expected)
{
    struct buf room = {0};
    struct snapshot_env e;
    struct error err;
    char found[256];
    write_file(slice_of(text));
    if (trial_read_env(path, &room, &e, &err) != 0)
        fail_msg("%s: %s", text, err.text);
    const char *got = value(&e, name, found);
    if (expected == NULL)
        assert_null(got);
    else if (got == NULL)
        fail_msg("%s: no %s", text, name);
    else
        assert_string_equal(got, expected);
    snapshot_env_free(&e);
    buf_free(&room);
}

static void refuse(struct slice text, const char *start)
{
    struct buf room = {0};
    struct snapshot_env e;
    struct error err;
    write_file(text);
    assert_int_equal(trial_read_env(path, &room, &e, &err), -1);
    if (strncmp(err.text, start, strlen(start)) != 0)
        fail_msg("\"%s\" does not begin with \"%s\"", err.text, start);
    buf_free(&room);
}

static void test_syntax(void **state)
{
    expect("T_A=1\n", "T_A", "1");
    expect("T_A=1", "T_A", "1");
    expect("T_A=\n", "T_A", "");
    expect("\n# T_A=2\n  export T_A = a b \r\nT_B=2\r\n", "T_A", "a b");
    expect("T_A=a#b # comment\n", "T_A", "a#b");
    expect("T_A= # comment\n", "T_A", "");
    expect("T_A='a \\n $X # b' # comment\n", "T_A", "a \\n $X # b");
    expect("T_A=\"a\\n\\\"b\\\" \\\\ \\$X\"\n", "T_A", "a\n\"b\" \\ $X");
    expect("T_A=\"one\ntwo\"\nT_B=3\n", "T_A", "one\ntwo");
    expect("T_A=\"one\ntwo\"\nT_B=3\n", "T_B", "3");
    expect("T_A=1\nT_A=2\n", "T_A", "2");
    expect("T_A=x'y'z=$HOME\n", "T_A", "x'y'z=$HOME");
    expect("exported=1\n", "exported", "1");
    expect("\xef\xbb\xbfT_A=1\n", "T_A", "1");
}

static void test_faults(void **state)
{
    refuse(SLICE("A=1\nB=2\nnonsense\n"), ".env:3: expected NAME=value");
    refuse(SLICE("1A=1\n"), ".env:1: ");
    refuse(SLICE("=1\n"), ".env:1: ");
    refuse(SLICE("export\n"), ".env:1: ");
    refuse(SLICE("\nA='x\ny\n"), ".env:2: a quote that does not end");
    refuse(SLICE("A=\"x\\q\"\n"), ".env:1: unknown escape");
    refuse(SLICE("A=\"x\" y\n"), ".env:1: something stands behind");
    refuse(SLICE("A=\"m\nn\"\nB\n"), ".env:3: ");
    refuse(SLICE("A=x\0y\n"), ".env:1: a NUL byte");
}

static void test_environment(void **state)
{
    setenv("T_OVER", "from environment", 1);
    setenv("CRESCENT_ADMIN_TOKEN", "secret", 1);
    expect("T_OVER=from file\n", "T_OVER", "from environment");
    expect("", "CRESCENT_ADMIN_TOKEN", NULL);
    unlink(path);
    struct buf room = {0};
    struct snapshot_env e;
    struct error err;
    char found[256];
    assert_int_equal(trial_read_env(path, &room, &e, &err), 0); /* no file: no fault */
    assert_string_equal(value(&e, "T_OVER", found), "from environment");
    for (size_t i = 1; i < e.count; i++) { /* sorted: the same values are the same bytes */
        size_t len = e.names[i].len < e.names[i - 1].len ? e.names[i].len : e.names[i - 1].len;
        assert_true(memcmp(e.names[i - 1].at, e.names[i].at, len) <= 0);
    }
    snapshot_env_free(&e);
    buf_free(&room);
}

/* --- credentials and NAME_FILE --------------------------------------------------------------------------------------
 */

static void write_at(const char *name, struct slice text)
{
    char at[128];
    snprintf(at, sizeof at, "%s/%s", folder, name);
    int fd = open(at, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(fd_write_all(fd, text), 0);
    close(fd);
}

static void remove_at(const char *name)
{
    char at[128];
    snprintf(at, sizeof at, "%s/%s", folder, name);
    remove(at);
}

/* Its value, or with fault its words; NULL: it is not there as that. */
static const char *read_name(const char *name, bool fault, char found[256])
{
    struct buf room = {0};
    struct snapshot_env e;
    struct error err;
    const char *got = NULL;
    assert_int_equal(trial_read_env(path, &room, &e, &err), 0);
    for (size_t i = 0; i < e.count; i++)
        if (slice_equal(e.names[i], slice_of(name)) && e.faults[i] == fault)
            got = value(&e, name, found);
    snapshot_env_free(&e);
    buf_free(&room);
    return got;
}

static void each_source_counts_over_the_one_before(void **state)
{
    char found[256], dir[64];
    snprintf(dir, sizeof dir, "%s/creds", folder);
    assert_int_equal(mkdir(dir, 0700), 0);
    write_file(SLICE("S_A=dotenv\n"));
    assert_string_equal(read_name("S_A", false, found), "dotenv");
    setenv("S_A", "environment", 1);
    assert_string_equal(read_name("S_A", false, found), "environment");
    setenv("CREDENTIALS_DIRECTORY", dir, 1);
    write_at("creds/S_A", SLICE("credential\n"));
    write_at("creds/db.password", SLICE("dotted"));
    assert_string_equal(read_name("S_A", false, found), "credential");
    assert_string_equal(read_name("db.password", false, found), "dotted");
    write_at("value", SLICE("of a file\r\n"));
    setenv("S_A_FILE", "value", 1); /* relative to the folder of .env */
    assert_string_equal(read_name("S_A", false, found), "of a file");
    assert_string_equal(read_name("S_A_FILE", false, found), "value");
    unsetenv("S_A_FILE");
    unsetenv("S_A");
    unsetenv("CREDENTIALS_DIRECTORY");
    remove_at("creds/S_A");
    remove_at("creds/db.password");
    remove_at("creds");
    remove_at("value");
}

static void one_line_break_at_the_end_goes(void **state)
{
    static const struct {
        struct slice text;
        const char *value;
    } rows[] = {{SLICE(""), ""},         {SLICE("\n"), ""},
                {SLICE("a"), "a"},       {SLICE("a\n"), "a"},
                {SLICE("a\n\n"), "a\n"}, {SLICE("a\r\n"), "a"},
                {SLICE(" a "), " a "},   {SLICE("a\nb\n"), "a\nb"},
                {SLICE("\n a"), "\n a"}, {SLICE("=\"$X\"\n"), "=\"$X\""}};
    char found[256];
    setenv("S_B_FILE", "value", 1);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        write_at("value", rows[i].text);
        assert_string_equal(read_name("S_B", false, found), rows[i].value);
    }
    unsetenv("S_B_FILE");
    remove_at("value");
}

static void what_cannot_be_read_is_a_fault_of_that_name(void **state)
{
    char found[256], *big = malloc(70000);
    memset(big, 'x', 70000);
    setenv("S_C_FILE", "value", 1);
    assert_null(read_name("S_C", false, found));
    assert_non_null(strstr(read_name("S_C", true, found), "env.S_C: of S_C_FILE: "));
    assert_non_null(strstr(read_name("S_C", true, found), "/value: No such file"));
    write_at("value", SLICE("a\0b"));
    assert_non_null(strstr(read_name("S_C", true, found), "/value: a NUL byte"));
    write_at("value", (struct slice){big, 65537});
    assert_non_null(strstr(read_name("S_C", true, found), "/value: more than 65536 bytes"));
    write_at("value", (struct slice){big, 65536});
    assert_non_null(read_name("S_C", false, found));
    setenv("S_C_FILE", folder, 1);
    assert_non_null(strstr(read_name("S_C", true, found), "not a regular file"));
    setenv("S_C_FILE", "", 1); /* says nothing */
    assert_null(read_name("S_C", true, found));
    setenv("_FILE", "value", 1);
    setenv("CRESCENT_ADMIN_TOKEN_FILE", "value", 1);
    assert_null(read_name("", false, found));
    assert_null(read_name("CRESCENT_ADMIN_TOKEN", false, found));
    unsetenv("CRESCENT_ADMIN_TOKEN_FILE");
    unsetenv("_FILE");
    unsetenv("S_C_FILE");
    remove_at("value");
    free(big);
}

static void settings_of_the_server_name_no_files_of_values(void **state)
{
    struct env_sources sources;
    char found[256];
    write_at("value", SLICE("a line of the log\n"));
    setenv("CRESCENT_LOG_FILE", "value", 1);
    assert_null(read_name("CRESCENT_LOG", false, found));
    assert_null(read_name("CRESCENT_LOG", true, found));
    env_sources_list(path, &sources); /* what is watched */
    for (size_t i = 0; i < sources.file_count; i++)
        assert_string_not_equal(sources.files[i].name, "CRESCENT_LOG");
    env_sources_free(&sources);
    unsetenv("CRESCENT_LOG_FILE");
    remove_at("value");
}

static bool stamp_changes(const struct env_sources *sources, uint64_t last[4])
{
    uint64_t now[4];
    env_sources_stamp(sources, now);
    bool changed = memcmp(now, last, sizeof now) != 0;
    memcpy(last, now, sizeof now);
    return changed;
}

static void a_file_of_more_bytes_than_a_value_may_have_changes_nothing_as_it_grows(void **state)
{
    struct env_sources sources;
    uint64_t last[4] = {0};
    char *big = calloc(1, 90000);
    setenv("S_D_FILE", "value", 1);
    write_at("value", (struct slice){big, ENV_VALUE_FILE_MAX});
    env_sources_list(path, &sources);
    assert_true(stamp_changes(&sources, last));
    write_at("value", (struct slice){big, ENV_VALUE_FILE_MAX + 1});
    assert_true(stamp_changes(&sources, last));
    write_at("value", (struct slice){big, 80000});
    assert_false(stamp_changes(&sources, last));
    remove_at("value");
    assert_true(stamp_changes(&sources, last));
    write_at("value", (struct slice){big, 90000});
    assert_true(stamp_changes(&sources, last));
    write_at("value", SLICE("small again"));
    assert_true(stamp_changes(&sources, last));
    env_sources_free(&sources);
    unsetenv("S_D_FILE");
    remove_at("value");
    free(big);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_syntax),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(each_source_counts_over_the_one_before),
        cmocka_unit_test(one_line_break_at_the_end_goes),
        cmocka_unit_test(what_cannot_be_read_is_a_fault_of_that_name),
        cmocka_unit_test(settings_of_the_server_name_no_files_of_values),
        cmocka_unit_test(a_file_of_more_bytes_than_a_value_may_have_changes_nothing_as_it_grows)};
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
