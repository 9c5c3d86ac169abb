/*
 * bind_reply_proxy.c: reply.proxy(url [, opts]): the request is handed on to an upstream, whose reply is the answer.
 * Made here into a plan (http/proxy) that lies in a userdata and points into strings that this one anchors; read here
 * by keeping the userdata until the exchange is over. Nothing in it changes, so one that is made at the script's top
 * level serves every request. Runs in: the state's thread. Fails: misuse raises, with the script's line.
 *
 *   reply.proxy("http://127.0.0.1:9000")                      the request's own path and query go there
 *   reply.proxy { "http://10.0.0.1:9000", "http://10.0.0.2:9000" }   the least busy of them
 *   reply.proxy("http://127.0.0.1:9000/v2/items?all=1")       this path, this query; without "?", the request's query
 *   reply.proxy("http://127.0.0.1:9000/v2", { strip = "/api" })   /api/x → /v2/x, and in a Location back: see strip
 *
 * opts:
 *   headers           { name = "value", other = { "a", "b" }, third = false }: set, or left out, on the way there
 *   response_headers  the same on the way back
 *   host              "pass": the client's Host; another text: that one; else the upstream's
 *   method, body      instead of the request's; body = false: none
 *   strip             the prefix of the request's path that does not go there, and comes back into a Location that
 *                     names the upstream (scheme, host, port, path); one of a path alone is not touched
 *   timeout           of one attempt, until the upstream's header is there; without it the endpoint's `timeout` is for
 *                     all of them together, the handler included; while another attempt may follow, one gets half of
 *                     what is left (where it cannot be sent twice, its connection does)
 *   connect_timeout   5s
 *   idle_timeout      60s, or false: the longest gap within the reply
 *   retries           further attempts, at other upstreams first; else as many as there are further upstreams. Tried
 *                     again is what failed on the way (name, connection, handshake, time, a connection that closed)
 *                     before anything went to the client, and, if its method is not idempotent, before anything went
 *                     there
 *   concurrency       requests of one worker at one upstream at once, the rest waits its turn: 1024
 *   ca, cert, key     PEM text or a file, as for http.*
 *   private           as for http.*
 */
#include "base/ascii.h"
#include "bind/bind_http_plan.h"
#include "bind/bind_reply_internal.h"
#include "http/proxy.h"
#include "script/error.h"
#include "script/host.h"
#include "script/state.h"
#include "script/table.h"
#include <lauxlib.h>
#include <stdio.h>

#define WHAT "reply.proxy"
#define TIME_MAX DUR_S(86400)

/* Registry keys: the userdata's metatable; plans that were made from nothing but an upstream's URL, as long as they
 * live. */
static const char plan_meta, plans;

struct making {
    lua_State *L;
    int opts;     /* index of the table; 0: none */
    int anchors;  /* index of the table that keeps the strings */
    int anchored; /* how many */
    size_t bytes; /* of the fields of an option so far */
    struct table_reader table;
    struct proxy_plan plan;
    struct proxy_upstream *upstreams; /* in the userdata */
    struct proxy_change *changes;     /* likewise, the request's before the response's */
};

/* The string at the top of the stack, kept; pops it. */
static struct slice keep(struct making *m)
{
    struct slice s;
    s.at = lua_tolstring(m->L, -1, &s.len);
    lua_rawseti(m->L, m->anchors, ++m->anchored);
    return s;
}

static bool push(struct making *m, const char *name)
{
    return m->opts != 0 && table_push(&m->table, name);
}

static bool read_string(struct making *m, const char *name, struct slice *out)
{
    if (!push(m, name))
        return false;
    if (lua_type(m->L, -1) != LUA_TSTRING)
        table_fault(&m->table, name, "expected a string, got %s", luaL_typename(m->L, -1));
    *out = keep(m);
    return true;
}

/* --- upstreams --------------------------------------------------------------------------------------------------- */

