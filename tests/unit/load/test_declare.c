/*
 * test_declare.c: promises of loading: every fault of a script is told, each with file, line and field; nothing unknown
 * is ignored; defaults are the design's; modules are shared by version and counted; env is read-only.
 */
#include "bind/bind_verify.h"
#include "load/load.h"
#include "policy/cors.h"
#include "policy/ips.h"
#include "policy/ratelimit.h"
#include "policy/verify.h"
#include <lauxlib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct bench {
    struct state *state;
    struct config config;
    struct load *load;
    struct snapshot snap;
    struct snapshot_env env;
    struct slice names[2], values[2];
    struct snapshot_script script;
    struct snapshot_module modules[4];
    struct buf errors;
};

static void open_globals(lua_State *L)
{
    bind_verify_open(L);
    lua_setfield(L, -2, "verify");
}

static int set_up(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    struct error err;
    static const struct script_host host = {.memory = 32 << 20, .sandbox = true};
    config_defaults(&b->config);
    b->config.hooks = strdup("/srv/hooks");
    b->state = state_new(&host, open_globals, &err);
    b->load = load_new(b->state, &b->config, false);
    b->names[0] = SLICE("SECRET");
    b->values[0] = SLICE("0123456789abcdef0123456789abcdef");
    b->env = (struct snapshot_env){.names = b->names, .values = b->values, .count = 1};
    b->snap = (struct snapshot){.envs = &b->env, .env_count = 1, .scripts = &b->script, .script_count = 1};
    b->snap.modules = b->modules;
    *state = b;
    return b->state != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    struct bench *b = *state;
    load_free(&b->load);
    state_free(&b->state);
    config_free(&b->config);
    buf_free(&b->errors);
    free(b);
    return 0;
}

static struct endpoint *load(struct bench *b, const char *file, const char *text)
{
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)strlen(file) - 4, file);
    b->script.name = slice_of(name);
    b->script.file = slice_of(file);
    b->script.text = slice_of(text);
    b->script.version = 7;
    buf_clear(&b->errors);
    return load_script(b->load, &b->snap, 0, &b->errors);
}

static void refuse(struct bench *b, const char *text, const char *errors)
{
    struct endpoint *e = load(b, "x.lua", text);
    assert_null(e);
    assert_string_equal(buf_text(&b->errors), errors);
}

static struct endpoint *accept(struct bench *b, const char *file, const char *text)
{
    struct endpoint *e = load(b, file, text);
    if (e == NULL)
        fail_msg("%s", buf_text(&b->errors));
    assert_int_equal(b->errors.len, 0);
    return e;
}

static void test_defaults(void **state)
{
    struct bench *b = *state;
    struct endpoint *e = accept(b, "billing/stripe.lua", "return function(req) end");
    assert_string_equal(e->name, "billing/stripe");
    assert_string_equal(e->routes[0].path, "/billing/stripe");
    assert_null(e->methods);
    assert_null(e->allow);
    assert_null(e->verify);
    assert_int_equal(e->max_body, 1 << 20);
    assert_int_equal(e->timeout.ns, 10000000000);
    assert_int_equal(e->max_run.ns, 250000000);
    assert_int_equal(e->version, 7);
    assert_non_null(endpoint_handler_for(e, "PATCH", 5));
    endpoint_release(&e);
    e = accept(b, "a.lua", "return { handle = function(req) end }");
    assert_string_equal(e->allow, "POST, OPTIONS");
    assert_null(endpoint_handler_for(e, "GET", 3));
    endpoint_release(&e);
    e = accept(b, "a.lua", "return { handle = { PUT = function() end, GET = function() end } }");
    assert_string_equal(e->allow, "GET, PUT, HEAD, OPTIONS");
    assert_int_not_equal(endpoint_handler_for(e, "GET", 3)->function, endpoint_handler_for(e, "PUT", 3)->function);
    endpoint_release(&e);
}

