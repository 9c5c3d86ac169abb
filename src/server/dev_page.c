/*
 * dev_page.c: see dev_page.h.
 */
#include "server/dev_page.h"
#include "base/log.h"
#include "base/panic.h"
#include "codec/json.h"
#include "http/problem.h"
#include "http/redact.h"
#include "route/generation.h"
#include "script/error.h"
#include "server/exchange.h"
#include <stdio.h>

#define NOTES_MAX 65536
#define LEAD "crescent --dev: strangers get the status, and none of this."

/* --- what is to be said ----------------------------------------------------------------------------------------- */

void dev_page_note(struct server *s, struct slice text)
{
    struct buf clean = {0};
    if (!s->host.config->dev)
        return;
    text = redact_clean(s->host.redact, text, &clean);
    if (s->dev_notes.len + text.len <= NOTES_MAX) {
        buf_add_slice(&s->dev_notes, text);
        buf_add_char(&s->dev_notes, '\n');
    }
    buf_free(&clean);
}

void dev_page_note_reason(struct server *s, enum reason reason)
{
    char line[64];
    snprintf(line, sizeof(line), "refused: %s", policy_reason_name(reason));
    dev_page_note(s, slice_of(line));
}

void dev_page_note_routes(struct server *s, const struct generation *g)
{
    if (!s->host.config->dev)
        return;
    dev_page_note(s, g->endpoint_count > 0 ? SLICE("These routes are served:") : SLICE("There is no script yet."));
    for (size_t i = 0; i < g->endpoint_count; i++) {
        const struct endpoint *e = g->endpoints[i];
        struct buf line = {0};
        for (size_t k = 0; k < e->route_count; k++) {
            buf_clear(&line);
            buf_addf(&line, "  %s%s  (%s)", e->routes[k].host != NULL ? e->routes[k].host : "", e->routes[k].path,
                     e->file);
            dev_page_note(s, buf_slice(&line));
        }
        buf_free(&line);
    }
}

/* What waits is a script, or the server for it. */
void dev_page_note_timeout(struct exchange *ex)
{
    const struct endpoint *e = exchange_endpoint(ex);
    struct buf text = {0};
    if (!ex->server->host.config->dev)
        return;
    buf_addf(&text, "%s took longer than its timeout of %g s", e->file, (double)e->timeout.ns / 1e9);
    if (ex->task != NULL) {
        buf_add_text(&text, ", and waited here:\n");
        script_error_where(ex->task, &text);
    }
    dev_page_note(ex->server, buf_slice(&text));
    buf_free(&text);
}

/* --- the three forms -------------------------------------------------------------------------------------------- */

/* A weight of zero among the parameters: "q=0.0" (RFC 9110 12.4.2). */
static bool refused(struct slice parameters)
{
    struct slice one;
    while (slice_cut(&parameters, ';', &one)) {
        one = slice_trim(one);
        if (one.len < 3 || !slice_equal_nocase((struct slice){one.at, 2}, SLICE("q=")))
            continue;
        size_t zeros = 2;
        while (zeros < one.len && (one.at[zeros] == '0' || one.at[zeros] == '.'))
            zeros++;
        return zeros == one.len;
    }
    return false;
}

/* Whether Accept names the type, or one that ends so. */
static bool accepts(const struct exchange *ex, struct slice type)
{
    struct slice accept = http_request_header(&ex->view, SLICE("accept")), range, name;
    while (slice_cut(&accept, ',', &range)) {
        slice_cut(&range, ';', &name);
        name = slice_trim(name);
        if (name.len >= type.len && slice_equal_nocase(slice_from(name, name.len - type.len), type) && !refused(range))
            return true;
    }
    return false;
}

static void add_escaped(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        if (c == '&' || c == '<' || c == '>' || c == '"' || c == '\'')
            buf_addf(out, "&#%d;", c);
        else
            buf_add_char(out, c);
    }
}

/* The first line: "500 Internal Server Error: github", and what was asked. */
static void add_title(const struct exchange *ex, int status, struct buf *out)
{
    const struct endpoint *e = ex->match.endpoint;
    buf_addf(out, "%d %s", status, problem_title(status));
    if (ex->generation != NULL && e != NULL)
        buf_addf(out, ": %s", e->file);
}

static void add_request(const struct exchange *ex, struct buf *out)
{
    struct buf clean = {0};
    struct slice path = redact_clean(ex->server->host.redact, ex->view.path, &clean);
    char id[UUID_TEXT];
    uuid_text(&ex->view.id, id);
    buf_addf(out, "%.*s %.*s, request %.*s", SLICE_ARG(ex->view.method), SLICE_ARG(path), UUID_TEXT, id);
    buf_free(&clean);
}