/* The string at the top of the stack, which it pops. */
static void read_upstream(struct making *m, struct proxy_upstream *up)
{
    if (lua_type(m->L, -1) != LUA_TSTRING)
        script_error_words(m->L, WHAT ": expected a URL, got %s", luaL_typename(m->L, -1));
    struct slice text = keep(m);
    const char *fault = url_parse(text, &up->url);
    if (fault != NULL)
        script_error_words(m->L, WHAT ": '%.*s%s' is no URL of an upstream: %s", SLICE_SHOWN(text, 200), fault);
    if (up->url.user.at != NULL)
        script_error_words(m->L, WHAT ": the URL holds credentials: set headers.authorization instead");
    if (memchr(text.at, '#', text.len) != NULL)
        script_error_words(m->L, WHAT ": the URL has a fragment ('#'), which no server is sent");
    struct buf origin = {0};
    url_origin(&up->url, &origin);
    up->origin_len = origin.len < PROXY_ORIGIN ? origin.len : PROXY_ORIGIN;
    memcpy(up->origin, origin.at, up->origin_len);
    buf_free(&origin);
}

/* The URL, or the list of them, at index 1. */
static size_t count_upstreams(lua_State *L)
{
    if (lua_type(L, 1) == LUA_TSTRING)
        return 1;
    if (!lua_istable(L, 1))
        script_error_words(L, WHAT ": expected a URL or a list of URLs, got %s",
                           lua_isnil(L, 1) ? "nothing" : luaL_typename(L, 1));
    size_t count;
    struct error err;
    if (!table_is_list(L, 1, &count, &err))
        script_error_words(L, WHAT ": the list of URLs: %s", err.text);
    if (count == 0 || count > PROXY_UPSTREAMS_MAX)
        script_error_words(L, WHAT ": expected a URL or a list of 1 to %d URLs", PROXY_UPSTREAMS_MAX);
    return count;
}

static void read_upstreams(struct making *m)
{
    for (size_t i = 0; i < m->plan.upstream_count; i++) {
        if (lua_istable(m->L, 1))
            lua_rawgeti(m->L, 1, (int)i + 1);
        else
            lua_pushvalue(m->L, 1);
        read_upstream(m, &m->upstreams[i]);
    }
}

/* --- header fields ----------------------------------------------------------------------------------------------- */

/* How many fields the table of this option is about. */
static size_t count_changes(struct making *m, const char *option)
{
    lua_State *L = m->L;
    size_t count = 0;
    if (!push(m, option))
        return 0;
    if (!lua_istable(L, -1))
        table_fault(&m->table, option, "expected a table, got %s", luaL_typename(L, -1));
    table_plain(&m->table, option, lua_gettop(L));
    for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            table_fault(&m->table, option, "expected names as keys, got a %s", luaL_typename(L, -2));
        size_t values = 1;
        struct error err;
        if (lua_istable(L, -1) && !table_is_list(L, -1, &values, &err))
            table_fault(&m->table, option, "'%.*s%s': %s", SLICE_SHOWN(slice_of(lua_tostring(L, -2)), 80), err.text);
        if (values == 0)
            table_fault(&m->table, option, "'%s' has an empty list; false leaves it out", lua_tostring(L, -2));
        count += values;
    }
    if (count > PROXY_CHANGES_MAX)
        table_fault(&m->table, option, "more than %d fields", PROXY_CHANGES_MAX);
    lua_pop(L, 1);
    return count;
}

/* The name at this index, in lower case, checked and kept. */
static struct slice read_name(struct making *m, const char *option, int index, bool response)
{
    lua_State *L = m->L;
    struct slice name;
    char lower[PROXY_NAME_MAX];
    name.at = lua_tolstring(L, index, &name.len);
    if (!ascii_is_token(name) || name.len > sizeof(lower))
        table_fault(&m->table, option, "'%.*s%s' is no name of a header", SLICE_SHOWN(name, 80));
    for (size_t i = 0; i < name.len; i++)
        lower[i] = (char)(name.at[i] >= 'A' && name.at[i] <= 'Z' ? name.at[i] + ('a' - 'A') : name.at[i]);
    struct slice low = {lower, name.len};
    if (proxy_is_of_connection(low) || slice_equal(low, SLICE("content-length")) ||
        (response && (slice_equal(low, SLICE("date")) || slice_equal(low, SLICE("server")))))
        table_fault(&m->table, option, "'%.*s' is the server's own", SLICE_ARG(low));
    if (!response && slice_equal(low, SLICE("host")))
        table_fault(&m->table, option, "Host is the option 'host'");
    lua_pushlstring(L, lower, name.len);
    return keep(m);
}