static void test_fields(void **state)
{
    struct bench *b = *state;
    struct endpoint *e = accept(b, "a.lua",
                                "return { handle = function() end, methods = { 'GET', 'OPTIONS' },\n"
                                "path = { '/x/:id', '/y/*rest' }, host = 'Hooks.Example.com', max_body = '2MiB',\n"
                                "timeout = 2.5, max_run = '40ms', on_disconnect = 'cancel', description = 'words',\n"
                                "event_type = '/type', events = { 'a', 'b.*' }, verify = 'none',\n"
                                "cors = { origins = { 'https://*.example.com', 'null' }, headers = 'x-key', max_age = "
                                "'10m' } }");
    assert_string_equal(e->allow, "GET, OPTIONS, HEAD");
    assert_true(e->options);
    assert_int_equal(e->route_count, 2);
    assert_string_equal(e->routes[1].path, "/y/*rest");
    assert_string_equal(e->routes[1].host, "hooks.example.com");
    assert_int_equal(e->max_body, 2 << 20);
    assert_int_equal(e->timeout.ns, 2500000000);
    assert_int_equal(e->max_run.ns, 40000000);
    assert_int_equal(e->on_disconnect, DISCONNECT_CANCEL);
    assert_string_equal(e->event_type, "/type");
    assert_int_equal(e->event_count, 2);
    struct buf json = {0}, again = {0};
    struct error err;
    load_describe(e, &json);
    struct endpoint *back = load_from_description(buf_slice(&json), &err);
    assert_non_null(back);
    assert_string_equal(back->routes[0].host, "hooks.example.com");
    assert_string_equal(back->events[1], "b.*");
    load_describe(back, &again);
    assert_string_equal(buf_text(&json), buf_text(&again));
    endpoint_release(&back);
    for (size_t len = 0; len < json.len; len++)
        assert_null(load_from_description((struct slice){json.at, len}, &err));
    buf_free(&json);
    buf_free(&again);
    endpoint_release(&e);
}

static void test_faults(void **state)
{
    struct bench *b = *state;
    refuse(
        b, "return {\n  verfy = 1,\n  dedupe = true,\n  handle = 5,\n  timeout = '1 year',\n}",
        "hooks/x.lua:2: unknown field 'verfy' (did you mean 'verify'?)\n"
        "hooks/x.lua:3: field 'dedupe' is not in this version of crescent\n"
        "hooks/x.lua:4: handle: expected a function, or { METHOD = function, ... }, got a number\n"
        "hooks/x.lua:5: timeout: expected a duration 1ms-24h like \"10s\", or a number of seconds, got \"1 year\"\n");
    refuse(
        b, "local x\nreturn x",
        "hooks/x.lua:2: a script returns its handler function, or a table with 'handle'; this one returned nothing\n");
    refuse(b, "return function() end,\n  5", "hooks/x.lua:1: a script returns one value; this one returned 2\n");
    refuse(b, "return {}",
           "hooks/x.lua:1: field 'handle' is missing: a script answers with handle = function(req) ... end\n");
    refuse(b, "return { handle = { get = function() end, GET = 1, CONNECT = function() end },\nmethods = { 'GET' } }",
           "hooks/x.lua:1: handle.CONNECT: CONNECT has no path and cannot be handled\n"
           "hooks/x.lua:1: handle.GET: expected a function\n"
           "hooks/x.lua:1: handle.get: methods are written in capitals\n"
           "hooks/x.lua:2: methods: 'methods' and a table of functions in 'handle' say the same: give one of them\n");
    refuse(b,
           "return { handle = function() end,\nmethods = { 'GET', 'GET' }, path = { '/a', 'b' },\nhost = "
           "'a:80' }",
           "hooks/x.lua:2: methods: \"GET\" stands twice\n"
           "hooks/x.lua:2: path: path \"b\" does not begin with '/'\n"
           "hooks/x.lua:3: host: expected a host name without port, like \"hooks.example.com\"\n");
    refuse(b, "return { handle = function() end, methods = {}, events = 'push', on_disconnect = true, [1] = 2 }",
           "hooks/x.lua:1: a value without a field name ([1])\n"
           "hooks/x.lua:1: events: expected a list of strings, not empty\n"
           "hooks/x.lua:1: events: where is the event's type? give event_type = \"header:NAME\" or a JSON pointer like "
           "\"/type\"\n"
           "hooks/x.lua:1: methods: expected a list of strings, not empty\n"
           "hooks/x.lua:1: on_disconnect: expected \"finish\" or \"cancel\", got a boolean\n");
    refuse(b, "return { handle = function() end, methods = { 'GET', put = 'PUT' }, path = { '/a', nil, '/c' } }",
           "hooks/x.lua:1: methods: expected a list of strings: 'put' is no position of a list\n"
           "hooks/x.lua:1: path: expected a string or a list of strings: position 2 of the list is nil\n");
    refuse(b, "return { handle = function() end, methods = { 'GET', nil, 'PUT', [1.5] = 'POST' }, path = { '' } }",
           "hooks/x.lua:1: methods: expected a list of strings: 1.5 is no position of a list\n"
           "hooks/x.lua:1: path: expected a string or a list of strings, not empty\n");
    refuse(b, "return { handle = function() end, max_body = '33MiB' }",
           "hooks/x.lua:1: max_body: more than the server takes: limits.body is 32MiB\n");
    refuse(b, "return { handle = function() end, verify = 'nnoe' }",
           "hooks/x.lua:1: verify: expected a verifier, a list of verifiers, or \"none\", got \"nnoe\"\n");
    refuse(b, "return { handle = function() end, ['a\\nb'] = 1 }", "hooks/x.lua:1: unknown field 'a b'\n");
    refuse(b, "return {", "hooks/x.lua:1: unexpected symbol near '<eof>'\n");
    refuse(b, "x = 1", "hooks/x.lua:1: assignment to undeclared global 'x': declare it with local\n");
}

