/*
 * access.c: see access.h.
 */
#include "server/access.h"
#include "base/log.h"
#include "base/panic.h"
#include "http/redact.h"
#include "server/access_record.h"
#include "server/dev_page.h"
#include "server/exchange.h"

#define UPSTREAMS_A_SECOND 10 /* lines about failed ones; the counters have them all */

void access_begun(struct exchange *ex, int version)
{
    counters_add(ex->server->counters, version >= 0x200 ? COUNTER_requests_http2 : COUNTER_requests_http1, 1);
    counters_add(ex->server->counters, COUNTER_under_way, 1);
    access_works(ex);
}

/* Down as well as up: of a gauge. */
static void step(struct counters *c, enum counter gauge, int64_t by)
{
    counters_set(c, gauge, counters_get(c, gauge) + (uint64_t)by);
}

void access_works(struct exchange *ex)
{
    if (!ex->working)
        step(ex->server->counters, COUNTER_in_progress, 1);
    ex->working = true;
}

void access_rests(struct exchange *ex)
{
    if (ex->working)
        step(ex->server->counters, COUNTER_in_progress, -1);
    ex->working = false;
}

/* Answered by a 1xx is nothing; there is a histogram from 2xx on. */
static void observe(struct exchange *ex, dur_t duration)
{
    int which = HISTOGRAM_latency_2xx + ex->status / 100 - 2;
    if (ex->status >= 200 && !ex->gone && !ex->cut)
        counters_observe(ex->server->counters, (enum counters_histogram)which,
                         duration.ns > 0 ? (uint64_t)duration.ns : 0);
}

void access_ended(struct exchange *ex)
{
    struct counters *c = ex->server->counters;
    if (ex->recorded)
        return;
    ex->recorded = true;
    dur_t duration = mono_since(mono_now(), ex->started); /* not the loop's: this pass may have been all its time */
    access_rests(ex);
    step(c, COUNTER_under_way, -1);
    observe(ex, duration);
    access_record_end(ex, duration);
}

void access_answered(struct exchange *ex, int status)
{
    counters_add(ex->server->counters, (enum counter)(COUNTER_requests_1xx + status / 100 - 1), 1);
}

void access_gone(struct exchange *ex)
{
    counters_add(ex->server->counters, ex->cut ? COUNTER_requests_cut : COUNTER_requests_gone, 1);
}

void access_cut_off(struct exchange *ex)
{
    if (ex->req != NULL)
        ex->sent = ex->req->bytes_sent;
    ex->cut = true;
    access_ended(ex);
}

void access_refused(struct exchange *ex, enum reason reason)
{
    counters_refused(ex->server->counters, reason);
    dev_page_note_reason(ex->server, reason);
}

struct names { /* of an exchange, for a log line */
    char id[UUID_TEXT], trace[32];
    struct log_field script, request, trace_id;
};

static void name(const struct exchange *ex, struct names *n)
{
    const struct endpoint *e = exchange_endpoint(ex);
    uuid_text(&ex->view.id, n->id);
    trace_id_text(&ex->trace, &ex->view.id, n->trace);
    n->script = LOG_STR("script", e != NULL ? e->name : "");
    n->request = LOG_SLICE("request_id", ((struct slice){n->id, sizeof(n->id)}));
    n->trace_id = LOG_SLICE("trace_id", ((struct slice){n->trace, sizeof(n->trace)}));
}

size_t access_labels(void *cookie, struct host_labels *labels)
{
    const struct exchange *ex = cookie;
    const struct endpoint *e = exchange_endpoint(ex);
    CHECK(ex->magic == EXCHANGE_MAGIC);
    uuid_text(&ex->view.id, labels->request);
    trace_id_text(&ex->trace, &ex->view.id, labels->trace);
    labels->fields[0] = LOG_SLICE("request_id", ((struct slice){labels->request, sizeof(labels->request)}));
    labels->fields[1] = LOG_SLICE("trace_id", ((struct slice){labels->trace, sizeof(labels->trace)}));
    labels->fields[2] = LOG_STR("endpoint", e != NULL ? e->name : "");
    return 3;
}

bool access_trace(void *cookie, char text_out[HOST_TRACE])
{
    const struct exchange *ex = cookie;
    CHECK(ex->magic == EXCHANGE_MAGIC);
    if (ex->trace.carried)
        trace_text(&ex->trace, text_out);
    return ex->trace.carried;
}

/* To the log, and to the page that follows; of a stream that is broken off, none does. What scripts say may hold what
 * they know. */
static void tell_error(struct exchange *ex, struct slice words)
{
    struct buf clean = {0};
    struct names n;
    name(ex, &n);
    words = redact_clean(ex->server->host.redact, words, &clean);
    if (ex->status == 0)
        dev_page_note(ex->server, words);
    log_at(LOG_ERROR, "script error", n.script, n.request, n.trace_id, LOG_SLICE("error", words));
    buf_free(&clean);
}

