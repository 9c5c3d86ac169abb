/*
 * bind_verify_run.c: evaluation of verifiers that hold Lua functions: lua/crescent/verify.lua is its course, here are
 * the steps. Owns: nothing. Runs in: a task, or a script's call. Fails: by refusing; misuse is a Lua error.
 */
#include "bind/bind_verify_run.h"
#include "base/log.h"
#include "base/panic.h"
#include "bind/bind_verify.h"
#include "policy/scheme.h"
#include "script/embedded.h"
#include "script/state.h"
#include "script/table.h"
#include "shm/counters.h"
#include <lauxlib.h>

/* A node: an object, or a child of one (which lives as long). Scripts never hold the functions that read this. */
static const struct verifier *node_at(lua_State *L, int index)
{
    if (lua_type(L, index) == LUA_TLIGHTUSERDATA)
        return lua_touserdata(L, index);
    const struct verifier *v = bind_verify_read(L, index);
    if (v == NULL)
        luaL_argerror(L, index, "not a verifier");
    return v;
}

static int step_kind(lua_State *L)
{
    static const char *const names[] = {[VERIFY_LEAF] = "leaf",
                                        [VERIFY_FUNCTION] = "function",
                                        [VERIFY_SECRETS] = "secrets",
                                        [VERIFY_ALL] = "all",
                                        [VERIFY_ANY] = "any"};
    lua_pushstring(L, names[verify_kind(node_at(L, 1))]);
    return 1;
}

static int step_child(lua_State *L)
{
    const struct verifier *child = verify_child(node_at(L, 1), (size_t)lua_tointeger(L, 2));
    if (child == NULL)
        return 0;
    lua_pushlightuserdata(L, (void *)child);
    return 1;
}

static int step_script_function(lua_State *L)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, verify_ref(node_at(L, 1)));
    return 1;
}

/* A raised text gets its traceback; what else was raised stays as it is. */
static int step_traceback(lua_State *L)
{
    if (lua_type(L, 1) == LUA_TSTRING)
        luaL_traceback(L, L, lua_tostring(L, 1), 1);
    else
        lua_settop(L, 1);
    return 1;
}

/* true, what was found. The object is seen by verify.lua only. */
static int push_pass(lua_State *L, const struct verify_auth *auth)
{
    lua_pushboolean(L, true);
    *(struct verify_auth *)lua_newuserdata(L, sizeof *auth) = *auth;
    return 2;
}

static int push_refusal(lua_State *L, enum reason why)
{
    lua_pushboolean(L, false);
    lua_pushstring(L, policy_reason_name(why));
    return 2;
}

/* (node, req): as push_pass, as push_refusal, or nothing when it depends on a function. */
static int step_check(lua_State *L)
{
    struct verify_auth auth;
    enum reason why;
    const struct verifier *v = node_at(L, 1);
    switch (verify_check(v, bind_req_check(L, 2)->http, wall_now(), &auth, &why)) {
    case VERDICT_PASS:
        return push_pass(L, &auth);
    case VERDICT_REFUSE:
        return push_refusal(L, why);
    case VERDICT_LUA:
        return 0;
    }
    PANIC("verify: no such verdict");
}

static void log_request(lua_State *L, enum log_level level, const char *message, const struct bind_req *r,
                        const char *field, struct slice text)
{
    char id[UUID_TEXT];
    uuid_text(&r->http->id, id);
    log_at(level, message, LOG_SLICE("request_id", ((struct slice){id, UUID_TEXT})), LOG_SLICE(field, text));
}

static int failed(lua_State *L, const struct bind_req *r, struct slice words)
{
    struct counters *counters = state_host(state_of(L))->counters;
    if (counters != NULL)
        counters_add(counters, COUNTER_script_errors, 1);
    log_request(L, LOG_ERROR, "a verifier raised an error", r, "error", words);
    return 0;
}

/* (req, text with traceback) */
static int step_log_failed(lua_State *L)
{
    struct slice words;
    words.at = luaL_checklstring(L, 2, &words.len);
    return failed(L, bind_req_check(L, 1), words);
}

/* (req, the function's second value): the script's own reason. */
static int step_log_refused(lua_State *L)
{
    struct bind_req *r = bind_req_check(L, 1);
    struct slice words = SLICE("none given");
    if (lua_type(L, 2) == LUA_TSTRING)
        words.at = lua_tolstring(L, 2, &words.len);
    log_request(L, LOG_INFO, "a verifier function refused", r, "script_reason", words);
    return 0;
}