static void test_cors(void **state)
{
    struct bench *b = *state;
    struct endpoint *e = accept(b, "a.lua", "return { handle = function() end, cors = '*' }");
    assert_true(e->cors->any);
    endpoint_release(&e);
    e = accept(b, "a.lua", "return { handle = function() end, cors = { 'https://a.example', 'https://*.b.example' } }");
    assert_int_equal(e->cors->count, 2);
    assert_null(e->cors->headers);
    assert_false(e->cors->credentials);
    assert_int_equal(e->cors->max_age_s, -1);
    endpoint_release(&e);
    e = accept(b, "a.lua",
               "return { handle = function() end, cors = { origins = 'https://a.example', headers = { 'X-A', 'x-b' },\n"
               "credentials = true, max_age = 0 } }");
    assert_string_equal(e->cors->headers, "X-A, x-b");
    assert_true(e->cors->credentials);
    assert_int_equal(e->cors->max_age_s, 0);
    endpoint_release(&e);
    refuse(b, "return { handle = function() end,\ncors = { origins = '*',\ncredentials = true } }",
           "hooks/x.lua:2: cors: credentials would go to every site with \"*\": list the origins that may have them\n");
    refuse(
        b,
        "return { handle = function() end, cors = {\norigin = 'https://a.example',\nheaders = { 'x a', '*' },\n"
        "credentials = 1,\nmax_age = '1500ms' } }",
        "hooks/x.lua:1: cors: 'origins' is missing: expected an origin like \"https://example.com\", a list of them, "
        "or { origins = ... }\n"
        "hooks/x.lua:1: cors: unknown field 'origin' (did you mean 'origins'?)\n"
        "hooks/x.lua:3: cors.headers: \"*\": leave 'headers' out to allow whichever are asked for\n"
        "hooks/x.lua:3: cors.headers: \"x a\" is no header's name\n"
        "hooks/x.lua:4: cors.credentials: expected true or false, got a number\n"
        "hooks/x.lua:5: cors.max_age: expected a duration of whole seconds, 0-365d, like \"10m\"\n");
    refuse(
        b, "return { handle = function() end, cors = true }",
        "hooks/x.lua:1: cors: expected an origin like \"https://example.com\", a list of them, or { origins = ... }, "
        "got a boolean\n");
    refuse(b, "return { handle = function() end, cors = {} }",
           "hooks/x.lua:1: cors: expected a string or a list of strings, not empty\n");
    refuse(
        b, "return { handle = function() end, cors = { 'https://a.example', max_age = 5 } }",
        "hooks/x.lua:1: cors: 'origins' is missing: expected an origin like \"https://example.com\", a list of them, "
        "or { origins = ... }\n"
        "hooks/x.lua:1: cors: a list of origins among named fields: write { origins = { ... }, ... }\n");
    refuse(
        b, "return { handle = function() end, cors = { 'https://a.example/', '*' } }",
        "hooks/x.lua:1: cors: \"https://a.example/\": an origin ends with its host or port, without a '/' or a path\n");
    refuse(b, "return { handle = function() end, cors = { 'https://a.example', '*' } }",
           "hooks/x.lua:1: cors: \"*\" is every origin: list no others beside it\n");
}

