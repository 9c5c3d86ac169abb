/*
 * overload.c: see overload.h. Each worker keeps the number of its own requests in its slot of the shared area
 * (crescent_requests_in_progress), and sums up the other slots once in a pass of its loop: two workers may both let the
 * last one in, and during a long pass the sum is as old as the pass. A slot that lies is taken for the limit.
 */
#include "server/overload.h"
#include "base/log.h"
#include "base/panic.h"
#include "script/turns.h"

#define SAY_EACH DUR_S(10)

static uint64_t count_others(const struct server *s)
{
    const struct area *a = s->host.area;
    uint64_t sum = 0, limit = s->host.config->limits.requests;
    uint32_t used = area_used(a);
    for (uint32_t i = 0; i < used && i < AREA_SLOTS; i++) {
        uint64_t n = i == s->host.slot ? 0 : counters_get(&a->worker[i].counters, COUNTER_in_progress);
        sum += n < limit ? n : limit;
    }
    return sum;
}

/* The one that asks included. */
static uint64_t in_progress(struct server *s)
{
    struct overload *o = &s->overload;
    mono_t pass = loop_now(s->host.loop);
    if (pass.ns != o->pass.ns) {
        o->pass = pass;
        o->others = count_others(s);
    }
    return o->others + counters_get(s->counters, COUNTER_in_progress);
}

bool overload_pressed(struct server *s)
{
    uint64_t most = s->host.config->limits.requests, own = counters_get(s->counters, COUNTER_in_progress);
    return in_progress(s) >= most || counters_get(s->counters, COUNTER_under_way) - own >= most;
}

static void say(struct server *s, mono_t now)
{
    struct overload *o = &s->overload;
    log_at(LOG_WARN, "overloaded: new requests are refused", LOG_INT("too_many", o->by_requests),
           LOG_INT("loop_lags", o->by_lag), LOG_INT("in_progress", in_progress(s)));
    o->said = now;
    o->by_requests = o->by_lag = 0;
}

void overload_tick(struct server *s, mono_t now)
{
    const struct overload *o = &s->overload;
    if (o->by_requests + o->by_lag > 0 && mono_since(now, o->said).ns >= SAY_EACH.ns)
        say(s, now);
}

static enum step_result refuse(struct exchange *ex, enum counter cause)
{
    struct server *s = ex->server;
    counters_add(s->counters, cause, 1);
    if (cause == COUNTER_overload_requests)
        s->overload.by_requests++;
    else
        s->overload.by_lag++;
    overload_tick(s, loop_now(s->host.loop));
    CHECK(http_response_add(exchange_response(ex), SLICE("retry-after"), SLICE("1"), NULL) == 0);
    exchange_refuse(ex, REASON_overloaded, "too much is under way already");
    return STEP_DONE;
}

enum step_result overload_step(struct exchange *ex)
{
    struct server *s = ex->server;
    const struct config_limits *limits = &s->host.config->limits;
    if (in_progress(s) > limits->requests)
        return refuse(ex, COUNTER_overload_requests);
    if (loop_lag(s->host.loop).ns > limits->lag.ns || turns_lag(s->host.state).ns > limits->lag.ns)
        return refuse(ex, COUNTER_overload_lag);
    return STEP_NEXT;
}
