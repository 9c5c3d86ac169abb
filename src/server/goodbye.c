/*
 * goodbye.c: see goodbye.h. A GOAWAY that names no last stream, so that the peer begins nothing more, and (a second
 * later at the earliest) one that does, after which libh2o 2.2.5 lets the connection end with its last answer.
 *
 * The library tells all of its connections at once, and sends the second by a timer of its own. So it drops what is
 * still being received then, though it has promised to take it; tells those that came in between the second without the
 * first, with streams under way that it does not count; and those whose preface has not come yet a GOAWAY before its
 * SETTINGS, which is an error to the peer. Here its timer is ours, and whoever is not due is out of its list meanwhile.
 */
#include "server/goodbye.h"
#include "server/http2_guard.h"
#include "server/server_internal.h"
#include "server/sweep.h"

#define GOODBYE_WAIT DUR_S(1) /* between the two: a round trip, and time for requests that were on their way */

typedef bool due_fn(const struct connection *c, mono_t now);

/* SETTINGS are the first that libh2o says. */
static bool due_first(const struct connection *c, mono_t now)
{
    return c->goodbye.ns == 0 && c->sock->bytes_written > 0;
}

static bool due_second(const struct connection *c, mono_t now)
{
    return c->goodbye.ns != 0 && mono_since(now, c->goodbye).ns >= GOODBYE_WAIT.ns;
}

/* Moves all that are not due from libh2o's list to `aside`. */
static void set_aside(struct server *s, due_fn *due, mono_t now, h2o_linklist_t *aside)
{
    h2o_linklist_t *all = &s->context.http2._conns;
    for (h2o_linklist_t *l = all->next, *next; l != all; l = next) {
        const struct connection *c = http2_guard_connection(l);
        next = l->next;
        if (c != NULL && due(c, now))
            continue;
        h2o_linklist_unlink(l);
        h2o_linklist_insert(aside, l);
    }
}

static void say_first(struct server *s, mono_t now)
{
    h2o_timeout_entry_t *second = &s->context.http2._graceful_shutdown_timeout;
    h2o_linklist_t aside, *all = &s->context.http2._conns;
    h2o_linklist_init_anchor(&aside);
    set_aside(s, due_first, now, &aside);
    for (h2o_linklist_t *l = all->next; l != all; l = l->next)
        http2_guard_connection(l)->goodbye = now;
    second->cb = NULL; /* else it says nothing a second time */
    h2o_context_request_shutdown(&s->context);
    h2o_timeout_unlink(second);
    h2o_linklist_insert_list(all, &aside);
}

static void say_second(struct server *s, mono_t now)
{
    h2o_timeout_entry_t *second = &s->context.http2._graceful_shutdown_timeout;
    h2o_linklist_t aside, *all = &s->context.http2._conns;
    h2o_linklist_init_anchor(&aside);
    set_aside(s, due_second, now, &aside);
    if (!h2o_linklist_is_empty(all))
        second->cb(second);
    h2o_linklist_insert_list(all, &aside);
}

void goodbye_say(struct server *s, mono_t now, bool hurry)
{
    say_first(s, now);
    if (hurry || !sweep_receiving(s))
        say_second(s, now);
}

bool goodbye_one(struct connection *c, mono_t now, bool receiving)
{
    if (c->goodbye.ns == 0) {
        http2_guard_goaway(c, false);
        c->goodbye = now;
    } else if (!receiving && due_second(c, now)) {
        http2_guard_goaway(c, true);
        return true;
    }
    return false;
}
