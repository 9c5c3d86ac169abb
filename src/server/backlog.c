/*
 * backlog.c: see backlog.h. Whoever is let go on looks again when it is its turn: those before it may have filled the
 * room.
 */
#include "server/backlog.h"
#include "base/panic.h"
#include "server/access.h"

static bool is_full(const struct exchange *ex)
{
    return ex->connection->held > ex->server->host.config->limits.answers;
}

enum step_result backlog_step(struct exchange *ex)
{
    struct connection *c = ex->connection;
    if (c == NULL || !c->http2 || !is_full(ex))
        return STEP_NEXT;
    counters_add(ex->server->counters, COUNTER_requests_held, 1);
    list_add(&c->behind, &ex->behind);
    access_rests(ex);
    return STEP_WAIT;
}

void backlog_add(struct exchange *ex, size_t bytes)
{
    struct connection *c = ex->connection;
    if (c == NULL || !c->http2)
        return;
    ex->held = bytes;
    c->held += bytes;
}

/* The pipeline goes on with the step behind the one that waited: here it is to be the same again. */
static void look_again(struct exchange *ex)
{
    list_remove(&ex->behind);
    access_works(ex);
    ex->step--;
    ex->outcome = STEP_NEXT;
    loop_later(ex->server->host.loop, &ex->later);
}

void backlog_remove(struct exchange *ex)
{
    struct connection *c = ex->connection;
    if (!list_empty(&ex->behind)) /* without its client it finishes, or is cancelled */
        look_again(ex);
    if (c == NULL)
        return;
    CHECK(c->held >= ex->held);
    c->held -= ex->held;
    ex->held = 0;
    while (!list_empty(&c->behind) && !is_full(ex))
        look_again(CONTAINER_OF(c->behind.next, struct exchange, behind));
}
