/*
 * exchange.c: birth, answer and end of an exchange. See exchange.h.
 */
#include "server/exchange.h"
#include "base/panic.h"
#include "crypto/identity.h"
#include "http/problem.h"
#include "route/generation.h"
#include "server/access.h"
#include "server/answer_cors.h"
#include "server/backlog.h"
#include "server/dev_page.h"
#include "server/http2_guard.h"
#include "server/probation.h"
#include "server/steps_rate.h"
#include <stdlib.h>

#define SPARE_MAX 1024

struct hook { /* lives in the request's pool; its end is the request's */
    struct exchange *exchange;
    void (*gone)(struct exchange *ex);
};

static void end_if_idle(struct exchange *ex)
{
    CHECK(ex->magic == EXCHANGE_MAGIC);
    if (ex->req != NULL || !ex->over)
        return;
    struct server *s = ex->server;
    CHECK(ex->task == NULL && ex->stream == NULL && ex->script == NULL && ex->file == NULL && ex->proxy == NULL &&
          !timeout_is_set(&ex->deadline));
    access_ended(ex);
    probation_over(ex);
    bind_req_end(&ex->bind);
    bind_reply_plan_drop(state_lua(s->host.state), &ex->plan);
    list_remove(&ex->link);
    list_remove(&ex->left);
    loop_later_cancel(&ex->later);
    if (ex->view.own != NULL)
        http_request_free(&ex->view);
    if (ex->body != NULL)
        h2o_buffer_dispose(&ex->body);
    generation_release(&ex->generation);
    identity_release(&ex->identity);
    ex->magic = 0;
    if (s->spare_count == SPARE_MAX) {
        buf_free(&ex->event_type);
        free(ex);
        return;
    }
    ex->next = s->spare;
    s->spare = ex;
    s->spare_count++;
}

static void disposed(void *data)
{
    struct hook *hook = data;
    struct exchange *ex = hook->exchange;
    CHECK(ex->magic == EXCHANGE_MAGIC);
    struct connection *c = ex->connection;
    ex->sent = ex->req->bytes_sent;
    ex->abused = c != NULL && c->abused;
    if (ex->status == 0 && !ex->gone && c != NULL)
        ex->cut = c->cut;
    backlog_remove(ex);
    ex->req = NULL;
    ex->connection = NULL;
    if (ex->status == 0 && !ex->over)
        hook->gone(ex); /* may set `over` */
    /* What it was asked goes with libh2o's request, but for a copy: then its work may go on, and say how it ends. */
    if (ex->status != 0 || ex->view.own == NULL)
        access_ended(ex);
    if (c != NULL && ex->status == 0 && !ex->over)
        list_add(&c->left, &ex->left);
    if (c != NULL)
        connections_end(c);
    end_if_idle(ex);
}

static void begin_on(struct connection *c, h2o_req_t *req)
{
    bool http2 = req->version >= 0x200;
    connections_begin(c, http2);
    if (!connections_last_request(c))
        return;
    if (http2)
        c->retiring = true;
    else
        req->http1_is_persistent = 0;
}

struct exchange *exchange_new(struct server *s, h2o_req_t *req, void (*go_on)(struct loop_later *),
                              void (*gone)(struct exchange *))
{
    struct exchange *ex = s->spare;
    struct buf event_type = {0};
    if (ex != NULL) {
        s->spare = ex->next;
        s->spare_count--;
        event_type = ex->event_type;
        buf_clear(&event_type);
    } else {
        ex = need_alloc(sizeof(*ex));
    }
    /* Not the view and the match, which are filled as a whole before they are read. */
    ex->magic = EXCHANGE_MAGIC;
    ex->next = NULL;
    list_init(&ex->link);
    list_init(&ex->behind);
    list_init(&ex->left);
    ex->held = 0;
    ex->swept = s->sweep_number; /* by the next one: newcomers must not hold this one up */
    ex->server = s;
    ex->connection = connections_of_request(req);
    ex->req = req;
    ex->identity = NULL;
    ex->generation = NULL;
    ex->handler = NULL;
    ex->auth = (struct verify_auth){.by = SLICE_NONE};
    ex->event_type = event_type;
    ex->bind = (struct bind_req){.http = &ex->view,
                                 .match = &ex->match,
                                 .auth = &ex->auth,
                                 .event_type = SLICE_NONE,
                                 .state = s->host.state,
                                 .memory = &s->body_memory,
                                 .peer = ex->connection != NULL ? ex->connection->peer : 0};
    ex->body = NULL;
    ex->step = 0;
    ex->outcome = STEP_NEXT;
    ex->starting = ex->working = ex->over = ex->gone = ex->abused = false;
    ex->task = NULL;
    ex->started = loop_now(s->host.loop);
    ex->deadline.loop = NULL;
    ex->stream = NULL;
    ex->plan.function = 0;
    ex->plan.proxy = NULL;
    ex->script = NULL;
    ex->file = NULL;
    ex->proxy = NULL;
    ex->upstream = SLICE_NONE;
    ex->upstream_time = (dur_t){0};
    ex->progress = 0;
    ex->rate_at = (mono_t){0};
    ex->trace.carried = false;
    memset(ex->trace.id, 0, sizeof(ex->trace.id));
    ex->rate.known = ex->rate.refused = 0;
    ex->refused = REASON_none;
    ex->probe = 0;
    ex->cut = ex->recorded = false;
    ex->status = 0;
    loop_later_init(&ex->later, go_on);

    struct hook *hook = h2o_mem_alloc_shared(&req->pool, sizeof(*hook), disposed);
    *hook = (struct hook){ex, gone};
    if (ex->connection != NULL)
        begin_on(ex->connection, req);
    access_begun(ex, req->version);
    return ex;
}

