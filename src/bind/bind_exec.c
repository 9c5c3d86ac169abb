/*
 * bind_exec.c: the call's table is read into Lua strings first, which may raise; only then are they packed, which does
 * not. See bind_exec.h.
 * Owns: one struct per call, freed when the program's end was told or the wait was cancelled.
 *
 * err.code is a word (timeout, not_found, …), but for an exit status other than 0: there it is that number, as `code`
 * is in a result. stdout, stderr and signal are there where the program ran.
 */
#include "bind/bind_exec.h"
#include "base/duration.h"
#include "base/panic.h"
#include "exec/exec.h"
#include "script/await.h"
#include "script/error.h"
#include "script/failure.h"
#include "script/table.h"
#include <lauxlib.h>
#include <stdlib.h>
#include <sys/wait.h>

#define ARGUMENTS_MOST 65536
#define TIMEOUT_DEFAULT DUR_S(60)
#define TIMEOUT_MOST DUR_S(86400)
#define OUTPUT_DEFAULT ((size_t)1 << 20)
#define OUTPUT_MOST ((size_t)64 << 20)
#define FIELDS "signal stdout stderr"

struct exec_call {
    struct await await;
    struct exec_program *program;
};

/* --- what came of it ---------------------------------------------------------------------------------------------- */

static void push_output(lua_State *L, const struct exec_result *r)
{
    lua_createtable(L, 2, 4);
    lua_pushlstring(L, r->out.at != NULL ? r->out.at : "", r->out.len);
    lua_setfield(L, -2, "stdout");
    lua_pushlstring(L, r->err.at != NULL ? r->err.at : "", r->err.len);
    lua_setfield(L, -2, "stderr");
    if (r->ended && WIFSIGNALED(r->status)) {
        lua_pushinteger(L, WTERMSIG(r->status));
        lua_setfield(L, -2, "signal");
    }
}

static int push_result(lua_State *L, void *cookie)
{
    const struct exec_result *r = cookie;
    bool exited = r->code == NULL || strcmp(r->code, "exit") == 0;
    luaL_checkstack(L, 8, "exec");
    push_output(L, r);
    if (exited) {
        lua_pushinteger(L, WEXITSTATUS(r->status));
        lua_setfield(L, -2, "code");
    }
    return r->code == NULL ? 1 : failure_push_with(L, r->code, r->words, FIELDS);
}

static void done(const struct exec_result *r, void *cookie)
{
    struct exec_call *c = cookie;
    struct exec_result copy = *r;
    c->program = NULL;
    await_complete(&c->await, push_result, &copy);
    free(c);
}

static void cancel(struct await *a)
{
    struct exec_call *c = CONTAINER_OF(a, struct exec_call, await);
    exec_cancel(&c->program);
    free(c);
}

static int refuse(lua_State *L, const char *code, const char *words)
{
    lua_createtable(L, 2, 1);
    return failure_push_with(L, code, words, FIELDS);
}

/* --- what is asked for -------------------------------------------------------------------------------------------- */

/* Positions on the stack of the call; each list holds strings only. */
enum { OPTIONS = 1, ARGUMENTS, ENVIRONMENT, TOP = ENVIRONMENT };

/* Pushes a list of the arguments as strings. */
static void read_arguments(lua_State *L)
{
    int count = (int)lua_objlen(L, OPTIONS);
    if (count < 1)
        script_error_words(L, "exec: expected a program's name at position 1");
    if (count > ARGUMENTS_MOST)
        script_error_words(L, "exec: expected at most %d arguments, got %d", ARGUMENTS_MOST, count);
    lua_createtable(L, count, 0);
    for (int i = 1; i <= count; i++) {
        lua_rawgeti(L, OPTIONS, i);
        if (table_text(L, -1).at == NULL)
            script_error_words(L, "exec: argument %d: expected a string or a number, got %s", i, luaL_typename(L, -1));
        lua_rawseti(L, ARGUMENTS, i);
    }
}

/* The key at -2 as a variable's name; false: no NUL in it, please. Raises on what can be no name. */
static void check_name(lua_State *L)
{
    size_t len;
    if (lua_type(L, -2) != LUA_TSTRING)
        script_error_words(L, "exec: env: expected names with values, got a %s as a name", luaL_typename(L, -2));
    const char *name = lua_tolstring(L, -2, &len);
    if (len == 0 || memchr(name, '=', len) != NULL)
        script_error_words(L, "exec: env: \"%s\" can be no variable's name", name);
}

