/*
 * handle.h: a real state with all globals on a real loop; a script's handle is run for a request made by hand, and what
 * it returned is read into a response.
 */
#ifndef TESTS_BIND_HANDLE_H
#define TESTS_BIND_HANDLE_H

#include "bind/bind.h"
#include "bind/bind_reply.h"
#include "bind/bind_req.h"
#include "io/loop.h"
#include "script/error.h"
#include "script/sandbox.h"
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

static struct script_host host;
static struct state *lua;

static struct http_header headers[32];
static struct http_request http;
static struct router_match match;
static struct verify_auth auth;
static struct bind_req request;

/* What came of the last run. */
static struct answer {
    int ended;
    enum task_end end;
    int read; /* of bind_reply_read */
    struct http_response response;
    struct bind_reply_plan plan;
    struct buf room, body, text; /* text: status, headers and body, for comparing */
    struct error err;
    struct script_error raised;
} answer;

static inline int set_up(void **state)
{
    struct error err;
    host = (struct script_host){.loop = loop_new(), .memory = 64 << 20, .sandbox = true, .jit = true};
    lua = state_new(&host, bind_open, &err);
    if (lua == NULL)
        print_message("%s\n", err.text);
    return lua == NULL;
}

static inline void forget_answer(void)
{
    http_response_free(&answer.response);
    buf_free(&answer.room);
    buf_free(&answer.body);
    buf_free(&answer.text);
    script_error_free(&answer.raised);
    answer = (struct answer){0};
}

static inline int tear_down(void **state)
{
    forget_answer();
    bind_req_end(&request);
    assert_int_equal(task_count(lua), 0);
    state_free(&lua);
    loop_free(&host.loop);
    return 0;
}

static inline void header(const char *name, const char *value)
{
    headers[http.header_count++] = (struct http_header){slice_of(name), slice_of(value)};
}

/* A new request: POST /orders/7 without headers. */
static inline void new_request(const char *query, const char *type, const char *body)
{
    bind_req_end(&request);
    http = (struct http_request){.method = SLICE("POST"),
                                 .path = SLICE("/orders/7"),
                                 .raw_path = SLICE("/orders/7"),
                                 .query = slice_of(query),
                                 .authority = SLICE("hooks.example.com:8080"),
                                 .host = SLICE("hooks.example.com"),
                                 .scheme = SLICE("https"),
                                 .body = slice_of(body),
                                 .client = {.kind = IP_V4, .at = {192, 0, 2, 7}},
                                 .version = 0x101,
                                 .headers = headers,
                                 .received_at = {1700000000250000000},
                                 .id = uuid_new(wall_now())};
    match = (struct router_match){.names = {SLICE("id")}, .values = {SLICE("7")}, .param_count = 1};
    auth = (struct verify_auth){0};
    request = (struct bind_req){.http = &http, .match = &match, .auth = &auth, .max_body = 1 << 20};
    if (type != NULL)
        header("content-type", type);
}

static inline void over(enum task_end end, lua_State *co, int count, void *cookie)
{
    answer.ended++;
    answer.end = end;
    if (end == TASK_FAILED) {
        script_error_read(co, &answer.raised);
        return;
    }
    http_response_init(&answer.response);
    answer.read = bind_reply_read(co, count, &http.id, &answer.response, &answer.plan, &answer.room, &answer.err);
    if (answer.read == 0)
        buf_add_slice(&answer.body, answer.response.body);
}

/* Starts `return function(req) <text> end` for the request. */
static inline struct task *run(const char *text)
{
    struct sandbox_chunk chunk;
    char *message = NULL, whole[4096];
    forget_answer();
    snprintf(whole, sizeof(whole), "return function(req) %s\nend", text);
    if (sandbox_load(lua, slice_of(whole), "hooks/t.lua", NULL, &chunk, &message) != 0)
        print_message("%s\n", message);
    assert_null(message);
    lua_rawgeti(state_lua(lua), LUA_REGISTRYINDEX, chunk.result);
    bind_req_push(state_lua(lua), &request);
    struct task *t = task_start(lua, 1, "t", 1, DUR_S(1), over, NULL);
    sandbox_unload(lua, &chunk);
    return t;
}

/* "200 text/plain; charset=utf-8|x-a: 1|body" */
static inline const char *as_text(void)
{
    size_t at = 0;
    buf_clear(&answer.text);
    buf_addf(&answer.text, "%d ", answer.response.status);
    for (size_t i = 0; i < answer.response.header_count; i++) {
        struct slice name = {answer.response.bytes.at + at, answer.response.header[i].name_len};
        struct slice value = {name.at + name.len, answer.response.header[i].value_len};
        at += name.len + value.len;
        if (slice_equal(name, SLICE("content-type")))
            buf_addf(&answer.text, "%.*s|", SLICE_ARG(value));
        else
            buf_addf(&answer.text, "%.*s: %.*s|", SLICE_ARG(name), SLICE_ARG(value));
    }
    buf_add_slice(&answer.text, buf_slice(&answer.body));
    return buf_text(&answer.text);
}

static inline void expect(const char *text, const char *result)
{
    assert_null(run(text));
    if (answer.end == TASK_FAILED)
        print_message("%s\nraised: %s\n", text, buf_text(&answer.raised.log));
    else if (answer.read != 0)
        print_message("%s\nrefused: %s\n", text, answer.err.text);
    assert_int_equal(answer.end, TASK_RETURNED);
    assert_int_equal(answer.read, 0);
    assert_string_equal(as_text(), result);
}

/* What handle returned cannot be an answer, and the words say why. */
static inline void expect_refused(const char *text, const char *words)
{
    assert_null(run(text));
    if (answer.end == TASK_FAILED)
        print_message("%s\nraised: %s\n", text, buf_text(&answer.raised.log));
    assert_int_equal(answer.end, TASK_RETURNED);
    if (answer.read == 0)
        print_message("%s\ngave: %s\n", text, as_text());
    assert_int_equal(answer.read, -1);
    if (strstr(answer.err.text, words) == NULL)
        print_message("%s\nsaid: %s\n", text, answer.err.text);
    assert_non_null(strstr(answer.err.text, words));
}

static inline void expect_raised(const char *text, int status, const char *words)
{
    assert_null(run(text));
    if (answer.end != TASK_FAILED)
        print_message("%s\ngave: %s\n", text, as_text());
    assert_int_equal(answer.end, TASK_FAILED);
    if (answer.raised.status != status || strstr(buf_text(&answer.raised.log), words) == NULL)
        print_message("%s\nraised: %d %s\n", text, answer.raised.status, buf_text(&answer.raised.log));
    assert_int_equal(answer.raised.status, status);
    assert_non_null(strstr(buf_text(&answer.raised.log), words));
    if (status < 500)
        assert_non_null(strstr(buf_text(&answer.raised.detail), words));
    else
        assert_int_equal(answer.raised.detail.len, 0);
}

#endif
