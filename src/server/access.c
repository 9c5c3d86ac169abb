/*
 * access.c: see access.h. A stranger decides how many requests are refused, so their log lines are bounded.
 */
#include "server/access.h"
#include "base/log.h"
#include "server/dev_page.h"
#include "server/exchange.h"

#define REFUSALS_A_SECOND 200

void access_begun(struct exchange *ex, int version)
{
    counters_add(ex->server->counters, version >= 0x200 ? COUNTER_requests_http2 : COUNTER_requests_http1, 1);
}

void access_answered(struct exchange *ex, int status)
{
    counters_add(ex->server->counters, (enum counter)(COUNTER_requests_1xx + status / 100 - 1), 1);
}

void access_gone(struct exchange *ex)
{
    counters_add(ex->server->counters, COUNTER_requests_gone, 1);
}

struct names { /* texts of an exchange's names, for a log line */
    char id[UUID_TEXT];
    struct slice id_text, endpoint;
};

static void name(const struct exchange *ex, struct names *n)
{
    const struct endpoint *e = exchange_endpoint(ex);
    uuid_text(&ex->view.id, n->id);
    n->id_text = (struct slice){n->id, UUID_TEXT};
    n->endpoint = e != NULL ? slice_of(e->name) : SLICE("");
}

/* Whether another line may be written in this second. */
static bool may_log(struct server *s)
{
    mono_t now = loop_now(s->host.loop);
    if (mono_since(now, s->log_window).ns >= DUR_S(1).ns) {
        if (s->log_left_out > 0)
            log_at(LOG_INFO, "more requests refused", LOG_INT("count", s->log_left_out));
        s->log_window = now;
        s->log_count = s->log_left_out = 0;
    }
    if (s->log_count < REFUSALS_A_SECOND) {
        s->log_count++;
        return true;
    }
    s->log_left_out++;
    return false;
}

void access_refused(struct exchange *ex, enum reason reason, int status)
{
    counters_refused(ex->server->counters, reason);
    dev_page_note_reason(ex->server, reason);
    if (!log_wanted(LOG_INFO) || !may_log(ex->server))
        return;
    struct names n;
    name(ex, &n);
    log_at(LOG_INFO, "request refused", LOG_STR("reason", policy_reason_name(reason)), LOG_INT("status", status),
           LOG_SLICE("endpoint", n.endpoint), LOG_SLICE("method", ex->view.method), LOG_SLICE("request_id", n.id_text),
           LOG_SLICE("ip", ex->view.ip));
}

void access_script_error(struct exchange *ex, const struct script_error *e)
{
    if (e->raised_problem)
        return;
    counters_add(ex->server->counters, COUNTER_script_errors, 1);
    dev_page_note(ex->server, buf_slice(&e->log));
    if (e->memory)
        counters_add(ex->server->counters, COUNTER_script_memory, 1);
    struct names n;
    name(ex, &n);
    log_at(LOG_ERROR, "script error", LOG_SLICE("script", n.endpoint), LOG_SLICE("request_id", n.id_text),
           LOG_SLICE("error", buf_slice(&e->log)));
}

void access_bad_reply(struct exchange *ex, const char *words)
{
    struct names n;
    name(ex, &n);
    counters_add(ex->server->counters, COUNTER_script_errors, 1);
    dev_page_note(ex->server, slice_of(words));
    log_at(LOG_ERROR, "script error", LOG_SLICE("script", n.endpoint), LOG_SLICE("request_id", n.id_text),
           LOG_STR("error", words));
}

void access_file_failed(struct exchange *ex, const char *words)
{
    struct names n;
    name(ex, &n);
    log_at(LOG_ERROR, "file cannot be sent", LOG_SLICE("script", n.endpoint), LOG_SLICE("request_id", n.id_text),
           LOG_STR("error", words));
}

void access_timeout(struct exchange *ex)
{
    struct names n;
    name(ex, &n);
    counters_add(ex->server->counters, COUNTER_script_timeouts, 1);
    log_at(LOG_WARN, "request timed out", LOG_SLICE("script", n.endpoint), LOG_SLICE("request_id", n.id_text),
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
    counters_set(c, COUNTER_streams, counters_get(c, COUNTER_streams) - 1);
    if (ex->gone)
        return; /* counted when its client was seen to leave, while the handler ran on */
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
    log_at(LOG_WARN, "stream timed out", LOG_SLICE("script", n.endpoint), LOG_SLICE("request_id", n.id_text),
           LOG_FLOAT("seconds", (double)ex->plan.timeout.ns / 1e9));
}
