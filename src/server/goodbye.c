/*
 * goodbye.c: see goodbye.h. A GOAWAY that names no last stream, so that the peer begins nothing more, and (a second
 * later at the earliest) one that does. libh2o 2.2.5 has that, too, and is not asked: it tells all of its connections
 * at once, those whose preface has not come yet a GOAWAY before its SETTINGS, which is an error to the peer; it drops
 * what is still being received at the second; and it closes when the last answer is written, though the kernel may not
 * have taken all of it.
 */
#include "server/goodbye.h"
#include "server/http2_guard.h"
#include "server/server_internal.h"

#define GOODBYE_WAIT DUR_S(1) /* between the two: a round trip, and time for requests that were on their way */

static bool tell(struct connection *c, mono_t now)
{
    if (c->goodbye.ns == 0) {
        http2_guard_goaway(c, false);
        c->goodbye = now;
    } else if (!c->parting && mono_since(now, c->goodbye).ns >= GOODBYE_WAIT.ns) {
        http2_guard_goaway(c, true);
    }
    return c->parting;
}

void goodbye_say(struct server *s, mono_t now)
{
    h2o_linklist_t *all = &s->context.http2._conns;
    s->context.shutdown_requested = 1; /* for HTTP/1 */
    for (h2o_linklist_t *l = all->next, *next; l != all; l = next) {
        struct connection *c = http2_guard_connection(l);
        next = l->next;
        /* SETTINGS are the first that libh2o says. */
        if (c != NULL && c->sock->bytes_written > 0 && tell(c, now))
            http2_guard_part(c);
    }
}

void goodbye_one(struct connection *c, mono_t now)
{
    if (tell(c, now))
        http2_guard_part(c);
}
