/*
 * Promise: what scripts write as `verify` becomes the verifier they mean, or an error in words at load; trees with
 * functions are evaluated in a task, may wait, and fail closed.
 * Expectations: GitHub's documented vector.
 */
#include "bind/bind_verify.h"
#include "io/loop.h"
#include "script/await.h"
#include "script/state.h"
#include "script/task.h"

#include <lauxlib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define GITHUB_HEX "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
#define GITHUB "verify.github { secret = \"It's a Secret to Everybody\" }"

/* A request to the endpoint, and how its verification ended. */
struct fixture {
    struct script_host host;
    struct state *state;
    lua_State *L;
    struct http_request http;
    struct http_header headers[4];
    struct router_match match;
    struct verify_auth auth;
    struct bind_req req;
    struct await waiting; /* of the global `wait` */
    bool ended;
    enum task_end end;
    enum verdict verdict;
    enum reason reason;
};

static void cancel_wait(struct await *a)
{
    a->task = NULL;
}

/* wait(): suspends until the test goes on. Upvalue 1 is the fixture. */
static int wait_call(lua_State *L)
{
    struct fixture *f = lua_touserdata(L, lua_upvalueindex(1));
    await_check(L, "wait");
    return await_begin(L, &f->waiting, cancel_wait);
}

static int push_nothing(lua_State *co, void *cookie)
{
    return 0;
}

static void open_globals(lua_State *L)
{
    bind_verify_open(L);
    lua_setfield(L, -2, "verify");
    bind_req_register(L);
}

static int setup(void **slot)
{
    static struct fixture f;
    struct error err = {""};
    f = (struct fixture){.host = {.memory = 64 << 20, .sandbox = true, .loop = loop_new()}};
    f.state = state_new(&f.host, open_globals, &err);
    assert_string_equal(err.text, "");
    f.L = state_lua(f.state);
    f.http = (struct http_request){.method = SLICE("POST"), .path = SLICE("/x"), .raw_path = SLICE("/x")};
    f.http.body = SLICE("Hello, World!");
    f.http.headers = f.headers;
    f.http.header_count = 1;
    f.headers[0] = (struct http_header){SLICE("x-hub-signature-256"), SLICE("sha256=" GITHUB_HEX)};
    f.req = (struct bind_req){.http = &f.http, .match = &f.match, .auth = &f.auth};
    /* scripts of this test run in Lua's own globals */
    bind_verify_open(f.L);
    lua_setglobal(f.L, "verify");
    lua_pushlightuserdata(f.L, &f);
    lua_pushcclosure(f.L, wait_call, 1);
    lua_setglobal(f.L, "wait");
    *slot = &f;
    return 0;
}

static int teardown(void **slot)
{
    struct fixture *f = *slot;
    bind_req_end(&f->req);
    state_free(&f->state);
    loop_free(&f->host.loop);
    return 0;
}

/* Runs `return (<expression>)` (no tail call: errors have a line); what it raised, or NULL and its value at the top. */
static const char *run(struct fixture *f, const char *expression)
{
    char text[1000];
    lua_settop(f->L, 0);
    snprintf(text, sizeof text, "return (%s)", expression);
    assert_int_equal(luaL_loadbuffer(f->L, text, strlen(text), "=script"), 0);
    return lua_pcall(f->L, 0, 1, 0) == 0 ? NULL : lua_tostring(f->L, -1);
}

static struct verifier *make(struct fixture *f, const char *expression)
{
    struct error err = {""};
    const char *raised = run(f, expression);
    if (raised != NULL)
        fail_msg("%s", raised);
    struct verifier *v = bind_verify_make(f->L, -1, &err);
    if (v == NULL)
        fail_msg("%s", err.text);
    lua_settop(f->L, 0);
    return v;
}

static void describes(struct fixture *f, const char *expression, const char *words)
{
    struct verifier *v = make(f, expression);
    assert_string_equal(verify_describe(v), words);
    verify_release(&v);
}

static void done(enum task_end end, lua_State *co, int count, void *cookie)
{
    struct fixture *f = cookie;
    f->ended = true;
    f->end = end;
    if (end == TASK_RETURNED)
        f->verdict = bind_verify_result(co, count, &f->reason);
}

static struct task *evaluate(struct fixture *f, struct verifier *v)
{
    f->ended = false;
    f->auth = (struct verify_auth){0};
    int nargs = bind_verify_push_task(f->L, v, &f->req);
    return task_start(f->state, nargs, "test", 1, DUR_S(1), done, f);
}

