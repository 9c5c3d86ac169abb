/*
 * cancel.c: see cancel.h.
 */
#include "server/cancel.h"
#include "base/panic.h"
#include "server/access.h"
#include "server/answer_file.h"
#include "server/answer_proxy.h"
#include "server/exchange.h"

bool cancel_wanted(const struct exchange *ex)
{
    const struct endpoint *e = exchange_endpoint(ex);
    if (e == NULL || ex->abused || e->on_disconnect == DISCONNECT_CANCEL)
        return true;
    if (e->on_disconnect == DISCONNECT_FINISH)
        return false;
    return slice_equal(ex->view.method, SLICE("GET")) || slice_equal(ex->view.method, SLICE("HEAD"));
}

/* Nothing of the script runs any more. */
static void stop(struct exchange *ex)
{
    timeout_clear(&ex->deadline);
    loop_later_cancel(&ex->later);
    list_remove(&ex->behind);
    if (ex->task != NULL)
        task_cancel(&ex->task);
    answer_file_stop(ex);
    answer_proxy_stop(ex);
}

static void deadline_passed(struct timeout *t)
{
    struct exchange *ex = CONTAINER_OF(t, struct exchange, deadline);
    CHECK(ex->magic == EXCHANGE_MAGIC);
    access_timeout(ex);
    stop(ex);
    exchange_response(ex);
    exchange_problem(ex, 504, SLICE("the handler did not answer in time"), SLICE_NONE);
    exchange_over(ex);
}

mono_t cancel_deadline(void *cookie)
{
    const struct exchange *ex = cookie;
    CHECK(ex->magic == EXCHANGE_MAGIC);
    if (timeout_is_set(&ex->deadline))
        return ex->deadline.at;
    if (ex->stream != NULL) /* it has no limit of its own */
        return MONO_NEVER;
    return mono_add(ex->started, exchange_endpoint(ex)->timeout); /* it will be set with the first wait */
}

void cancel_arm(struct exchange *ex)
{
    struct server *s = ex->server;
    CHECK(ex->status == 0 && (ex->task != NULL || ex->file != NULL || ex->proxy != NULL || !list_empty(&ex->behind)));
    if (ex->proxy == NULL && !timeout_is_set(&ex->deadline))
        timeout_set(s->host.loop, &ex->deadline, cancel_deadline(ex), deadline_passed);
    list_remove(&ex->link);
    list_add(&s->waiting, &ex->link);
    /* A reset frees an HTTP/2 request at once; an HTTP/1 request stays until it is answered. */
    if (ex->req != NULL && ex->req->version >= 0x200 && !cancel_wanted(ex))
        exchange_detach(ex);
}

void cancel_gone(struct exchange *ex)
{
    if (!ex->gone)
        access_gone(ex);
    ex->gone = true;
    /* Without a copy there is nothing left to finish with. */
    if (!cancel_wanted(ex) && (ex->req != NULL || ex->view.own != NULL))
        return;
    stop(ex);
    if (ex->req == NULL) {
        ex->over = true; /* its end follows in the caller */
        return;
    }
    /* libh2o looks at an HTTP/1 connection again only when it is answered. */
    ex->req->http1_is_persistent = 0;
    exchange_response(ex);
    exchange_problem(ex, 503, SLICE("the client has gone"), SLICE_NONE);
    exchange_over(ex);
}

void cancel_left(struct connection *c)
{
    while (!list_empty(&c->left)) {
        struct exchange *ex = CONTAINER_OF(c->left.next, struct exchange, left);
        CHECK(ex->magic == EXCHANGE_MAGIC && ex->req == NULL);
        list_remove(&ex->left);
        ex->abused = true;
        cancel_gone(ex);
        exchange_over(ex);
    }
}