/* What is inherited nobody would read: a verifier, a limit. A metatable without __index takes nothing away. */
static void test_inherited(void **state)
{
    static const char words[] =
        "its metatable has an __index, whose values are not seen here: write them into the table\n";
    static const struct {
        const char *text, *place;
    } cases[] = {
        {"return setmetatable({ handle = f }, { __index = { verify = 'none' } })", "the table that the script returns"},
        {"return setmetatable({}, { __index = function() return f end })", "the table that the script returns"},
        {"return { handle = setmetatable({ GET = f }, { __index = { POST = f } }) }", "handle"},
        {"return { handle = f, rate_limit = setmetatable({ limit = 1, per = 's' }, { __index = {} }) }", "rate_limit"},
        {"return { handle = f, rate_limit = setmetatable({ '1/s' }, { __index = { '2/h' } }) }", "rate_limit"},
        {"return { handle = f, cors = setmetatable({ origins = '*' }, { __index = { max_age = 5 } }) }", "cors"},
    };
    struct bench *b = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[200], expected[200];
        snprintf(text, sizeof text, "local function f() end %s", cases[i].text);
        snprintf(expected, sizeof expected, "hooks/x.lua:1: %s: %s", cases[i].place, words);
        refuse(b, text, expected);
    }
    struct endpoint *e = accept(b, "x.lua",
                                "return setmetatable({ handle = function() end, allow_ips = { '::1' } },\n"
                                "{ __tostring = function() return 'mine' end })");
    endpoint_release(&e);
}

/* A name that would be refused when a request comes is refused now, wherever it stands. */
static void test_globals(void **state)
{
    struct bench *b = *state;
    struct endpoint *e =
        accept(b, "a.lua",
               "local t = setmetatable({}, { __index = string })\n"
               "return function(req) local s = env.SECRET return s .. t.rep('x', math.floor(2)) .. os.time() end");
    endpoint_release(&e);
    refuse(b,
           "local n = 0\nreturn function(req)\n  tostrin('x')\n  n = n + 1\n  count = n\n"
           "  return (function() return function() return htpp.get 'x' end end)()\nend",
           "hooks/x.lua:3: undeclared global 'tostrin' (did you mean 'tostring'?)\n"
           "hooks/x.lua:5: assignment to undeclared global 'count': declare it with local\n"
           "hooks/x.lua:6: undeclared global 'htpp'\n");
}

static void test_verify(void **state)
{
    struct bench *b = *state;
    struct endpoint *e = accept(b, "x.lua",
                                "return { verify = verify.github { secret = env.SECRET }, events = { 'push' },\n"
                                "handle = function() end }");
    assert_non_null(e->verify);
    assert_string_equal(e->event_type, "header:x-github-event");
    endpoint_release(&e);
    assert_null(
        load(b, "x.lua", "return { handle = function() end,\nverify = verify.github { secret = env.NOT_THERE } }"));
    if (strncmp(b->errors.at, "hooks/x.lua:2: ", 15) != 0)
        fail_msg("%s", buf_text(&b->errors));
    b->config.require_verify = true;
    refuse(b, "return function() end",
           "hooks/x.lua:1: verify: this endpoint is PUBLIC, and require_verify forbids that: give it a verifier\n");
    b->config.require_verify = false;
    assert_null(load(b, "x.lua", "env.SECRET = 'x'"));
    if (strstr(buf_text(&b->errors), "env cannot be written") == NULL)
        fail_msg("%s", buf_text(&b->errors));
}

