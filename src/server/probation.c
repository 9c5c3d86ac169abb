/*
 * probation.c: see probation.h.
 */
#include "server/probation.h"
#include "base/log.h"
#include "base/panic.h"
#include "policy/verify.h"
#include "server/steps_rate.h"
#include <stdio.h>

static struct quarantine *quarantine_of(const struct exchange *ex)
{
    return &ex->server->host.area->quarantine;
}

static bool verify_runs_lua(const struct exchange *ex)
{
    const struct verifier *v = exchange_endpoint(ex)->verify;
    return v != NULL && verify_needs_lua(v);
}

static enum step_result refuse(struct exchange *ex, dur_t wait)
{
    char seconds[24];
    long long up = (wait.ns + 999999999) / 1000000000;
    int len = snprintf(seconds, sizeof(seconds), "%lld", up > 0 ? up : 1);
    CHECK(http_response_add(exchange_response(ex), SLICE("retry-after"), (struct slice){seconds, (size_t)len}, NULL) ==
          0);
    exchange_refuse(ex, REASON_quarantined, "this endpoint's script is in quarantine");
    return STEP_DONE;
}

static enum step_result decide(struct exchange *ex)
{
    const struct endpoint *e = exchange_endpoint(ex);
    dur_t wait;
    switch (quarantine_ask(quarantine_of(ex), e->version, mono_now(), &wait, &ex->probe)) {
    case QUARANTINE_PASS:
        return STEP_NEXT;
    case QUARANTINE_PROBE:
        log_at(LOG_INFO, "a request probes a quarantined endpoint", LOG_STR("endpoint", e->name));
        return STEP_NEXT;
    case QUARANTINE_REFUSE:
        break;
    }
    return refuse(ex, wait);
}

enum step_result probation_before_verify(struct exchange *ex)
{
    return verify_runs_lua(ex) ? decide(ex) : STEP_NEXT;
}

enum step_result probation_before_keys(struct exchange *ex)
{
    return !verify_runs_lua(ex) && steps_rate_runs_lua(exchange_endpoint(ex)) ? decide(ex) : STEP_NEXT;
}

enum step_result probation_before_handle(struct exchange *ex)
{
    return verify_runs_lua(ex) || steps_rate_runs_lua(exchange_endpoint(ex)) ? STEP_NEXT : decide(ex);
}

void probation_struck(struct exchange *ex)
{
    const struct endpoint *e = exchange_endpoint(ex);
    dur_t time = {0};
    enum quarantine_strike what = quarantine_struck(quarantine_of(ex), e->version, mono_now(), &time);
    ex->probe = 0;
    quarantine_log(e->name, what, time);
}

void probation_passed(struct exchange *ex)
{
    const struct endpoint *e = exchange_endpoint(ex);
    if (ex->probe != 0 && quarantine_passed(quarantine_of(ex), e->version, ex->probe))
        log_at(LOG_INFO, "endpoint out of quarantine", LOG_STR("endpoint", e->name),
               LOG_STR("because", "its probe passed"));
    ex->probe = 0;
}

void probation_over(struct exchange *ex)
{
    if (ex->probe == 0)
        return;
    quarantine_undecided(quarantine_of(ex), exchange_endpoint(ex)->version, ex->probe, mono_now());
    ex->probe = 0;
}
