/*
 * records_format.c: records as lines; see records.h. What is not there is left out of its line.
 * Owns nothing. Runs in: any thread, pure. Never fails.
 */
#include "ipc/records.h"
#include <stdio.h>

#define WORDS_MAX 1500 /* method and path of an exchange, as they are cut */

static const char *const messages[] = {"request", "request refused", "request gone", "request cut"};
/* In text, behind the status; a refusal has its reason. */
static const char *const marks[] = {"", "", " (client gone)", " (cut)"};

static void add(struct log_line *line, struct log_field *fields, struct log_field f)
{
    if (f.kind != 's' || f.s.at != NULL)
        fields[line->count++] = f;
}

static const char *version_text(int version)
{
    return version >= 0x200 ? "2" : version == 0x101 ? "1.1" : "1.0";
}

struct ids { /* as text */
    char request[UUID_TEXT], trace[32];
};

/* What identifies the exchange; without a trace of its caller's it is a trace by itself, of the request's own id. */
static void add_ids(struct log_line *line, struct log_field *fields, const struct records_exchange *x, struct ids *ids)
{
    static const char digits[] = "0123456789abcdef";
    static const unsigned char none[16];
    const unsigned char *trace = memcmp(x->trace, none, sizeof(none)) != 0 ? x->trace : x->id.bytes;
    for (size_t i = 0; i < 16; i++) {
        ids->trace[2 * i] = digits[trace[i] >> 4];
        ids->trace[2 * i + 1] = digits[trace[i] & 15];
    }
    uuid_text(&x->id, ids->request);
    add(line, fields, LOG_SLICE("request_id", ((struct slice){ids->request, UUID_TEXT})));
    add(line, fields, LOG_SLICE("trace_id", ((struct slice){ids->trace, sizeof(ids->trace)})));
}

static void format_exchange(struct buf *out, enum log_form form, struct record *r, const char *process)
{
    const struct records_exchange *x = &r->exchange;
    struct log_field f[20];
    struct log_line line = {.level = LOG_INFO, .at = x->at, .process = process, .pid = x->pid, .fields = f};
    struct ids ids;
    char words[WORDS_MAX];
    line.message = slice_of(messages[x->end]);
    if (form == LOG_JSON_LINES) {
        add(&line, f, LOG_SLICE("method", x->method));
        add(&line, f, LOG_SLICE("path", x->path));
        add(&line, f, LOG_INT("status", x->status));
    } else { /* "POST /github 200" reads better than three fields */
        snprintf(words, sizeof(words), "%.*s %.*s %d%s", SLICE_ARG(x->method), SLICE_ARG(x->path), x->status,
                 marks[x->end]);
        line.message = slice_of(words);
    }
    add(&line, f, LOG_SLICE("reason", x->reason));
    add(&line, f, LOG_FLOAT("duration_ms", (double)x->duration.ns / 1e6));
    add(&line, f, LOG_INT("bytes_in", x->bytes_in));
    add(&line, f, LOG_INT("bytes_out", x->bytes_out));
    add(&line, f, LOG_SLICE("upstream", x->upstream));
    if (x->upstream_time.ns > 0)
        add(&line, f, LOG_FLOAT("upstream_ms", (double)x->upstream_time.ns / 1e6));
    add(&line, f, LOG_SLICE("endpoint", x->endpoint));
    add(&line, f, LOG_SLICE("ip", x->ip));
    add(&line, f, LOG_SLICE("host", x->host));
    add(&line, f, LOG_STR("version", version_text(x->version)));
    add(&line, f, LOG_SLICE("user_agent", x->agent));
    add(&line, f, LOG_SLICE("auth_by", x->auth_by));
    add(&line, f, LOG_SLICE("auth_subject", x->auth_subject));
    add_ids(&line, f, x, &ids);
    log_format(out, form, &line);
}

void records_format(struct buf *out, enum log_form form, struct record *r, const char *process)
{
    if (r->kind == RECORDS_EXCHANGE) {
        format_exchange(out, form, r, process);
        return;
    }
    r->line.process = process;
    log_format(out, form, &r->line);
}