/* "pass BY", the reason's name, or "raised". */
static const char *outcome(struct fixture *f)
{
    static char text[64];
    assert_true(f->ended);
    if (f->end == TASK_FAILED)
        return "raised";
    if (f->verdict == VERDICT_REFUSE)
        return policy_reason_name(f->reason);
    snprintf(text, sizeof text, "pass %.*s", SLICE_ARG(f->auth.by));
    return text;
}

static const char *verdict(struct fixture *f, const char *expression)
{
    struct verifier *v = make(f, expression);
    assert_null(evaluate(f, v));
    const char *text = outcome(f);
    verify_release(&v);
    lua_gc(f->L, LUA_GCCOLLECT, 0);
    return text;
}

static void values_become_verifiers(void **slot)
{
    struct fixture *f = *slot;
    describes(f, GITHUB, "github");
    describes(f, "verify.stripe { secret = 'whsec_x' }", "stripe");
    describes(f, "verify.standard { secret = { 'whsec_AAAA', 'whsec_BBBB' }, tolerance = '1m' }", "standard");
    describes(f, "verify.hmac { secret = 's', header = 'x-signature' }", "hmac");
    describes(f, "verify.api_key { query = 'key', keys = { 'a', 'b' } }", "api_key");
    describes(f, "verify.basic { users = { alice = 'p' }, realm = 'here' }", "basic");
    describes(f, "verify.bearer { tokens = { ci = 't' } }", "bearer");
    describes(f, "function() return true end", "function");
    describes(f, "{ " GITHUB ", function() end }", "all(github, function)");
    describes(f, "{ " GITHUB " }", "github");
    describes(f, "verify.any { " GITHUB ", { verify.bearer { tokens = { 't' } }, function() end } }",
              "any(github, all(bearer, function))");
    describes(f, "verify.all { " GITHUB ", " GITHUB " }", "all(github, github)");
}

static void the_providers_data_says_more_than_the_signature(void **slot)
{
    struct fixture *f = *slot;
    struct verifier *v = make(f, GITHUB);
    assert_string_equal(verify_event_type(v), "header:x-github-event");
    assert_string_equal(verify_delivery(v), "header:x-github-delivery");
    assert_int_equal(verify_max_body(v), 25 << 20);
    assert_int_equal(verify_ack_status(v), 0);
    verify_release(&v);
}

