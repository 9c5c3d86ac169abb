/*
 * worker.h: what the tests of exec/exec share: a loop with a real spawner (the test's own program, run anew as one),
 * and ways to run a program and look at what came of it. Each test ends with a look for what it has left behind.
 */
#ifndef TESTS_EXEC_WORKER_H
#define TESTS_EXEC_WORKER_H

#include "exec/exec.h"
#include "exec/spawner.h"
#include "io/loop.h"
#include "ipc/spare.h"
#include "programs.h"

static struct loop *loop;
static struct config config;
static struct exec *programs;
static size_t descriptors;
static char folder[64];

static struct outcome {
    int told;
    char code[32], words[512];
    bool ended;
    int status;
    struct buf out, err;
} got;

static inline void note(const struct exec_result *r, void *cookie)
{
    struct outcome *o = cookie;
    o->told++;
    snprintf(o->code, sizeof(o->code), "%s", r->code != NULL ? r->code : "");
    snprintf(o->words, sizeof(o->words), "%s", r->code != NULL ? r->words : "");
    o->ended = r->ended;
    o->status = r->status;
    buf_clear(&o->out);
    buf_clear(&o->err);
    buf_add_slice(&o->out, r->out);
    buf_add_slice(&o->err, r->err);
}

static inline void forget(struct outcome *o)
{
    buf_free(&o->out);
    buf_free(&o->err);
    *o = (struct outcome){0};
}

static inline struct exec_ask ask(const char *const *argv)
{
    static struct buf strings;
    buf_free(&strings);
    for (; *argv != NULL; argv++)
        buf_add_string(&strings, slice_of(*argv));
    return (struct exec_ask){.arguments = buf_slice(&strings), .timeout = DUR_S(60), .max_output = 1 << 20};
}

static inline struct exec_ask shell(const char *text)
{
    return ask((const char *const[]){"sh", "-c", text, NULL});
}

static inline struct exec_program *begin(struct exec_ask a, struct outcome *o)
{
    const char *code;
    struct error err;
    struct exec_program *p = exec_start(programs, &a, note, o, &code, &err);
    if (p == NULL)
        fail_msg("%s: %s", code, err.text);
    return p;
}

static inline void until_told(struct outcome *o)
{
    mono_t end = mono_add(mono_now(), DUR_S(60));
    while (o->told == 0 && mono_before(mono_now(), end))
        loop_pass(loop, DUR_MS(100));
    assert_int_equal(o->told, 1);
}

static inline void run(struct exec_ask a)
{
    forget(&got);
    begin(a, &got);
    until_told(&got);
}

static inline void expect_code(const char *code)
{
    if (strcmp(got.code, code) != 0)
        fail_msg("%s (%s), expected %s", got.code, got.words, code);
}

static inline void pass_until(bool (*is)(void), const char *what)
{
    mono_t end = mono_add(mono_now(), DUR_S(20));
    while (!is()) {
        if (!mono_before(mono_now(), end))
            fail_msg("not within 20 s: %s", what);
        loop_pass(loop, DUR_MS(10));
    }
}

/* --- a spawner for each test -------------------------------------------------------------------------------------- */

static inline int open_all(void)
{
    struct error err;
    loop = loop_new();
    assert_true(spare_keep());
    descriptors = open_descriptors(); /* libh2o's loop keeps one beyond its end */
    programs = exec_new(loop, &config, "test", &err);
    if (programs == NULL)
        print_message("%s\n", err.text);
    return programs == NULL;
}

static inline int set_up(void **state)
{
    strcpy(folder, "/tmp/crescent-exec-XXXXXX");
    if (mkdtemp(folder) == NULL || chdir(folder) != 0)
        return -1;
    config = (struct config){.root = folder, .exec_any = true, .limits = {.lua_memory = 64 << 20}};
    return open_all();
}

static inline int tear_down(void **state)
{
    char command[96];
    forget(&got);
    exec_free(&programs);
    assert_int_equal(open_descriptors(), descriptors);
    loop_free(&loop);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* neither a child nor a zombie */
    snprintf(command, sizeof(command), "rm -r %s", folder);
    return chdir("/") || system(command);
}

/* The main of such a test: the same program is the spawner. */
static inline int as_spawner_or(int argc, char **argv, int (*tests)(void))
{
    if (argc > 1 && strcmp(argv[1], "spawner") == 0)
        return spawner_main(argc > 2 ? argv[2] : NULL);
    return tests();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