/* The same bytes in the copy, when s lies in the original. */
static bool moved(struct slice *s, struct slice original, struct slice copy)
{
    if (s->at == NULL || original.at == NULL || s->at < original.at || s->at + s->len > original.at + original.len)
        return false;
    s->at = copy.at + (s->at - original.at);
    return true;
}

static void move_slice(struct slice *s, const struct http_request *old, const struct http_request *new)
{
    if (moved(s, old->path, new->path) || moved(s, old->raw_path, new->raw_path) || moved(s, old->query, new->query) ||
        moved(s, old->body, new->body) || moved(s, old->authority, new->authority) || moved(s, old->host, new->host) ||
        moved(s, old->method, new->method))
        return;
    for (size_t i = 0; i < old->header_count; i++) {
        if (moved(s, old->headers[i].value, new->headers[i].value) ||
            moved(s, old->headers[i].name, new->headers[i].name))
            return;
    }
}

void exchange_detach(struct exchange *ex)
{
    if (ex->view.own != NULL)
        return;
    struct http_request old = ex->view;
    ex->body = http2_guard_take_body(ex->req);
    CHECK(old.body.len == 0 || (ex->body != NULL && old.body.at == ex->body->bytes));
    ex->view.body = SLICE_NONE; /* it is not copied */
    http_request_detach(&ex->view);
    ex->view.body = old.body;
    for (size_t i = 0; exchange_endpoint(ex) != NULL && i < ex->match.param_count; i++)
        move_slice(&ex->match.values[i], &old, &ex->view);
    move_slice(&ex->auth.by, &old, &ex->view);
    move_slice(&ex->auth.subject, &old, &ex->view);
    move_slice(&ex->bind.event_type, &old, &ex->view);
}

struct http_response *exchange_response(struct exchange *ex)
{
    http_response_clear(&ex->server->response);
    return &ex->server->response;
}

void exchange_complete(struct exchange *ex)
{
    char text[TRACE_TEXT];
    answer_cors_add(ex);
    steps_rate_headers(ex);
    if (!ex->trace.carried || http_response_has(&ex->server->response, SLICE("traceresponse")))
        return;
    trace_text(&ex->trace, text);
    http_response_add_own(&ex->server->response, SLICE("traceresponse"), (struct slice){text, sizeof(text)});
}

void exchange_answer(struct exchange *ex)
{
    struct server *s = ex->server;
    CHECK(ex->magic == EXCHANGE_MAGIC && ex->status == 0 && ex->task == NULL);
    timeout_clear(&ex->deadline);
    bind_req_end(&ex->bind);
    access_rests(ex);
    ex->status = s->response.status;
    if (ex->req == NULL)
        return; /* counted when the client went; in `waiting` still, so that a drain waits for its end, which follows */
    list_remove(&ex->link);
    if (!ex->gone)
        access_answered(ex, ex->status);
    if (s->draining)
        ex->req->http1_is_persistent = 0;
    list_add(&s->answering, &ex->link);
    ex->progress_at = loop_now(s->host.loop);
    exchange_complete(ex);
    backlog_add(ex, s->response.body.len);
    http_response_send(&s->response, ex->req);
}

void exchange_problem(struct exchange *ex, int status, struct slice detail, struct slice members)
{
    struct server *s = ex->server;
    if (!dev_page_make(ex, status, detail, members))
        problem_make(&s->response, status, detail, &ex->view.id, members, &s->room);
    exchange_answer(ex);
}

void exchange_refuse(struct exchange *ex, enum reason reason, const char *detail)
{
    int status = policy_reason_status(reason);
    ex->refused = reason;
    access_refused(ex, reason);
    exchange_problem(ex, status, slice_of(detail), SLICE_NONE);
}

void exchange_over(struct exchange *ex)
{
    ex->over = true;
    end_if_idle(ex);
}
