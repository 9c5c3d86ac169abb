/*
 * harness.h: a Lua state with one awaitable, wait(name), that the test completes by hand, parallel, and leave(value);
 * and runs of Lua text.
 */
#ifndef TESTS_SCRIPT_HARNESS_H
#define TESTS_SCRIPT_HARNESS_H

#include "io/loop.h"
#include "script/await.h"
#include "script/error.h"
#include "script/nested.h"
#include "script/parallel.h"
#include "script/sandbox.h"
#include "script/state_internal.h"
#include "script/task.h"
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// clang-format off
#include <stdarg.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on

struct op {
    struct await await;
    int answer;
};

struct run {
    int ended;
    enum task_end end;
    char text[512]; /* the results or the error, with commas */
    struct script_error error;
};

static struct op *waits[70000]; /* in the order begun */
static size_t wait_count, cancel_count;

static void op_cancel(struct await *a)
{
    cancel_count++;
    free((struct op *)a);
}

static int l_wait(lua_State *L)
{
    await_check(L, "wait");
    struct op *op = calloc(1, sizeof(*op));
    op->answer = (int)luaL_optinteger(L, 1, 0);
    waits[wait_count++] = op;
    return await_begin(L, &op->await, op_cancel);
}

static int push_answer(lua_State *co, void *cookie)
{
    int answer = *(int *)cookie;
    if (answer < 0)
        return luaL_error(co, "cannot push");
    lua_pushinteger(co, answer);
    lua_pushliteral(co, "done");
    return 2;
}

/* Its task goes on at once, or in its turn. */
static inline void tell(size_t which)
{
    int answer = waits[which]->answer;
    struct op *op = waits[which];
    await_complete(&op->await, push_answer, &answer);
    free(op);
}

static struct script_host host;
static struct state *newest;

/* Its task has gone on, on a slow machine, too, where a pass has no time left: script/turns. Not within a pass. */
static inline void complete(size_t which)
{
    tell(which);
    while (!list_empty(&newest->turns.line))
        loop_pass(host.loop, DUR_MS(0));
}

/* leave(value): as retry and drop will. */
static int l_leave(lua_State *L)
{
    lua_settop(L, 1);
    return task_leave(L, "leave");
}

static void open_globals(lua_State *L)
{
    parallel_open(L);
    lua_setfield(L, -2, "parallel");
    lua_pushcfunction(L, l_leave);
    lua_setfield(L, -2, "leave");
    lua_pushcfunction(L, l_wait);
    lua_setfield(L, -2, "wait");
    lua_newtable(L);
    lua_newtable(L);
    lua_setfield(L, -2, "inner");
    nested_push_mark(L); /* as if a script had forged it */
    lua_setfield(L, -2, "mark");
    lua_setfield(L, -2, "tools");
}

/* How many references are held at once depends on which parts begin before others end; of a leak there are hundreds. */
#define REFERENCES_SPARE 16

/* max_run: 0: stretches are not interrupted. open: puts the globals, those of open_globals among them. */
static inline struct state *new_opened_state(size_t memory, bool jit, dur_t max_run, void (*open)(lua_State *L))
{
    struct error err;
    host = (struct script_host){.loop = host.loop != NULL ? host.loop : loop_new(),
                                .memory = memory,
                                .max_run = max_run,
                                .sandbox = true,
                                .jit = jit};
    wait_count = cancel_count = 0;
    struct state *s = state_new(&host, open, &err);
    assert_non_null(s);
    newest = s;
    return s;
}

/* So many passes of the loop, each with all that was due in it, on a busy machine, too: script/turns. */
static inline void passes(int count)
{
    for (int i = 0; i < count; i++)
        do
            loop_pass(host.loop, DUR_MS(0));
        while (!list_empty(&newest->turns.line));
}

static inline struct state *new_bounded_state(size_t memory, bool jit, dur_t max_run)
{
    return new_opened_state(memory, jit, max_run, open_globals);
}

static inline struct state *new_state(size_t memory, bool jit)
{
    return new_bounded_state(memory, jit, (dur_t){0});
}

static inline void end_state(struct state **s)
{
    assert_int_equal(task_count(*s), 0);
    state_free(s);
    assert_null(*s);
    loop_free(&host.loop);
}

static inline void note_end(enum task_end end, lua_State *co, int count, void *cookie)
{
    struct run *r = cookie;
    struct buf text = {0};
    r->ended++;
    r->end = end;
    if (end == TASK_FAILED) {
        script_error_read(co, &r->error);
        snprintf(r->text, sizeof(r->text), "%.*s", SLICE_ARG(buf_slice(&r->error.log)));
        r->text[strcspn(r->text, "\n")] = '\0';
        return;
    }
    for (int i = 1; i <= count; i++) {
        if (i > 1)
            buf_add_char(&text, ',');
        if (lua_type(co, i) == LUA_TSTRING || lua_type(co, i) == LUA_TNUMBER)
            buf_add_text(&text, lua_tostring(co, i));
        else if (lua_isboolean(co, i))
            buf_add_text(&text, lua_toboolean(co, i) ? "true" : "false");
        else
            buf_add_text(&text, luaL_typename(co, i));
    }
    snprintf(r->text, sizeof(r->text), "%s", buf_text(&text));
    buf_free(&text);
}

/* Loads a text; its first result stays referenced in chunk. Fails the test when it does not load. */
static inline struct sandbox_chunk load(struct state *s, const char *text)
{
    struct sandbox_chunk chunk;
    char *message = NULL;
    if (sandbox_load(s, slice_of(text), "hooks/test.lua", NULL, &chunk, &message) != 0) {
        print_message("%s\n", message);
        fail();
    }
    return chunk;
}

static inline dur_t host_limit(void)
{
    return host.max_run.ns > 0 ? host.max_run : DUR_S(1);
}

/* Loads `return function() <body> end` and starts it. */
static inline struct task *start(struct state *s, const char *body, struct run *r)
{
    size_t len = strlen(body) + 64;
    char *text = malloc(len);
    snprintf(text, len, "return function() %s\nend", body);
    struct sandbox_chunk chunk = load(s, text);
    free(text);
    *r = (struct run){0};
    lua_rawgeti(state_lua(s), LUA_REGISTRYINDEX, chunk.result);
    struct task *t = task_start(s, 0, "test", 1, host_limit(), note_end, r);
    sandbox_unload(s, &chunk);
    return t;
}

static inline void expect(struct state *s, const char *body, const char *result)
{
    struct run r;
    assert_null(start(s, body, &r));
    if (r.ended != 1 || r.end != TASK_RETURNED || strcmp(r.text, result) != 0)
        print_message("%s\n", r.text);
    assert_int_equal(r.ended, 1);
    assert_string_equal(r.text, result);
    assert_int_equal(r.end, TASK_RETURNED);
    script_error_free(&r.error);
}

static inline void expect_error(struct state *s, const char *body, const char *part)
{
    struct run r;
    assert_null(start(s, body, &r));
    assert_int_equal(r.end, TASK_FAILED);
    if (strstr(r.text, part) == NULL)
        print_message("got: %s\n", r.text);
    assert_non_null(strstr(r.text, part));
    script_error_free(&r.error);
}

#endif