static void expect_limits(struct bench *b, const char *file, const char *text, const char *limits)
{
    struct endpoint *e = accept(b, file, text);
    struct buf all = {0}, json = {0};
    for (size_t i = 0; e->rate_limit != NULL && i < e->rate_limit->count; i++)
        buf_addf(&all, "%s%s", i > 0 ? "; " : "", e->rate_limit->rule[i].text);
    assert_string_equal(buf_text(&all), limits);
    load_describe(e, &json);
    assert_int_equal(strstr(buf_text(&json), "\"rate_limit\":null") != NULL, limits[0] == '\0');
    buf_free(&all);
    buf_free(&json);
    endpoint_release(&e);
}

#define RATE(value) "return { handle = function() end,\nrate_limit = " value " }"

static void test_rate_limit(void **state)
{
    struct bench *b = *state;
    int before = lua_gettop(state_lua(b->state));
    expect_limits(b, "a.lua", "return function() end", "");
    expect_limits(b, "a.lua", RATE("'100/m'"), "100/m by ip");
    expect_limits(b, "a.lua", RATE("{ limit = 5, per = '30s' }"), "5/30s by ip");
    expect_limits(b, "a.lua", RATE("{ limit = 5, per = 's', burst = 20, by = 'header:X-Key' }"),
                  "5/s burst 20 by header:x-key");
    expect_limits(b, "a.lua", RATE("{ '10/s', { limit = 5, per = 60, by = function(req) end }, '1/d by /a' }"),
                  "10/s by ip; 5/m by function; 1/d by /a");
    expect_limits(b, "[id]/[...rest].lua", RATE("{ '1/s by param:id', '1/s by param:rest' }"),
                  "1/s by param:id; 1/s by param:rest");
    expect_limits(b, "a.lua",
                  "return { handle = function() end, verify = verify.github { secret = env.SECRET }, rate_limit = "
                  "'1/s by auth' }",
                  "1/s by auth");
    config_add_rate_limit(&b->config, SLICE("7/m by auth"));
    expect_limits(b, "a.lua", "return function() end", "7/m by auth");
    expect_limits(b, "a.lua", RATE("'none'"), "");
    expect_limits(b, "a.lua", RATE("'8/m'"), "8/m by ip");
    assert_int_equal(lua_gettop(state_lua(b->state)), before);
}

#define RATE_EXPECTED                                                                      \
    "hooks/x.lua:2: rate_limit: expected \"100/m\", { limit, per, burst, by }, a list of " \
    "these, or \"none\""

