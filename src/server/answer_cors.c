/*
 * answer_cors.c: see answer_cors.h.
 */
#include "server/answer_cors.h"
#include "base/panic.h"
#include "policy/cors.h"
#include "server/dev_page.h"
#include "server/http2_head.h"
#include "server/steps.h"

static const struct cors *cors_of(const struct exchange *ex)
{
    const struct endpoint *e = exchange_endpoint(ex);
    return e != NULL ? e->cors : NULL;
}

/* For whoever writes the script: which origin, and which are listed. */
static void note_origin(struct exchange *ex)
{
    const struct cors *c = cors_of(ex);
    struct slice origin = http_request_header(&ex->view, SLICE("origin"));
    struct buf line = {0};
    buf_addf(&line, "Origin is \"%.*s\"; cors allows", SLICE_ARG(origin));
    for (size_t i = 0; i < c->count; i++)
        buf_addf(&line, "%s %s", i > 0 ? "," : "", c->entries[i].text);
    dev_page_note(ex->server, buf_slice(&line));
    buf_free(&line);
}

enum step_result answer_cors_step(struct exchange *ex)
{
    const struct cors *c = cors_of(ex);
    if (c == NULL)
        return STEP_NEXT;
    enum cors_verdict verdict = cors_judge(c, &ex->view);
    if (verdict == CORS_REFUSED) {
        if (ex->server->host.config->dev)
            note_origin(ex);
        exchange_response(ex);
        exchange_refuse(ex, REASON_origin_not_allowed, "pages of this origin may not use this endpoint");
        return STEP_DONE;
    }
    if (verdict != CORS_ALLOWED || !cors_is_preflight(&ex->view))
        return STEP_NEXT;
    struct slice allow = slice_of(exchange_endpoint(ex)->allow);
    if (cors_preflight(c, &ex->view, allow, exchange_response(ex)) == 0) {
        exchange_answer(ex); /* a cleared response is an empty 204 */
        return STEP_DONE;
    }
    exchange_response(ex);
    exchange_refuse(ex, REASON_bad_request, "access-control-request-headers is no list of header names");
    return STEP_DONE;
}

void answer_cors_add(struct exchange *ex)
{
    const struct cors *c = cors_of(ex);
    if (c != NULL)
        cors_answer(c, &ex->view, &ex->server->response);
}

void answer_cors_unrouted(struct exchange *ex)
{
    CHECK(ex->generation == NULL);
    if (http2_head_is_gone(ex->req)) /* and with it Origin, and whom a proxy names */
        return;
    const struct endpoint *e = steps_endpoint_at(ex->server, ex->view.host, ex->view.path);
    if (e != NULL && e->cors != NULL)
        cors_answer(e->cors, &ex->view, &ex->server->response);
}

static int refuse_header(struct slice name, struct error *err)
{
    return error_set(err, "header %.*s: the endpoint declares cors, which decides about it", SLICE_ARG(name));
}

int answer_cors_check(const struct exchange *ex, struct error *err)
{
    const struct http_response *r = &ex->server->response;
    const struct proxy_plan *proxy = ex->plan.proxy;
    if (cors_of(ex) == NULL)
        return 0;
    for (size_t i = 0, at = 0; i < r->header_count; i++) {
        struct slice name = {r->bytes.at + at, r->header[i].name_len};
        if (cors_decides(name))
            return refuse_header(name, err);
        at += (size_t)r->header[i].name_len + r->header[i].value_len;
    }
    for (size_t i = 0; proxy != NULL && i < proxy->response.count; i++)
        if (cors_decides(proxy->response.at[i].name))
            return refuse_header(proxy->response.at[i].name, err);
    return 0;
}

void answer_cors_clean(struct exchange *ex)
{
    if (cors_of(ex) != NULL)
        cors_remove(&ex->server->response);
}