static void mistakes_are_errors_that_name_them(void **slot)
{
    struct fixture *f = *slot;
    static const struct {
        const char *expression, *words;
    } cases[] = {
        {"verify.slack {}", "verify.slack: not in this version; known: all, any, api_key, basic, bearer, github, hmac, "
                            "mtls, standard, stripe"},
        {"verify.githb {}", "verify.githb: not in this version (did you mean verify.github?)"},
        {"verify.jwt {}", "verify.jwt: not in this version"},
        {"verify.github { secret = nil }", "verify.github: secret is nil"},
        {"verify.github { secret = '' }", "verify.github: secret is empty"},
        {"verify.github { secret = {} }", "verify.github: secret is an empty list"},
        {"verify.github { secret = { 'a', nil, 'b' } }", "verify.github: secret[2] is nil"},
        {"verify.github { secret = { 'a', [1.5] = 'b' } }", "verify.github: secret: 1.5 is no position of a list"},
        {"verify.github { secret = { 'a', old = 'b' } }", "verify.github: secret: 'old' is no position of a list"},
        {"verify.github { secret = { 'a', [true] = 'b' } }", "verify.github: secret: a boolean is no position"},
        {"verify.github { secret = { 'a', [17] = 'b' } }", "a list of at most 16"},
        {"verify.github { secret = 1 }", "verify.github: secret must be a string, a list, or a function"},
        {"verify.github { secrt = 'x' }", "secrt"},
        {"verify.github { secret = 'x', tolerance = 5 }", "there is no timestamp"},
        {"verify.stripe { secret = 'x', tolerance = 0 }", "must be above zero"},
        {"verify.github { secret = 'handshake' }", "secret = \"handshake\" is not in this version"},
        {"verify.github { secret = { 'a', 'handshake' } }", "secret = \"handshake\" is not in this version"},
        {"verify.hmac { secret = 'x', header = 'x y' }", "header: not the name of a header"},
        {"verify.hmac { secret = 'x', header = 'x-sig:' }", "header: not the name of a header"},
        {"verify.api_key { header = 'x y', keys = { 'a' } }", "header: not the name of a header"},
        {"verify.any { verify.github }", "a function that verify gives: call it with its options"},
        {"verify.standard { secret = 'whsec_not base64' }", "verify.standard: secret: is not base64 after 'whsec_'"},
        {"verify.standard { secret = { 'whsec_AAAA', 'whsec_!' } }", "verify.standard: secret[2]: is not base64"},
        {"verify.hmac { secret = 'x' }", "header"},
        {"verify.hmac { secret = 'x', header = 'h', algorithm = 'sha3' }", "'sha3' is not one of"},
        {"verify.hmac { secret = 'x', header = 'h', encoding = 'hexx' }", "'hexx' is not one of"},
        {"verify.hmac { secret = 'x', header = 'h', payload = '{boddy}' }", "'boddy' is no place"},
        {"verify.hmac { secret = 'x', header = 'h', timestamp = 'header:t' }", "is not in payload"},
        {"verify.api_key { keys = { 'a' } }", "give header or query"},
        {"verify.api_key { header = 'h', query = 'q', keys = { 'a' } }", "give header or query"},
        {"verify.api_key { header = 'h' }", "keys must be a table, not nil"},
        {"verify.api_key { header = 'h', keys = { alice = nil } }", "keys is empty"},
        {"verify.api_key { header = 'h', keys = { alice = '' } }", "keys.alice is empty"},
        {"verify.api_key { header = 'h', keys = { nil, 'b' } }", "keys is a list with a nil in it"},
        {"verify.api_key { header = 'h', keys = { 'a', bob = 'b' } }", "a list, or a map, not both"},
        {"verify.api_key { header = 'h', keys = { 'a', 'b', [1.5] = 'c' } }", "keys: 1.5 is no position of a list"},
        {"verify.bearer { tokens = { 'a', nil, 'b', [2.5] = 'c' } }", "tokens: 2.5 is no position of a list"},
        {"verify.api_key { header = 'h', keys = { bob = 'sha256:12' } }", "keys.bob: is not 'sha256:' and 64 hex"},
        {"verify.basic { users = { 'p' } }", "users must be { NAME = \"password\" }"},
        {"verify.basic { users = { ['a:b'] = 'p' } }", "cannot hold ':'"},
        {"verify.bearer { token = { 'p' } }", "token"},
        {"verify.mtls {}", "give subject, san or fingerprint (is the env variable behind it set?)"},
        {"verify.mtls { san = nil }", "give subject, san or fingerprint"},
        {"verify.mtls { any = false }", "give subject, san or fingerprint"},
        {"verify.mtls { any = true, san = 'DNS:a' }", "leave it out"},
        {"verify.mtls { sans = 'DNS:a' }", "unknown option 'sans' (did you mean 'san'?)"},
        {"verify.mtls { san = 7 }", "san must be a string or a list of strings, not a number"},
        {"verify.mtls { san = '' }", "san is empty (is the env variable behind it set?)"},
        {"verify.mtls { san = {} }", "san is an empty list"},
        {"verify.mtls { san = { nil, 'DNS:a' } }", "san is a list with a nil in it"},
        {"verify.mtls { san = { 'DNS:a', x = 'DNS:b' } }", "san must be a list of strings"},
        {"verify.mtls { san = { 'DNS:a', 'b' } }", "san: \"b\": a name begins with one of DNS:, IP:, URI: and email:"},
        {"verify.mtls { subject = '/CN=a' }", "subject: \"/CN=a\": expected a subject like"},
        {"verify.mtls { fingerprint = 'AB:CD' }", "expected \"sha256:\" and 64 hex digits"},
        {"verify.any {}", "an empty list"},
        {"verify.any { 'none' }", "'none' cannot stand in a list"},
        {"verify.any { secret = 'x' }", "has no 'secret'"},
        {"verify.any { function() end, [1.5] = 1 }", "1.5 is no position of a list"},
        {"verify.any { nil, function() end }", "position 1 of the list is nil"},
        {"verify.all { 7 }", "expected a verifier"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *raised = run(f, cases[i].expression);
        if (raised == NULL)
            fail_msg("nothing raised by %s", cases[i].expression);
        else if (strstr(raised, cases[i].words) == NULL || strstr(raised, "script:1:") != raised)
            fail_msg("%s raised: %s", cases[i].expression, raised);
    }
}

static void a_separator_in_a_providers_data_is_one_of_three(void **slot)
{
    struct fixture *f = *slot;
    static const struct slice bad[] = {SLICE("\0"), SLICE(""), SLICE("|"), SLICE(", ")};
    assert_null(run(f, "verify.github { secret = 'x' }"));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_null(run(f, "verify.github"));
        assert_non_null(lua_getupvalue(f->L, -1, 3)); /* its data */
        lua_getfield(f->L, -1, "signature");
        lua_pushlstring(f->L, bad[i].at, bad[i].len);
        lua_setfield(f->L, -2, "list");
        const char *raised = run(f, "verify.github { secret = 'x' }");
        if (raised == NULL)
            fail_msg("\"%.*s\" passes", SLICE_ARG(bad[i]));
        else if (strstr(raised, "verify.github: list: must be one of \" \", \",\", \";\"") == NULL)
            fail_msg("\"%.*s\" raised: %s", SLICE_ARG(bad[i]), raised);
    }
}