/* The strings of the value at `index` (a string, or a list); -1 when it is neither. They stay anchored by it. */
static int read_secrets(lua_State *L, int index, struct slice secrets_out[SCHEME_SECRETS_MAX], size_t *count_out)
{
    int kind = lua_type(L, index);
    size_t length = kind == LUA_TSTRING;
    struct error unsaid;
    *count_out = 0;
    if (kind == LUA_TTABLE && !table_is_list(L, index, &length, &unsaid))
        return -1;
    if ((kind != LUA_TTABLE && kind != LUA_TSTRING && kind != LUA_TNIL && kind != LUA_TNONE) ||
        length > SCHEME_SECRETS_MAX)
        return -1;
    for (size_t i = 0; i < length; i++) {
        if (kind == LUA_TTABLE)
            lua_rawgeti(L, index, (int)i + 1);
        else
            lua_pushvalue(L, index);
        struct slice *secret = &secrets_out[*count_out];
        bool text = lua_type(L, -1) == LUA_TSTRING;
        if (text)
            secret->at = lua_tolstring(L, -1, &secret->len);
        lua_pop(L, 1);
        if (!text)
            return -1;
        *count_out += secret->len > 0;
    }
    return 0;
}

/* (node, req, what the secret function returned) */
static int step_check_secrets(lua_State *L)
{
    struct slice secrets[SCHEME_SECRETS_MAX];
    size_t count;
    struct error err;
    struct verify_auth auth;
    enum reason why;
    const struct verifier *v = node_at(L, 1);
    struct bind_req *r = bind_req_check(L, 2);
    if (read_secrets(L, 3, secrets, &count) < 0) {
        failed(L, r, SLICE("the secret function must return a string, a list of strings, or nil"));
        return push_refusal(L, REASON_verifier_failed);
    }
    if (verify_check_secrets(v, r->http, wall_now(), secrets, count, &auth, &why, &err) < 0) {
        error_prefix(&err, "the secret that the secret function returned");
        failed(L, r, slice_of(err.text));
        return push_refusal(L, REASON_verifier_failed);
    }
    return why == REASON_none ? push_pass(L, &auth) : push_refusal(L, why);
}

/* What a function that passed has found: only that it was asked. */
static int step_found(lua_State *L)
{
    struct verify_auth auth = {.by = slice_of(verify_describe(node_at(L, 1)))};
    push_pass(L, &auth);
    return 1;
}

static int step_prefer(lua_State *L)
{
    lua_pushvalue(L, verify_prefer(lua_touserdata(L, 1), lua_touserdata(L, 2)) == lua_touserdata(L, 1) ? 1 : 2);
    return 1;
}

/* A reason's number; REASON_none when the name is none. */
static enum reason reason_named(const char *name)
{
    for (int r = 0; name != NULL && r < REASON_COUNT; r++)
        if (strcmp(name, policy_reason_name((enum reason)r)) == 0)
            return (enum reason)r;
    return REASON_none;
}

static int step_further(lua_State *L)
{
    enum reason a = reason_named(lua_tostring(L, 1)), b = reason_named(lua_tostring(L, 2));
    lua_pushstring(L, policy_reason_name(verify_further(a, b)));
    return 1;
}

/* (req, what was found): for req.auth. Its slices are the endpoint's verifier's. */
static int step_keep(lua_State *L)
{
    struct bind_req *r = bind_req_check(L, 1);
    if (r->auth != NULL)
        *r->auth = *(const struct verify_auth *)lua_touserdata(L, 2);
    return 0;
}

enum verdict bind_verify_result(lua_State *co, int count, enum reason *reason_out)
{
    *reason_out = REASON_none;
    if (count >= 1 && lua_type(co, 1) == LUA_TBOOLEAN && lua_toboolean(co, 1))
        return VERDICT_PASS;
    if (count >= 2 && lua_type(co, 2) == LUA_TSTRING)
        *reason_out = reason_named(lua_tostring(co, 2));
    if (*reason_out == REASON_none)
        *reason_out = REASON_verifier_failed;
    return VERDICT_REFUSE;
}

static const luaL_Reg steps[] = {{"kind", step_kind},
                                 {"child", step_child},
                                 {"script_function", step_script_function},
                                 {"traceback", step_traceback},
                                 {"check", step_check},
                                 {"check_secrets", step_check_secrets},
                                 {"log_failed", step_log_failed},
                                 {"log_refused", step_log_refused},
                                 {"found", step_found},
                                 {"prefer", step_prefer},
                                 {"further", step_further},
                                 {"keep", step_keep},
                                 {NULL, NULL}};

void bind_verify_run_open(lua_State *L)
{
    script_embedded_load(L, "verify");
    lua_newtable(L);
    luaL_setfuncs(L, steps, 0);
    lua_call(L, 1, 1);
}
