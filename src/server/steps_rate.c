/*
 * steps_rate.c: see steps_rate.h. Keys are read and limits decided in C; only functions that a script gave as keys run
 * in a task, which hands their results over before the decision.
 */
#include "server/steps_rate.h"
#include "base/panic.h"
#include "bind/bind_body.h"
#include "policy/ratelimit.h"
#include "script/embedded.h"
#include "server/steps.h"
#include <lauxlib.h>
#include <stdio.h>

static struct ratelimit *limits_of(const struct exchange *ex)
{
    return exchange_endpoint(ex)->rate_limit;
}

/* --- keys that are functions ------------------------------------------------------------------------------------ */

/* Pushes lua/crescent/keys.lua's function, the field's name, req, and the functions in the order of their rules. */
static int push_keys(lua_State *L)
{
    struct exchange *ex = lua_touserdata(L, 1);
    const struct ratelimit *r = limits_of(ex);
    lua_rawgeti(L, LUA_REGISTRYINDEX, ex->server->ask_keys);
    lua_pushliteral(L, "rate_limit.by");
    bind_req_push(L, &ex->bind);
    int count = 3;
    for (size_t i = 0; i < r->count; i++)
        if ((r->by_function >> i & 1) != 0) {
            lua_rawgeti(L, LUA_REGISTRYINDEX, r->rule[i].by.function.ref);
            count++;
        }
    return count;
}

void steps_rate_open(lua_State *L, struct server *s)
{
    script_embedded_load(L, "keys");
    s->ask_keys = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushcfunction(L, push_keys);
    s->push_keys = luaL_ref(L, LUA_REGISTRYINDEX);
}

bool steps_rate_runs_lua(const struct endpoint *e)
{
    return e->rate_limit != NULL && e->rate_limit->by_function != 0;
}

/* --- deciding --------------------------------------------------------------------------------------------------- */

static void say(struct exchange *ex, size_t rule, struct slice key)
{
    struct server *s = ex->server;
    bool missing = key.len == 0;
    if (missing)
        key = key_read_ip(&ex->view);
    ratelimit_say(limits_of(ex), rule, s->key_seed, key, missing, &ex->rate);
}

static struct key_source source_of(struct exchange *ex, unsigned which)
{
    struct bind_body_fault fault;
    struct key_source from = {.http = &ex->view,
                              .auth = &ex->auth,
                              .param_names = ex->match.names,
                              .param_values = ex->match.values,
                              .param_count = ex->match.param_count};
    /* A body that is no JSON has no such key. */
    if ((limits_of(ex)->by_pointer & which) != 0)
        from.json = bind_body_reader(ex->server->host.state, &ex->bind, &fault);
    return from;
}

static void say_all(struct exchange *ex, unsigned which)
{
    const struct ratelimit *r = limits_of(ex);
    struct key_source from = source_of(ex, which);
    for (size_t i = 0; i < r->count; i++)
        if ((which >> i & 1) != 0)
            say(ex, i, key_read(&r->rule[i].by, &from, &ex->server->key_room));
}

static enum step_result refuse(struct exchange *ex)
{
    char seconds[24];
    int len = snprintf(seconds, sizeof(seconds), "%lld", (long long)ratelimit_retry_after(&ex->rate));
    CHECK(http_response_add(exchange_response(ex), SLICE("retry-after"), (struct slice){seconds, (size_t)len}, NULL) ==
          0);
    exchange_refuse(ex, REASON_rate_limited, "too many requests");
    return STEP_DONE;
}

static bool admit(struct exchange *ex, unsigned which, mono_t now)
{
    struct server *s = ex->server;
    unsigned evicted;
    bool admitted = ratelimit_decide(limits_of(ex), which, &s->host.area->limits, now, &ex->rate, &evicted);
    if (evicted > 0)
        counters_add(s->counters, COUNTER_rate_evicted, evicted);
    return admitted;
}

/* The clock is read only for who would be refused: whoever may come in at the begin of this pass may so now. */
static enum step_result decide(struct exchange *ex, unsigned which)
{
    if (admit(ex, which, loop_now(ex->server->host.loop)) || admit(ex, which, mono_now()))
        return STEP_NEXT;
    return refuse(ex);
}

enum step_result steps_rate_by_ip(struct exchange *ex)
{
    const struct ratelimit *r = limits_of(ex);
    if (r == NULL || r->by_ip == 0)
        return STEP_NEXT;
    say_all(ex, r->by_ip);
    return decide(ex, r->by_ip);
}

static enum step_result decide_by_key(struct exchange *ex)
{
    const struct ratelimit *r = limits_of(ex);
    say_all(ex, r->by_key & ~r->by_function);
    return decide(ex, r->by_key);
}

/* The keys are on co's stack, texts and nils, one for each rule with a function. */
static void asked(enum task_end end, lua_State *co, int count, void *cookie)
{
    struct exchange *ex = cookie;
    const struct ratelimit *r = limits_of(ex);
    CHECK(ex->magic == EXCHANGE_MAGIC);
    ex->task = NULL;
    if (end == TASK_FAILED) {
        steps_task_over(ex, steps_raised(ex, co));
        return;
    }
    for (size_t i = 0, at = 1; i < r->count; i++)
        if ((r->by_function >> i & 1) != 0) {
            struct slice key = SLICE_NONE;
            if ((int)at <= count && lua_type(co, (int)at) == LUA_TSTRING)
                key.at = lua_tolstring(co, (int)at, &key.len);
            say(ex, i, key);
            at++;
        }
    steps_task_over(ex, decide_by_key(ex));
}

enum step_result steps_rate_by_key(struct exchange *ex)
{
    const struct ratelimit *r = limits_of(ex);
    if (r == NULL || r->by_key == 0)
        return STEP_NEXT;
    if (r->by_function != 0)
        return steps_task(ex, ex->server->push_keys, asked, steps_unstarted);
    return decide_by_key(ex);
}

/* --- told ------------------------------------------------------------------------------------------------------- */

void steps_rate_headers(struct exchange *ex)
{
    struct http_response *response = &ex->server->response;
    if (ex->rate.known == 0 || http_response_has(response, SLICE("ratelimit")) ||
        http_response_has(response, SLICE("ratelimit-policy")))
        return;
    const struct ratelimit *r = limits_of(ex);
    char room[RATELIMIT_FIELD];
    size_t len = ratelimit_field(r, &ex->rate, room);
    http_response_add_own(response, SLICE("ratelimit-policy"), r->policy);
    http_response_add_own(response, SLICE("ratelimit"), (struct slice){room, len});
}
