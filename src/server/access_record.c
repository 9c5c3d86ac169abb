/*
 * access_record.c: see access_record.h. No body, no header but Host and User-Agent, and nothing of the query; and no
 * value of env in what is left, whoever sent it there.
 */
#include "server/access_record.h"
#include "base/config.h"
#include "base/log.h"
#include "http/redact.h"
#include "ipc/records.h"
#include "server/exchange.h"
#include <unistd.h>

#define NOTED_A_SECOND 200   /* refused, failed, gone, cut */
#define ORDINARY_A_SECOND 50 /* "sampled": enough to see by eye what a quiet server does, nothing to a busy one */

static enum records_end end_of(const struct exchange *ex)
{
    if (ex->refused != REASON_none)
        return RECORDS_REFUSED;
    if (ex->cut)
        return RECORDS_CUT;
    return ex->gone || ex->status == 0 ? RECORDS_GONE : RECORDS_ANSWERED;
}

static bool take_one(uint32_t *count, uint32_t most)
{
    if (*count >= most)
        return false;
    (*count)++;
    return true;
}

/* Whether this one is recorded. */
static bool wanted(struct server *s, const struct exchange *ex, enum records_end end)
{
    struct access_record *a = &s->access;
    uint32_t share = s->host.config->log_access;
    if (share == 0 || !log_wanted(LOG_INFO))
        return false;
    if (share == CONFIG_ACCESS_ALL)
        return true;
    if (end != RECORDS_ANSWERED || ex->status >= 400)
        return take_one(&a->noted, NOTED_A_SECOND);
    if (share == CONFIG_ACCESS_SAMPLED)
        return take_one(&a->ordinary, ORDINARY_A_SECOND);
    a->share += share;
    if (a->share < CONFIG_ACCESS_ALL)
        return false;
    a->share -= CONFIG_ACCESS_ALL;
    return true;
}

/* The host as it routes; as it was sent where that holds a value of env, which need not be in lower case. */
static struct slice host_of(const struct redact *r, const struct http_request *v, struct buf *clean)
{
    return redact_text(r, v->authority, clean) ? buf_slice(clean) : redact_clean(r, v->host, clean);
}

static void put_record(struct exchange *ex, enum records_end end, dur_t duration)
{
    const struct http_request *v = &ex->view;
    const struct endpoint *e = exchange_endpoint(ex);
    struct server *s = ex->server;
    const struct redact *redact = s->host.redact;
    struct buf path = {0}, host = {0}, agent = {0}, subject = {0};
    char ip[IP_TEXT];
    struct records_exchange x = {
        .at = wall_now(),
        .duration = duration,
        .bytes_in = v->body.len,
        .bytes_out = ex->sent,
        .id = v->id,
        .pid = s->pid,
        .status = ex->status,
        .version = v->version,
        .end = end,
        .endpoint = e != NULL ? slice_of(e->name) : SLICE_NONE,
        .method = v->method,
        .path = redact_clean(redact, v->path, &path),
        .host = host_of(redact, v, &host),
        .ip = ip_text(&v->client, ip),
        .agent = redact_clean(redact, http_request_header(v, SLICE("user-agent")), &agent),
        .reason = ex->refused != REASON_none ? slice_of(policy_reason_name(ex->refused)) : SLICE_NONE,
        .upstream = ex->upstream,
        .upstream_time = ex->upstream_time,
        .auth_by = ex->auth.by,
        .auth_subject = redact_clean(redact, ex->auth.subject, &subject),
    };
    memcpy(x.trace, ex->trace.id, sizeof(x.trace));
    records_write_exchange(&s->host.records->writer, s->host.member, &x);
    buf_free(&path);
    buf_free(&host);
    buf_free(&agent);
    buf_free(&subject);
}

void access_record_end(struct exchange *ex, dur_t duration)
{
    struct server *s = ex->server;
    enum records_end end = end_of(ex);
    if (s->host.records == NULL)
        return;
    access_record_tick(s, loop_now(s->host.loop));
    if (wanted(s, ex, end)) {
        put_record(ex, end, duration);
        return;
    }
    s->access.left_out++;
    counters_add(s->counters, COUNTER_access_left_out, 1);
}

void access_record_tell(struct server *s)
{
    struct access_record *a = &s->access;
    if (a->left_out > 0 && s->host.config->log_access != 0)
        log_at(LOG_INFO, "more requests", LOG_INT("count", a->left_out));
    a->left_out = 0;
}

void access_record_tick(struct server *s, mono_t now)
{
    struct access_record *a = &s->access;
    if (mono_since(now, a->window).ns < DUR_S(1).ns)
        return;
    access_record_tell(s);
    a->window = now;
    a->noted = a->ordinary = 0;
}