/* The value at the top of the stack, which it pops: text, a number, or (none allowed in a list) false. */
static struct slice read_value(struct making *m, const char *option, struct slice name, bool may_be_false)
{
    lua_State *L = m->L;
    if (may_be_false && lua_isboolean(L, -1) && !lua_toboolean(L, -1)) {
        lua_pop(L, 1);
        return SLICE_NONE;
    }
    if (lua_type(L, -1) != LUA_TSTRING && lua_type(L, -1) != LUA_TNUMBER)
        table_fault(&m->table, option, "'%.*s': expected a string, a number, a list of these%s, got %s",
                    SLICE_ARG(name), may_be_false ? ", or false" : "", luaL_typename(L, -1));
    table_text(L, -1);
    struct slice value = slice_trim(keep(m));
    m->bytes += name.len + value.len;
    if (m->bytes > PROXY_BYTES_MAX)
        table_fault(&m->table, option, "more than %zu KiB", PROXY_BYTES_MAX >> 10);
    for (size_t i = 0; i < value.len; i++)
        if (((unsigned char)value.at[i] < ' ' && value.at[i] != '\t') || value.at[i] == 0x7f)
            table_fault(&m->table, option, "'%.*s' holds a control character", SLICE_ARG(name));
    return value;
}

static struct proxy_changes read_changes(struct making *m, const char *option, size_t count, bool response)
{
    lua_State *L = m->L;
    struct proxy_changes changes = {m->changes, count};
    m->bytes = 0;
    if (count == 0 || !push(m, option))
        return changes;
    int table = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, table) != 0; lua_settop(L, table + 1)) {
        int value = lua_gettop(L);
        struct slice name = read_name(m, option, value - 1, response);
        bool list = lua_istable(L, value);
        for (size_t i = 1, values = list ? lua_objlen(L, value) : 1; i <= values; i++) {
            if (list)
                lua_rawgeti(L, value, (int)i);
            else
                lua_pushvalue(L, value);
            *m->changes++ = (struct proxy_change){name, read_value(m, option, name, !list)};
        }
    }
    lua_pop(L, 1);
    return changes;
}

/* --- the other options ------------------------------------------------------------------------------------------- */

static void read_method(struct making *m)
{
    struct proxy_plan *p = &m->plan;
    if (!read_string(m, "method", &p->method))
        return;
    if (!ascii_is_token(p->method) || p->method.len > 32 || slice_equal(p->method, SLICE("CONNECT")) ||
        slice_equal(p->method, SLICE("TRACE")))
        table_fault(&m->table, "method", "expected a method such as \"POST\"");
    for (size_t i = 0; i < p->method.len; i++)
        if (p->method.at[i] >= 'a' && p->method.at[i] <= 'z') /* it would be another one: they tell case apart */
            table_fault(&m->table, "method", "expected capital letters");
}

static void read_body(struct making *m)
{
    if (!push(m, "body"))
        return;
    m->plan.has_body = true;
    if (lua_isboolean(m->L, -1) && !lua_toboolean(m->L, -1)) {
        lua_pop(m->L, 1);
        return;
    }
    if (lua_type(m->L, -1) != LUA_TSTRING)
        table_fault(&m->table, "body", "expected a string or false, got %s", luaL_typename(m->L, -1));
    m->plan.body = keep(m);
}

static void read_host(struct making *m)
{
    struct slice host;
    if (!read_string(m, "host", &host))
        return;
    m->plan.host_how = slice_equal(host, SLICE("pass")) ? PROXY_HOST_PASS : PROXY_HOST_SET;
    m->plan.host = host;
    if (!proxy_is_host(host))
        table_fault(&m->table, "host", "expected \"pass\", or a name, with a port or without");
}

static void read_strip(struct making *m)
{
    struct slice *strip = &m->plan.strip;
    if (!read_string(m, "strip", strip))
        return;
    if (strip->len < 2 || strip->at[0] != '/' || strip->at[strip->len - 1] == '/')
        table_fault(&m->table, "strip",
                    "expected the beginning of a path, such as \"/api\", without a slash at its end");
    for (size_t i = 0; i < m->plan.upstream_count; i++)
        if (m->upstreams[i].url.query.at != NULL)
            table_fault(&m->table, "strip", "the URL has a query");
}