void access_script_error(struct exchange *ex, const struct script_error *e)
{
    if (e->raised_problem)
        return;
    counters_add(ex->server->counters, COUNTER_script_errors, 1);
    if (e->interrupted)
        counters_add(ex->server->counters, COUNTER_script_interrupts, 1);
    if (e->memory)
        counters_add(ex->server->counters, COUNTER_script_memory, 1);
    tell_error(ex, buf_slice(&e->log));
}

void access_bad_reply(struct exchange *ex, const char *words)
{
    counters_add(ex->server->counters, COUNTER_script_errors, 1);
    tell_error(ex, slice_of(words));
}

void access_file_failed(struct exchange *ex, const char *words)
{
    struct buf clean = {0};
    struct names n;
    name(ex, &n);
    if (ex->status == 0)
        dev_page_note(ex->server, slice_of(words));
    log_at(LOG_ERROR, "file cannot be sent", n.script, n.request, n.trace_id,
           LOG_SLICE("error", redact_clean(ex->server->host.redact, slice_of(words), &clean)));
    buf_free(&clean);
}

static enum counter failure_counter(enum httpc_code code)
{
    switch (code) {
    case HTTPC_DNS:
    case HTTPC_REFUSED:
    case HTTPC_UNREACHABLE:
        return COUNTER_upstream_unreachable;
    case HTTPC_TLS:
        return COUNTER_upstream_tls;
    case HTTPC_TIMEOUT:
        return COUNTER_upstream_timeouts;
    case HTTPC_CIRCUIT_OPEN:
        return COUNTER_upstream_left_out;
    case HTTPC_CLOSED:
    case HTTPC_BAD_RESPONSE:
    case HTTPC_TOO_LARGE:
        return COUNTER_upstream_bad;
    default:
        return COUNTER_upstream_refused;
    }
}

static bool may_say(struct server *s)
{
    mono_t now = loop_now(s->host.loop);
    if (mono_since(now, s->upstream_second).ns >= DUR_S(1).ns) {
        s->upstream_second = now;
        s->upstream_said = 0;
    }
    return s->upstream_said++ < UPSTREAMS_A_SECOND;
}

void access_upstream_failed(struct exchange *ex, struct slice upstream, enum httpc_code code, const char *words,
                            bool last)
{
    struct server *s = ex->server;
    struct buf clean = {0};
    struct names n;
    counters_add(s->counters, failure_counter(code), 1);
    struct slice text = redact_clean(s->host.redact, slice_of(words), &clean);
    if (last && ex->status == 0)
        dev_page_note(s, text);
    if (may_say(s)) {
        name(ex, &n);
        log_at(LOG_WARN, last ? "upstream failed" : "upstream failed, another attempt follows", n.script, n.request,
               n.trace_id, LOG_SLICE("upstream", upstream), LOG_STR("code", httpc_code_name(code)),
               LOG_SLICE("error", text));
    }
    buf_free(&clean);
}

void access_timeout(struct exchange *ex)
{
    struct names n;
    name(ex, &n);
    dev_page_note_timeout(ex);
    counters_add(ex->server->counters, COUNTER_script_timeouts, 1);
    log_at(LOG_WARN, "request timed out", n.script, n.request, n.trace_id,
           LOG_FLOAT("seconds", (double)exchange_endpoint(ex)->timeout.ns / 1e9));
}

void access_stream_begun(struct exchange *ex)
{
    counters_add(ex->server->counters, COUNTER_streams, 1);
}

void access_stream_ended(struct exchange *ex, enum access_stream_end how)
{
    static const enum counter ends[] = {COUNTER_streams_complete, COUNTER_streams_gone, COUNTER_streams_broken};
    struct counters *c = ex->server->counters;
    counters_add(c, ends[how], 1);
    step(c, COUNTER_streams, -1);
    if (ex->gone)
        return; /* counted when its client was seen to leave, while the handler ran on */
    ex->gone = how == ACCESS_STREAM_GONE;
    ex->cut = how == ACCESS_STREAM_BROKEN;
    if (how == ACCESS_STREAM_GONE)
        access_gone(ex);
    else
        access_answered(ex, how == ACCESS_STREAM_COMPLETE ? ex->status : 500);
}

void access_stream_timeout(struct exchange *ex)
{
    struct names n;
    name(ex, &n);
    counters_add(ex->server->counters, COUNTER_script_timeouts, 1);
    log_at(LOG_WARN, "stream timed out", n.script, n.request, n.trace_id,
           LOG_FLOAT("seconds", (double)ex->plan.timeout.ns / 1e9));
}