static void what_is_no_verifier_is_said_without_raising(void **slot)
{
    struct fixture *f = *slot;
    struct error err;
    lua_pushinteger(f->L, 7);
    assert_null(bind_verify_make(f->L, -1, &err));
    assert_string_equal(err.text, "verify: expected a verifier, a function, or a list of these, not a number");
    assert_int_equal(lua_gettop(f->L), 1);
    assert_null(run(f, "setmetatable({}, { __index = verify })"));
    assert_null(bind_verify_make(f->L, -1, &err));
    assert_null(run(f, "(function() local t = {} t[1] = t return t end)()"));
    assert_null(bind_verify_make(f->L, -1, &err));
    assert_non_null(strstr(err.text, "lists within lists"));
}

static void missing_secrets_refuse_where_they_may_be_missing(void **slot)
{
    struct fixture *f = *slot;
    bind_verify_no_secrets(f->L, true);
    assert_string_equal(verdict(f, "verify.github {}"), "no_secret");
    assert_string_equal(verdict(f, "verify.github { secret = '' }"), "no_secret");
    assert_string_equal(verdict(f, "verify.api_key { header = 'x', keys = {} }"), "no_secret");
    assert_string_equal(verdict(f, "verify.basic { }"), "no_secret");
    assert_non_null(run(f, "verify.standard { secret = 'whsec_!' }"));
    bind_verify_no_secrets(f->L, false);
    assert_non_null(run(f, "verify.github {}"));
}

static void functions_pass_by_exactly_true(void **slot)
{
    struct fixture *f = *slot;
    assert_string_equal(verdict(f, "function(req) return req.body == 'Hello, World!' end"), "pass function");
    assert_string_equal(verdict(f, "function() return 1 end"), "verifier_refused");
    assert_string_equal(verdict(f, "function() return 'true' end"), "verifier_refused");
    assert_string_equal(verdict(f, "function() return nil, 'not today' end"), "verifier_refused");
    assert_string_equal(verdict(f, "function() end"), "verifier_refused");
    assert_string_equal(verdict(f, "function() error('oh') end"), "verifier_failed");
    assert_string_equal(verdict(f, "function() local x = nil; return x.y end"), "verifier_failed");
    assert_string_equal(verdict(f, "function() error { status = 403, detail = 'no' } end"), "raised");
}

static void trees_with_functions(void **slot)
{
    struct fixture *f = *slot;
    assert_string_equal(verdict(f, "{ " GITHUB ", function() return true end }"), "pass github");
    assert_string_equal(verdict(f, "{ function() return true end, " GITHUB " }"), "pass github");
    assert_string_equal(verdict(f, "{ " GITHUB ", function() return false end }"), "verifier_refused");
    assert_string_equal(verdict(f, "verify.any { function() return false end, " GITHUB " }"), "pass github");
    assert_string_equal(verdict(f, "verify.any { function() return false end, verify.bearer { tokens = { 't' } } }"),
                        "verifier_refused");
    assert_string_equal(verdict(f, "verify.any { function() error('x') end, verify.bearer { tokens = { 't' } } }"),
                        "verifier_failed");
}

/* A function that would be asked first fails the test by raising. */
static void what_c_refuses_reaches_no_function(void **slot)
{
    struct fixture *f = *slot;
    assert_string_equal(verdict(f, "{ function() error('asked') end, verify.github { secret = 'other' } }"),
                        "bad_signature");
    assert_string_equal(verdict(f, "verify.any { function() error('asked') end, " GITHUB " }"), "pass github");
    assert_string_equal(verdict(f, "verify.hmac { header = 'x-none', secret = function() error('asked') end }"),
                        "missing_header");
}