static void test_rate_limit_faults(void **state)
{
    struct bench *b = *state;
    static const char *const cases[][2] = {
        {RATE("true"), RATE_EXPECTED ", got a boolean\n"},
        {RATE("100"), RATE_EXPECTED ", got a number\n"},
        {RATE("{}"), RATE_EXPECTED ", got an empty table\n"},
        {RATE("{ '1/s', 5 }"), RATE_EXPECTED ", got a number\n"},
        {RATE("{ '1/s', by = 'ip' }"), RATE_EXPECTED ", got a table with both names and positions, or gaps\n"},
        {RATE("{ '1/s', 'none' }"), "hooks/x.lua:2: rate_limit: expected a limit like \"100/m\", got \"none\"\n"},
        {RATE("'many'"), "hooks/x.lua:2: rate_limit: expected a limit like \"100/m\", got \"many\"\n"},
        {RATE("{ limit = 5 }"),
         "hooks/x.lua:2: rate_limit: the field 'per' is missing: \"s\", \"m\", \"h\", \"d\" or a duration\n"},
        {RATE("{ per = 'm' }"), "hooks/x.lua:2: rate_limit: the field 'limit' is missing: how many requests\n"},
        {RATE("{ limit = 5, per = 'm', brust = 2 }"),
         "hooks/x.lua:2: rate_limit: unknown field 'brust' (did you mean 'burst'?)\n"},
        {RATE("{ limit = 5, per = 'm', [true] = 2 }"), "hooks/x.lua:2: rate_limit: a field whose name is a boolean\n"},
        {RATE("{ limit = 2.5, per = 'm' }"),
         "hooks/x.lua:2: rate_limit: limit: expected a whole number from 1, got 2.5\n"},
        {RATE("{ limit = 1/0, per = 'm' }"),
         "hooks/x.lua:2: rate_limit: limit: expected a whole number from 1, got inf\n"},
        {RATE("{ limit = '5', per = 'm' }"),
         "hooks/x.lua:2: rate_limit: limit: expected a number of requests, got a string\n"},
        {RATE("{ limit = 5, per = 0.5 }"), "hooks/x.lua:2: rate_limit: per: expected \"s\", \"m\", \"h\", \"d\", a "
                                           "duration like \"30s\", or a number of seconds\n"},
        {RATE("{ limit = 5, per = 'm', burst = 0 }"),
         "hooks/x.lua:2: rate_limit: burst: expected a whole number from 1, got 0\n"},
        {RATE("{ limit = 5, per = 'm', by = {} }"), "hooks/x.lua:2: rate_limit: by: expected a key like \"ip\" or "
                                                    "\"header:x-api-key\", or a function, got a table\n"},
        {RATE("'5/m by param:id'"), "hooks/x.lua:2: rate_limit: \"param:id\": the route has no such parameter\n"},
        {RATE("'5/m by auth'"),
         "hooks/x.lua:2: rate_limit: \"auth\": without a verifier nobody is known: give the endpoint one\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refuse(b, cases[i][0], cases[i][1]);
    refuse(b, "return { handle = function() end, rate_limits = '1/s' }",
           "hooks/x.lua:1: unknown field 'rate_limits' (did you mean 'rate_limit'?)\n");
}

static void add_module(struct bench *b, size_t i, const char *name, const char *text, uint64_t version)
{
    static char files[4][64];
    snprintf(files[i], sizeof files[i], "_lib/%s.lua", name + 5);
    b->modules[i] = (struct snapshot_module){
        .name = slice_of(name), .file = slice_of(files[i]), .text = slice_of(text), .version = version};
    if (i >= b->snap.module_count)
        b->snap.module_count = i + 1;
}

static void test_modules(void **state)
{
    struct bench *b = *state;
    const char *script = "local a = require '_lib.a'\na.n = a.n + 1\n"
                         "return { handle = function() end, description = a.n .. a.b.words }";
    add_module(b, 0, "_lib.a", "return { n = 0, b = require '_lib.b' }", 1);
    add_module(b, 1, "_lib.b", "return { words = ' of b' }", 2);
    add_module(b, 2, "_lib.c", "return 1", 3);
    struct endpoint *one = accept(b, "one.lua", script);
    assert_string_equal(one->description, "1 of b");
    size_t count;
    const uint32_t *used = load_modules_used(b->load, &count);
    assert_int_equal(count, 2);
    assert_int_equal(used[0] + used[1], 1);
    const uint32_t *requires = load_module_requires(b->load, 0, &count);
    assert_int_equal(count, 1);
    assert_int_equal(requires[0], 1);
    struct endpoint *two = accept(b, "two.lua", script);
    assert_string_equal(two->description, "2 of b"); /* the same module */
    used = load_modules_used(b->load, &count);
    assert_int_equal(count, 2);
    b->modules[0].version = 4;
    b->modules[0].text = SLICE("return { n = 10, b = require '_lib.b' }");
    struct endpoint *three = accept(b, "three.lua", script);
    assert_string_equal(three->description, "11 of b"); /* another version of it */
    endpoint_release(&one);
    endpoint_release(&two);
    b->modules[0].version = 1;
    struct endpoint *four = accept(b, "four.lua", script);
    assert_string_equal(four->description, "11 of b"); /* the old version went with its scripts */
    endpoint_release(&three);
    endpoint_release(&four);
}

static void test_module_faults(void **state)
{
    struct bench *b = *state;
    size_t count;
    add_module(b, 0, "_lib.a", "local x = require '_lib.b'\nreturn {}", 1);
    add_module(b, 1, "_lib.b", "\nlocal y = require '_lib.a'", 2);
    add_module(b, 2, "_lib.c", "\nlocal x = nil + 1", 3);
    assert_null(load(b, "x.lua", "\nrequire '_lib.a'\nreturn function() end"));
    if (strstr(buf_text(&b->errors), "requires itself") == NULL)
        fail_msg("%s", buf_text(&b->errors));
    load_modules_used(b->load, &count);
    assert_int_equal(count, 2); /* a change of either may mend it */
    assert_null(load(b, "x.lua", "\nrequire '_lib.none'\nreturn function() end"));
    if (strncmp(buf_text(&b->errors), "hooks/x.lua:2: module _lib.none is not there", 44) != 0)
        fail_msg("%s", buf_text(&b->errors));
    assert_null(load(b, "x.lua", "\nrequire '_lib.c'\nreturn function() end"));
    if (strncmp(buf_text(&b->errors), "hooks/_lib/c.lua:2: ", 20) != 0)
        fail_msg("%s", buf_text(&b->errors));
    struct endpoint *e = accept(b, "x.lua", "assert(not pcall(require, '_lib.c'))\nreturn function() end");
    endpoint_release(&e);
}

/* Whom it lets in is there in words and as a set; a list that cannot be read lets nobody in. */
static void test_allow_ips(void **state)
{
    struct bench *b = *state;
    struct ip ip;
    struct endpoint *e =
        accept(b, "a.lua", "return { allow_ips = { '10.0.0.0/8', '2001:db8::/32' }, handle = function() end }");
    assert_true(ip_parse(SLICE("10.1.2.3"), &ip) && ips_have(e->allow_ips, &ip));
    assert_true(ip_parse(SLICE("11.1.2.3"), &ip) && !ips_have(e->allow_ips, &ip));
    assert_string_equal(e->allowed[1], "2001:db8::/32");
    struct buf json = {0};
    struct error err;
    load_describe(e, &json);
    assert_non_null(strstr(buf_text(&json), "\"allow_ips\":[\"10.0.0.0/8\",\"2001:db8::/32\"]"));
    struct endpoint *back = load_from_description(buf_slice(&json), &err);
    assert_int_equal(back->allowed_count, 2);
    endpoint_release(&back);
    buf_free(&json);
    endpoint_release(&e);
    e = accept(b, "a.lua", "return { allow_ips = '127.0.0.1', handle = function() end }");
    endpoint_release(&e);
    refuse(b, "return {\n allow_ips = { '10.0.0.1/8' },\n handle = function() end }",
           "hooks/x.lua:2: allow_ips: \"10.0.0.1/8\": the address has bits beyond the prefix: write 10.0.0.0/8 for the "
           "network, or 10.0.0.1 alone\n");
    refuse(b, "return { allow_ips = {}, handle = function() end }",
           "hooks/x.lua:1: allow_ips: expected a string or a list of strings, not empty\n");
    refuse(b, "return { allow_ip = '::1', handle = function() end }",
           "hooks/x.lua:1: unknown field 'allow_ip' (did you mean 'allow_ips'?)\n");
}

/* A description of a version before has no such field: it is nobody's list. */
static void test_older_description(void **state)
{
    static const char old[] =
        "{\"name\":\"a\",\"file\":\"a.lua\",\"routes\":[\"/a\"],\"hosts\":[null],\"methods\":null,"
        "\"verify\":null,\"public\":true,\"events\":null,\"max_body\":1,\"timeout\":1,\"max_run\":1,"
        "\"description\":null}";
    struct error err;
    struct endpoint *e = load_from_description(slice_of(old), &err);
    assert_non_null(e);
    assert_null(e->allowed);
    endpoint_release(&e);
}

static void test_certificates_are_asked_for(void **state)
{
    struct bench *b = *state;
    const char *script = "return { verify = verify.any { verify.mtls { any = true }, verify.github { secret = 'x' } }, "
                         "handle = function() end }";
    refuse(b, script,
           "hooks/x.lua:1: verify: no client is asked for a certificate: that is client_ca of the setting tls\n");
    b->config.client_ca = true;
    struct endpoint *e = accept(b, "x.lua", script);
    assert_true(verify_needs_certificate(e->verify));
    endpoint_release(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_defaults, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_allow_ips, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_older_description, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_certificates_are_asked_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fields, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_faults, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_inherited, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_globals, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_verify, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rate_limit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rate_limit_faults, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_modules, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_module_faults, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
