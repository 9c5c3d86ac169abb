/*
 * test_trial.c: promises of a trial: an endless or greedy top level hurts nobody, is named by line, and the scripts
 * after it are tried as if it had not been; a result survives its wire form, and a hostile one is refused.
 */
#include "load/trial.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define MOST 16

struct heard {
    char errors[MOST][512];
    bool good[MOST], is_public[MOST];
    size_t modules[MOST], trying, tried;
};

static void on_trying(void *cookie, size_t script)
{
    struct heard *h = cookie;
    h->trying++;
}

static void on_tried(void *cookie, size_t script, const struct trial_result *r)
{
    struct heard *h = cookie;
    snprintf(h->errors[script], sizeof h->errors[script], "%.*s", SLICE_ARG(r->errors));
    h->good[script] = r->good;
    h->is_public[script] = r->is_public;
    h->modules[script] = r->module_count;
    assert_int_equal(r->good, r->description.len > 0);
    h->tried++;
}

static void try(const char *const *texts, size_t count, struct heard *h)
{
    struct config config;
    struct snapshot_script scripts[MOST];
    static char names[MOST][32], files[MOST][32];
    struct snapshot_module module = {
        .name = SLICE("_lib.m"), .file = SLICE("_lib/m.lua"), .text = SLICE("return { words = 'm' }"), .version = 1};
    config_defaults(&config);
    config.limits.lua_memory = 16 << 20;
    config.hooks = strdup("/srv/hooks");
    *h = (struct heard){0};
    for (size_t i = 0; i < count; i++) {
        snprintf(names[i], sizeof names[i], "s%02zu", i);
        snprintf(files[i], sizeof files[i], "s%02zu.lua", i);
        scripts[i] = (struct snapshot_script){
            .name = slice_of(names[i]), .file = slice_of(files[i]), .text = slice_of(texts[i]), .version = i + 2};
    }
    struct snapshot s = {.scripts = scripts, .script_count = count, .modules = &module, .module_count = 1};
    trial_run(&s, &config, false, on_trying, on_tried, h);
    config_free(&config);
}

static void test_limits(void **state)
{
#ifdef __SANITIZE_THREAD__
    skip(); /* tsan holds signals back until the next call into the C library, and these loops make none */
#endif
    static const char *const texts[] = {
        "while true do end",
        "local function f()\n while true do pcall(function() while true do end end) end\nend\nf()",
        "local co = coroutine.wrap(function()\n while true do end end)\nco()",
        "local t = {}\nfor i = 1, 1e9 do t[i] = ('x'):rep(1000) .. i end",
        "local function f() return f() + 1 end\nreturn f()",
        "return function() return require '_lib.m' end",
        "local m = require '_lib.m'\nreturn function() return m.words end",
        "while true do end",
    };
    static const char *const errors[] = {"hooks/s00.lua:1: top level ran longer than 250ms",
                                         "hooks/s01.lua:2: top level ran longer than 250ms",
                                         "hooks/s02.lua:2: top level ran longer than 250ms",
                                         "hooks/s03.lua:1: not enough memory",
                                         "hooks/s04.lua:1: stack overflow",
                                         "",
                                         "",
                                         "hooks/s07.lua:1: top level ran longer than 250ms"};
    struct heard h;
    try(texts, 8, &h);
    assert_int_equal(h.trying, 8);
    assert_int_equal(h.tried, 8);
    for (size_t i = 0; i < 8; i++)
        if (strcmp(h.errors[i], errors[i]) != 0)
            fail_msg("%s instead of %s", h.errors[i], errors[i]);
    assert_int_equal(h.modules[5], 0);
    assert_int_equal(h.modules[6], 1);
    assert_true(h.good[6] && h.is_public[6]);
}

/* Inside a C function no hook fires: the process ends itself, after its second more. */
static void test_stuck(void **state)
{
#ifdef __SANITIZE_THREAD__
    skip(); /* as test_limits */
#endif
    static const char *const texts[] = {"return ('a'):rep(60000):find('.-b')"};
    struct heard h;
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        try(texts, 1, &h);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
}

static void test_result(void **state)
{
    uint32_t modules[] = {3, 1}, one[] = {1}, *requires[] = {one, NULL};
    size_t counts[] = {1, 0};
    struct trial_result r = {true, SLICE("a\nb"), SLICE("{}"), modules, 2, requires, counts, true}, back;
    struct buf bytes = {0};
    struct error err;
    trial_result_write(&r, &bytes);
    assert_int_equal(trial_result_read(buf_slice(&bytes), &back, &err), 0);
    assert_true(back.good && back.is_public);
    assert_int_equal(back.module_count, 2);
    assert_int_equal(back.requires[0][0], 1);
    assert_int_equal(back.require_counts[1], 0);
    trial_result_free(&back);
    for (size_t len = 0; len < bytes.len; len++) {
        char *copy = slice_dup((struct slice){bytes.at, len});
        assert_int_equal(trial_result_read((struct slice){copy, len}, &back, &err), -1);
        free(copy);
    }
    for (size_t at = 4; at < bytes.len; at++) {
        bytes.at[at] ^= (char)0xff;
        if (trial_result_read(buf_slice(&bytes), &back, &err) == 0)
            trial_result_free(&back);
        bytes.at[at] ^= (char)0xff;
    }
    buf_free(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_limits), cmocka_unit_test(test_stuck),
                                       cmocka_unit_test(test_result)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