static void read_time(struct making *m, const char *name, dur_t *into)
{
    dur_t given;
    if (m->opts == 0 || !table_duration(&m->table, name, &given))
        return;
    if (given.ns <= 0 || given.ns > TIME_MAX.ns)
        table_fault(&m->table, name, "expected more than nothing, and at most a day");
    *into = given;
}

static void read_times(struct making *m)
{
    struct proxy_plan *p = &m->plan;
    p->connect_timeout = PROXY_CONNECT_TIMEOUT;
    p->idle = PROXY_IDLE_TIMEOUT;
    read_time(m, "timeout", &p->timeout);
    read_time(m, "connect_timeout", &p->connect_timeout);
    if (push(m, "idle_timeout")) {
        bool none = lua_isboolean(m->L, -1) && !lua_toboolean(m->L, -1);
        lua_pop(m->L, 1);
        if (none)
            p->idle = (dur_t){0};
        else
            read_time(m, "idle_timeout", &p->idle);
    }
}

static void read_counts(struct making *m)
{
    struct proxy_plan *p = &m->plan;
    long long number;
    p->attempts = (unsigned)p->upstream_count;
    p->concurrency = OUTBOUND_CONCURRENCY_MAX;
    if (m->opts == 0)
        return;
    if (table_integer(&m->table, "retries", 0, PROXY_RETRIES_MAX, &number))
        p->attempts = (unsigned)number + 1;
    if (table_integer(&m->table, "concurrency", 1, OUTBOUND_CONCURRENCY_MAX, &number))
        p->concurrency = (unsigned)number;
}

static bool any_tls(const struct making *m)
{
    for (size_t i = 0; i < m->plan.upstream_count; i++)
        if (m->upstreams[i].url.tls)
            return true;
    return false;
}

static void read_reach(struct making *m)
{
    const struct script_host *host = state_host(state_of(m->L));
    struct proxy_plan *p = &m->plan;
    const struct {
        const char *name;
        struct slice *into;
    } texts[] = {{"ca", &p->ca}, {"cert", &p->cert}, {"key", &p->key}};
    bool allowed = host->http_private;
    if (m->opts != 0 && table_bool(&m->table, "private", &allowed) && allowed && !host->http_private)
        table_fault(&m->table, "private", "the setting http_private forbids it");
    p->public_only = !allowed;
    for (size_t i = 0; i < 3; i++) {
        if (!read_string(m, texts[i].name, texts[i].into))
            continue;
        bind_http_plan_check_pem(&m->table, texts[i].name, *texts[i].into);
        if (!any_tls(m))
            table_fault(&m->table, texts[i].name, "there is no TLS in which to use it: no URL begins with https://");
    }
    if ((p->cert.len > 0) != (p->key.len > 0))
        table_fault(&m->table, p->cert.len > 0 ? "cert" : "key", "cert and key go together");
}

/* --- making ------------------------------------------------------------------------------------------------------ */

/* Pushes the userdata, with room for all of it; what it keeps is its environment. */
static struct proxy_plan *push_plan(struct making *m, size_t changes)
{
    lua_State *L = m->L;
    size_t upstreams = m->plan.upstream_count * sizeof(struct proxy_upstream);
    char *room = lua_newuserdata(L, sizeof(struct proxy_plan) + upstreams + changes * sizeof(struct proxy_change));
    memset(room, 0, sizeof(struct proxy_plan) + upstreams);
    m->upstreams = (struct proxy_upstream *)(room + sizeof(struct proxy_plan));
    m->changes = (struct proxy_change *)(room + sizeof(struct proxy_plan) + upstreams);
    lua_createtable(L, 4, 0);
    m->anchors = lua_gettop(L);
    return (struct proxy_plan *)room;
}

/* The userdata at the top of the stack, whose environment lies above it, is done: pops that. */
static void finish_plan(lua_State *L)
{
    lua_setfenv(L, -2);
    lua_pushlightuserdata(L, (void *)&plan_meta);
    lua_rawget(L, LUA_REGISTRYINDEX);
    lua_setmetatable(L, -2);
}