static void secrets_by_function(void **slot)
{
    struct fixture *f = *slot;
#define BY(body) "verify.github { secret = function(params, headers, query) " body " end }"
    assert_string_equal(verdict(f, BY("return \"It's a Secret to Everybody\"")), "pass github");
    assert_int_equal(f->auth.index, 1);
    assert_string_equal(verdict(f, BY("return { 'old', \"It's a Secret to Everybody\" }")), "pass github");
    assert_int_equal(f->auth.index, 2);
    assert_string_equal(verdict(f, BY("return 'other'")), "bad_signature");
    assert_string_equal(verdict(f, BY("return nil")), "no_secret");
    assert_string_equal(verdict(f, BY("return ''")), "no_secret");
    assert_string_equal(verdict(f, BY("return 7")), "verifier_failed");
    assert_string_equal(verdict(f, BY("return { 7 }")), "verifier_failed");
    assert_string_equal(verdict(f, BY("error 'x'")), "verifier_failed");
    assert_string_equal(verdict(f, BY("return headers['x-hub-signature-256'] and \"It's a Secret to Everybody\"")),
                        "pass github");
}

static void a_function_may_wait(void **slot)
{
    struct fixture *f = *slot;
    struct verifier *v = make(f, "{ " GITHUB ", verify.any { function() wait() return false end, function(req) wait() "
                                 "return req.method == 'POST' end } }");
    struct task *task = evaluate(f, v);
    verify_release(&v); /* the task holds it */
    lua_gc(f->L, LUA_GCCOLLECT, 0);
    assert_non_null(task);
    await_complete(&f->waiting, push_nothing, NULL);
    assert_false(f->ended);
    lua_gc(f->L, LUA_GCCOLLECT, 0);
    await_complete(&f->waiting, push_nothing, NULL);
    assert_string_equal(outcome(f), "pass github");
}

static void scripts_can_call_one(void **slot)
{
    struct fixture *f = *slot;
    static const struct {
        const char *expression, *words;
    } cases[] = {
        {"tostring(" GITHUB ")", "verifier: github"},
        {"tostring((" GITHUB ")(req))", "true"},
        {"select(2, verify.github { secret = 'other' }(req))", "bad_signature"},
        {"tostring(verify.github { secret = 'other' }(req))", "false"},
        {"select(2, verify.all { function() asked = true return true end, verify.github { secret = 'x' } }(req)) .. "
         "tostring(asked)",
         "bad_signaturenil"},
        {"tostring(getmetatable(" GITHUB "))", "false"},
        {"tostring(pcall(function() verify.github = nil end))", "false"},
        {"tostring(pcall(" GITHUB ", {}))", "false"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bind_req_push(f->L, &f->req);
        lua_setglobal(f->L, "req");
        const char *raised = run(f, cases[i].expression);
        if (raised != NULL)
            fail_msg("%s", raised);
        assert_string_equal(lua_tostring(f->L, -1), cases[i].words);
        assert_null(f->auth.by.at); /* a script's own call says nothing of the endpoint */
    }
}

static void results_that_are_none_refuse(void **slot)
{
    struct fixture *f = *slot;
    enum reason why;
    lua_settop(f->L, 0);
    assert_int_equal(bind_verify_result(f->L, 0, &why), VERDICT_REFUSE);
    assert_int_equal(why, REASON_verifier_failed);
    lua_pushinteger(f->L, 1);
    assert_int_equal(bind_verify_result(f->L, 1, &why), VERDICT_REFUSE);
    lua_settop(f->L, 0);
    lua_pushboolean(f->L, false);
    lua_pushstring(f->L, "none");
    assert_int_equal(bind_verify_result(f->L, 2, &why), VERDICT_REFUSE);
    assert_int_equal(why, REASON_verifier_failed);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(values_become_verifiers),
        TEST(the_providers_data_says_more_than_the_signature),
        TEST(mistakes_are_errors_that_name_them),
        TEST(a_separator_in_a_providers_data_is_one_of_three),
        TEST(what_is_no_verifier_is_said_without_raising),
        TEST(missing_secrets_refuse_where_they_may_be_missing),
        TEST(functions_pass_by_exactly_true),
        TEST(trees_with_functions),
        TEST(what_c_refuses_reaches_no_function),
        TEST(secrets_by_function),
        TEST(a_function_may_wait),
        TEST(scripts_can_call_one),
        TEST(results_that_are_none_refuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
