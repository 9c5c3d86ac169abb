/*
 * test_snapshot.c: promises: what is written is read back the same; a reader believes no byte: whatever is cut or
 * changed, it says so or gives indices in range, and never reads outside (run under the sanitizers).
 */
#include "base/fd.h"
#include "load/snapshot.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static struct slice names[] = {SLICE("A"), SLICE("B")}, values[] = {SLICE("1"), SLICE("")};
static bool faults[] = {false, true};
static struct snapshot_env envs[] = {{names, values, faults, 2}, {NULL, NULL, NULL, 0}};
static uint32_t direct[] = {1}, both[] = {0, 1};
static struct snapshot_module modules[] = {
    {SLICE("_lib.a"), SLICE("_lib/a.lua"), SLICE("return require '_lib.b'"), 3, 0, direct, 1},
    {SLICE("_lib.b"), SLICE("_lib/b.lua"), SLICE(""), 4, 1, NULL, 0}};
static struct snapshot_script scripts[] = {
    {SLICE("a"), SLICE("a.lua"), SLICE("return 1\0\n"), 5, 0, both, 2, SLICE("{}"), SLICE_NONE, SLICE_NONE, false,
     false},
    {SLICE("b"), SLICE("b.lua"), SLICE_NONE, 6, 1, NULL, 0, SLICE_NONE, SLICE("b.lua:1: no"), SLICE("?"), true, false},
    {SLICE("b/c"), SLICE("b/c.lua"), SLICE(""), 7, 1, direct, 1, SLICE("{}"), SLICE("x"), SLICE(""), false, true}};

static void write_one(struct buf *out)
{
    struct snapshot s = {.generation = 9, .next_version = 8, .modules = modules, .module_count = 2, .envs = envs};
    s.env_count = 2;
    s.scripts = scripts;
    s.script_count = 3;
    snapshot_write(&s, out);
}

static void test_round(void **state)
{
    struct buf bytes = {0}, again = {0};
    struct snapshot s;
    struct error err;
    write_one(&bytes);
    int fd = fd_sealed("test", buf_slice(&bytes), &err);
    assert_true(fd >= 0);
    assert_int_equal(snapshot_map(fd, &s, &err), 0);
    assert_int_equal(s.generation, 9);
    assert_int_equal(s.script_count, 3);
    assert_null(s.scripts[1].text.at);
    assert_null(s.scripts[0].error.at);
    assert_non_null(s.scripts[2].text.at);
    assert_int_equal(s.scripts[2].text.len, 0);
    assert_non_null(s.scripts[2].newer.at);
    assert_true(s.scripts[1].clash && !s.scripts[2].clash);
    assert_true(!s.scripts[1].env_fault && s.scripts[2].env_fault);
    assert_int_equal(s.scripts[0].modules[1], 1);
    assert_int_equal(s.modules[0].requires[0], 1);
    snapshot_write(&s, &again);
    assert_true(slice_equal(buf_slice(&bytes), buf_slice(&again)));
    snapshot_free(&s);
    buf_free(&bytes);
    buf_free(&again);
    close(fd);
}

/* A heap copy of exactly the bytes, so that the sanitizer sees a step outside. */
static int parse_copy(struct slice bytes, struct snapshot *s)
{
    struct error err;
    char *copy = slice_dup(bytes);
    struct slice exact = {copy, bytes.len};
    int done = snapshot_parse(exact, s, &err);
    for (size_t i = 0; done == 0 && i < s->script_count; i++) {
        assert_true(s->scripts[i].env < (s->env_count ? s->env_count : 1));
        for (size_t k = 0; k < s->scripts[i].module_count; k++)
            assert_true(s->scripts[i].modules[k] < s->module_count);
    }
    snapshot_free(s);
    free(copy);
    return done;
}

static void test_hostile(void **state)
{
    struct buf bytes = {0};
    struct snapshot s;
    write_one(&bytes);
    for (size_t len = 0; len < bytes.len; len++)
        assert_int_equal(parse_copy((struct slice){bytes.at, len}, &s), -1);
    buf_add_char(&bytes, 'x');
    assert_int_equal(parse_copy(buf_slice(&bytes), &s), -1); /* left over */
    bytes.len--;
    for (size_t at = 0; at < bytes.len; at++)
        for (int way = 0; way < 4; way++) {
            char was = bytes.at[at];
            bytes.at[at] = way == 0 ? '\xff' : way == 1 ? '\0' : way == 2 ? (char)(was + 1) : (char)(was ^ 0x80);
            parse_copy(buf_slice(&bytes), &s);
            bytes.at[at] = was;
        }
    assert_int_equal(parse_copy(buf_slice(&bytes), &s), 0);
    buf_free(&bytes);
}

static void test_env(void **state)
{
    struct buf bytes = {0};
    struct snapshot_env e;
    struct error err;
    snapshot_env_write(&envs[0], &bytes);
    assert_int_equal(snapshot_env_parse(buf_slice(&bytes), &e, &err), 0);
    assert_int_equal(e.count, 2);
    assert_true(slice_equal(e.values[0], SLICE("1")));
    assert_true(!e.faults[0] && e.faults[1]);
    snapshot_env_free(&e);
    for (size_t len = 0; len < bytes.len; len++)
        assert_int_equal(snapshot_env_parse((struct slice){bytes.at, len}, &e, &err), -1);
    buf_free(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_round), cmocka_unit_test(test_hostile),
                                       cmocka_unit_test(test_env)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
