/*
 * httpc_deadline.c: the times of a call: all of it, its connection, the silence within a streamed reply; and what it
 * means for the host that it was waited for in vain. See httpc_internal.h.
 */
#include "base/panic.h"
#include "io/httpc_internal.h"

/*
 * Who waited for a turn knows nothing of the host, and neither does who gave it less than HTTPC_FAIR: the shortest
 * timeout that some script chooses must not open a circuit for all others. Once the header was there nobody asks.
 */
static enum outbound_outcome blame(const struct httpc_call *call, dur_t spent)
{
    dur_t given = mono_since(loop_now(call->client->host.loop), call->ran);
    bool fair = call->state == HTTPC_RUNNING && spent.ns >= HTTPC_FAIR.ns && given.ns >= HTTPC_FAIR.ns;
    return fair ? OUTBOUND_FAILED : OUTBOUND_UNKNOWN;
}

enum outbound_outcome httpc_deadline_blame(const struct httpc_call *call)
{
    if (call->request.until.ns == 0 || mono_before(loop_now(call->client->host.loop), call->request.until))
        return OUTBOUND_UNKNOWN;
    return blame(call, HTTPC_FAIR);
}

static void expire(struct httpc_call *call, dur_t spent)
{
    enum outbound_outcome outcome = blame(call, spent);
    httpc_outcome_timeout(call, spent);
    httpc_abandon(call, outcome);
    if (httpc_is_streamed(call))
        buf_clear(&call->data);
    httpc_end(call);
}

static void on_deadline(struct timeout *t)
{
    struct httpc_call *call = CONTAINER_OF(t, struct httpc_call, deadline);
    expire(call, call->request.timeout);
}

void httpc_deadline_begin(struct httpc_call *call)
{
    call->ran = mono_now();
    if (call->request.timeout.ns > 0)
        timeout_set(call->client->host.loop, &call->deadline, mono_add(call->ran, call->request.timeout), on_deadline);
}

static void on_connect_timeout(struct timeout *t)
{
    struct httpc_call *call = CONTAINER_OF(t, struct httpc_call, connect);
    if (call->asked == 0) /* else it was connected in time */
        expire(call, call->request.connect_timeout);
}

void httpc_deadline_connections(struct httpc *c)
{
    while (!list_empty(&c->young)) {
        struct httpc_call *call = CONTAINER_OF(c->young.next, struct httpc_call, young);
        list_remove(&call->young);
        if (call->asked == 0 && call->state == HTTPC_RUNNING)
            timeout_set(c->host.loop, &call->connect, mono_add(loop_now(c->host.loop), call->request.connect_timeout),
                        on_connect_timeout);
    }
}

static void on_silence(struct timeout *t)
{
    struct httpc_call *call = CONTAINER_OF(t, struct httpc_call, deadline);
    expire(call, call->request.idle);
}

void httpc_deadline_silence(struct httpc_call *call)
{
    struct loop *l = call->client->host.loop;
    if (call->held || call->request.idle.ns == 0 || call->state != HTTPC_RUNNING)
        timeout_clear(&call->deadline);
    else
        timeout_set(l, &call->deadline, mono_add(loop_now(l), call->request.idle), on_silence);
}