/*
 * A script that makes its reply anew at each request makes the same plan each time: it is found again, where it has no
 * path, by which URLs differ from request to request. True: it is at the top of the stack.
 */
static bool push_known_plan(lua_State *L)
{
    lua_pushlightuserdata(L, (void *)&plans);
    lua_rawget(L, LUA_REGISTRYINDEX);
    lua_pushvalue(L, 1);
    lua_rawget(L, -2);
    lua_remove(L, -2);
    if (lua_isuserdata(L, -1))
        return true;
    lua_pop(L, 1);
    return false;
}

static void remember_plan(lua_State *L, const struct proxy_plan *plan)
{
    if (plan->upstreams[0].url.path.len > 0 || plan->upstreams[0].url.query.at != NULL)
        return;
    lua_pushlightuserdata(L, (void *)&plans);
    lua_rawget(L, LUA_REGISTRYINDEX);
    lua_pushvalue(L, 1);
    lua_pushvalue(L, -3);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

/* Pushes the plan for the URL or URLs at 1 and the options at 2. */
static void push_new_plan(lua_State *L)
{
    static const char *const known[] = {
        "headers",      "response_headers", "host",        "method",  "body", "strip", "timeout", "connect_timeout",
        "idle_timeout", "retries",          "concurrency", "private", "ca",   "cert",  "key",     NULL};
    struct making m = {.L = L};
    m.plan.upstream_count = count_upstreams(L);
    if (!lua_isnil(L, 2)) {
        table_begin(&m.table, L, 2, WHAT, known, false);
        m.opts = 2;
    }
    size_t request = count_changes(&m, "headers"), response = count_changes(&m, "response_headers");
    struct proxy_plan *plan = push_plan(&m, request + response);
    m.plan.upstreams = m.upstreams;
    read_upstreams(&m);
    m.plan.request = read_changes(&m, "headers", request, false);
    m.plan.response = read_changes(&m, "response_headers", response, true);
    read_host(&m);
    read_method(&m);
    read_body(&m);
    read_strip(&m);
    read_times(&m);
    read_counts(&m);
    read_reach(&m);
    *plan = m.plan;
    finish_plan(L);
    if (m.opts == 0 && plan->upstream_count == 1 && lua_type(L, 1) == LUA_TSTRING)
        remember_plan(L, plan);
}

int bind_reply_proxy(lua_State *L)
{
    if (lua_gettop(L) > 2)
        return script_error_words(L, WHAT ": expected a URL and options, got %d values", lua_gettop(L));
    lua_settop(L, 2);
    bool plain = lua_type(L, 1) == LUA_TSTRING && lua_isnil(L, 2);
    if (!plain || !push_known_plan(L))
        push_new_plan(L);
    bind_reply_push(L, REPLY_KIND_PROXY, 200);
    lua_insert(L, -2);
    lua_rawseti(L, -2, REPLY_BODY);
    return 1;
}

void bind_reply_proxy_register(lua_State *L)
{
    lua_pushlightuserdata(L, (void *)&plan_meta);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "plan of reply.proxy");
    lua_setfield(L, -2, "__metatable");
    lua_rawset(L, LUA_REGISTRYINDEX);
    lua_pushlightuserdata(L, (void *)&plans);
    lua_createtable(L, 0, 0);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "v"); /* weak values: whoever uses a plan keeps it */
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_rawset(L, LUA_REGISTRYINDEX);
}

/* --- reading ----------------------------------------------------------------------------------------------------- */

int bind_reply_proxy_read(lua_State *L, int index, struct bind_reply_plan *plan, struct error *err)
{
    lua_rawgeti(L, index, REPLY_BODY);
    int body = lua_gettop(L);
    bool ours = false;
    if (lua_isuserdata(L, body) && lua_getmetatable(L, body)) { /* rawset reaches the fields */
        lua_pushlightuserdata(L, (void *)&plan_meta);
        lua_rawget(L, LUA_REGISTRYINDEX);
        ours = lua_rawequal(L, -1, -2);
        lua_pop(L, 2);
    }
    if (!ours)
        return error_set(err, "the reply's plan is no longer one");
    plan->proxy = lua_touserdata(L, body);
    lua_settop(L, body);
    plan->function = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}