/* A terminal, or who reads, would obey what a stranger had sent. */
static void hide_controls(struct buf *text)
{
    for (size_t i = 0; i < text->len; i++) {
        int c = log_control((struct slice){text->at + i, text->len - i});
        if (c >= 0 && c != '\n' && c != '\t')
            memset(text->at + i, '?', c < 0x80 ? 1 : c < 0x800 ? 2 : 3); /* all bytes of it */
    }
}

static void make_text(const struct exchange *ex, int status, struct slice detail, struct slice notes, struct buf *out)
{
    add_title(ex, status, out);
    buf_add_text(out, "\n\n");
    if (detail.len > 0)
        buf_addf(out, "%.*s\n", SLICE_ARG(detail));
    buf_addf(out, "%.*s\n", SLICE_ARG(notes));
    add_request(ex, out);
    buf_add_text(out, "\n" LEAD "\n");
}

static void make_html(const struct exchange *ex, int status, struct slice detail, struct slice notes, struct buf *out)
{
    struct buf part = {0};
    add_title(ex, status, &part);
    buf_add_text(out, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>");
    add_escaped(out, buf_slice(&part));
    buf_add_text(out,
                 "</title>\n<style>body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:3rem auto;padding:0 "
                 "1rem;color:#222;background:#fff}h1{font-size:1.4rem}pre{background:#f4f4f2;border-left:4px solid "
                 "#b3261e;padding:1rem;overflow:auto;font:14px/1.5 monospace}footer{color:#666;font-size:.9rem}"
                 "</style></head>\n<body><h1>");
    add_escaped(out, buf_slice(&part));
    buf_add_text(out, "</h1>\n");
    if (detail.len > 0) {
        buf_add_text(out, "<p>");
        add_escaped(out, detail);
        buf_add_text(out, "</p>\n");
    }
    buf_add_text(out, "<pre>");
    add_escaped(out, notes);
    buf_add_text(out, "</pre>\n<footer>");
    buf_clear(&part);
    add_request(ex, &part);
    add_escaped(out, buf_slice(&part));
    buf_add_text(out, "<br>" LEAD "</footer></body></html>\n");
    buf_free(&part);
}

/* The problem, with the notes as a member of it. */
static void make_problem(struct exchange *ex, int status, struct slice detail, struct slice members, struct slice notes)
{
    struct server *s = ex->server;
    struct buf more = {0};
    struct json_writer w;
    buf_add_slice(&more, members);
    if (members.len > 0)
        buf_add_char(&more, ',');
    buf_add_text(&more, "\"explanation\":");
    json_write_begin(&w, &more);
    json_write_text(&w, notes);
    problem_make(&s->response, status, detail, &ex->view.id, buf_slice(&more), &s->room);
    buf_free(&more);
}

static void make_page(struct exchange *ex, int status, struct slice detail, struct slice notes)
{
    static const struct {
        struct slice name, value;
    } headers[] = {{SLICE("content-security-policy"), SLICE("default-src 'none'; style-src 'unsafe-inline'")},
                   {SLICE("x-content-type-options"), SLICE("nosniff")},
                   {SLICE("cache-control"), SLICE("no-store")}};
    struct server *s = ex->server;
    struct http_response *r = &s->response;
    bool html = accepts(ex, SLICE("text/html"));
    buf_clear(&s->room);
    if (html)
        make_html(ex, status, detail, notes, &s->room);
    else
        make_text(ex, status, detail, notes, &s->room);
    hide_controls(&s->room);
    r->status = status;
    r->body = buf_slice(&s->room);
    CHECK(http_response_add(r, SLICE("content-type"),
                            html ? SLICE("text/html; charset=utf-8") : SLICE("text/plain; charset=utf-8"), NULL) == 0);
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
        CHECK(http_response_add(r, headers[i].name, headers[i].value, NULL) == 0);
}

bool dev_page_make(struct exchange *ex, int status, struct slice detail, struct slice members)
{
    struct server *s = ex->server;
    struct slice notes = buf_slice(&s->dev_notes);
    if (notes.len == 0)
        return false;
    if (!accepts(ex, SLICE("text/html")) && accepts(ex, SLICE("json")))
        make_problem(ex, status, detail, members, notes);
    else
        make_page(ex, status, detail, notes);
    buf_clear(&s->dev_notes);
    return true;
}