/* Pushes a list of NAME=value. */
static void read_environment(lua_State *L)
{
    int count = 0;
    struct error err;
    lua_createtable(L, 4, 0);
    lua_pushliteral(L, "env");
    lua_rawget(L, OPTIONS);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        return;
    }
    if (!lua_istable(L, -1))
        script_error_words(L, "exec: env: expected a table of names and values, got %s", luaL_typename(L, -1));
    if (!table_is_plain(L, -1, &err))
        script_error_words(L, "exec: env: %s", err.text);
    for (lua_pushnil(L); lua_next(L, -2) != 0;) {
        check_name(L);
        if (table_text(L, -1).at == NULL)
            script_error_words(L, "exec: env: %s: expected a string or a number, got %s", lua_tostring(L, -2),
                               luaL_typename(L, -1));
        lua_pushvalue(L, -2);
        lua_pushliteral(L, "=");
        lua_pushvalue(L, -3);
        lua_concat(L, 3);
        lua_rawseti(L, ENVIRONMENT, ++count);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static void read_options(lua_State *L, struct exec_ask *ask, struct slice *cwd_out)
{
    static const char *const known[] = {"cwd", "env", "stdin", "timeout", "max_output", NULL};
    struct table_reader t;
    *ask = (struct exec_ask){.timeout = TIMEOUT_DEFAULT, .max_output = OUTPUT_DEFAULT};
    table_begin(&t, L, OPTIONS, "exec", known, true);
    table_string(&t, "cwd", cwd_out);
    table_string(&t, "stdin", &ask->input);
    table_duration(&t, "timeout", &ask->timeout);
    table_size(&t, "max_output", &ask->max_output);
    if (ask->timeout.ns <= 0 || ask->timeout.ns > TIMEOUT_MOST.ns)
        table_fault(&t, "timeout", "expected more than 0 and at most 24h");
    if (ask->max_output > OUTPUT_MOST)
        table_fault(&t, "max_output", "expected at most 64MiB");
}

/* --- the call ----------------------------------------------------------------------------------------------------- */

/* Never the value of a variable: it may be a secret. */
static void blame_nul(struct slice one, int list, int at, struct error *err)
{
    struct slice name = {one.at, strcspn(one.at, "=")};
    if (list == ARGUMENTS)
        error_set(err, "exec: argument %d: it holds a NUL byte, which no program can be given", at);
    else
        error_set(err, "exec: env: %.*s%s: it holds a NUL byte, which no program can be given", SLICE_SHOWN(name, 60));
}

/* The bytes of a list's strings, packed. */
static size_t packed_size(lua_State *L, int list)
{
    size_t size = 0, count = lua_objlen(L, list);
    for (size_t i = 1; i <= count; i++) {
        lua_rawgeti(L, list, (int)i);
        size += sizeof(uint32_t) + lua_objlen(L, -1);
        lua_pop(L, 1);
    }
    return size;
}

/* The strings of a list. False: one has a NUL. */
static bool pack(lua_State *L, int list, struct buf *strings, struct error *err)
{
    int count = (int)lua_objlen(L, list);
    for (int i = 1; i <= count; i++) {
        struct slice one;
        lua_rawgeti(L, list, i);
        one.at = lua_tolstring(L, -1, &one.len); /* a string: nothing is made, nothing raised */
        lua_pop(L, 1);
        if (slice_find(one, '\0') != SIZE_MAX) {
            blame_nul(one, list, i, err);
            return false;
        }
        buf_add_string(strings, one);
    }
    return true;
}

/* 0, or -1 with a code and words. Raises nothing. */
static int ask_for(lua_State *L, struct exec_ask *ask, struct slice cwd, struct exec_call *c, const char **code_out,
                   struct error *err)
{
    struct exec *exec = state_host(state_of(L))->exec;
    struct buf arguments = {0}, environment = {0};
    /* Before they are packed: a list may name one long string many times. */
    if (packed_size(L, ARGUMENTS) + packed_size(L, ENVIRONMENT) > EXEC_ARGUMENTS_MAX) {
        *code_out = "too_long";
        return error_set(err, "exec: arguments and environment are longer than the system takes");
    }
    char *path = cwd.at != NULL ? slice_dup(cwd) : NULL;
    *code_out = "bad_argument";
    if (pack(L, ARGUMENTS, &arguments, err) && pack(L, ENVIRONMENT, &environment, err)) {
        ask->arguments = buf_slice(&arguments);
        ask->environment = buf_slice(&environment);
        ask->cwd = path;
        if (slice_find(cwd, '\0') != SIZE_MAX)
            error_set(err, "exec: cwd: it holds a NUL byte");
        else if (buf_take_string(&(struct slice){arguments.at, arguments.len}, &(bool){false}).len == 0)
            error_set(err, "exec: the program's name is empty");
        else
            c->program = exec_start(exec, ask, done, c, code_out, err);
    }
    buf_free(&arguments);
    buf_free(&environment);
    free(path);
    return c->program != NULL ? 0 : -1;
}

static int bind_exec(lua_State *L)
{
    struct exec_ask ask;
    struct slice cwd = SLICE_NONE;
    const char *code;
    struct error err;
    if (lua_gettop(L) != 1)
        script_error_words(L, "exec: expected one table: exec { \"program\", \"argument\", … }");
    read_options(L, &ask, &cwd);
    read_arguments(L);
    read_environment(L);
    await_check(L, "exec");
    luaL_checkstack(L, 8, "exec");
    if (state_host(state_of(L))->exec == NULL)
        return refuse(L, "not_allowed", "exec: the setting exec allows no program");
    struct exec_call *c = need_zero(1, sizeof(*c));
    if (ask_for(L, &ask, cwd, c, &code, &err) == 0)
        return await_begin(L, &c->await, cancel);
    free(c);
    return refuse(L, code, err.text);
}

void bind_exec_open(lua_State *L)
{
    lua_pushcfunction(L, bind_exec);
}
