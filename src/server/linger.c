/*
 * linger.c: see linger.h. libh2o's function that closes a socket is interposed: when the socket's end is told, its
 * descriptor is closed already, so a second one is made before.
 */
#include "server/linger.h"
#include "base/panic.h"
#include "server/server_internal.h"
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOOK DUR_MS(100)
#define QUIET DUR_S(5) /* nothing has come for so long: the client has heard the answer, or never will */
#define QUIET_DRAINING DUR_S(1)
#define PATIENCE DUR_S(30)
#define MOST 512 /* descriptors that are kept for this */

struct lingering {
    struct list link;
    struct server *server;
    struct loop_watch watch;
    int fd;
    mono_t since, heard;
};

void linger_init(struct server *s)
{
    list_init(&s->lingering);
}

bool linger_any(const struct server *s)
{
    return !list_empty(&s->lingering);
}

/* --- while libh2o has it ---------------------------------------------------------------------------------------- */

static struct server *server_of(const struct connection *c)
{
    return CONTAINER_OF(c->owner, struct server, connections);
}

void linger_keep(struct connection *c)
{
    struct server *s = server_of(c);
    if (c->linger_fd >= 0 || s->lingering_count == MOST)
        return;
    c->linger_fd = fcntl(h2o_socket_get_fd(c->sock), F_DUPFD_CLOEXEC, 0);
    if (c->linger_fd >= 0)
        s->lingering_count++;
}

/* Not where the client has closed, or we have cut it off. An answer of libh2o's own may stand for a body unread. */
static bool may_send(const struct connection *c)
{
    char byte;
    if (c->cut)
        return false;
    ssize_t n = recv(h2o_socket_get_fd(c->sock), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN))
        return false;
    return n > 0 || c->http2 || connections_library_spoke(c);
}

void h2o_socket_close(h2o_socket_t *sock)
{
    /* File-scope would be no other: the library's function, found once. */
    static void (*close_socket)(h2o_socket_t *);
    struct connection *c = connections_of(sock);
    if (close_socket == NULL)
        close_socket = (void (*)(h2o_socket_t *))dlsym(RTLD_NEXT, "h2o_socket_close");
    if (c != NULL && may_send(c))
        linger_keep(c);
    close_socket(sock);
}

/* --- behind the close ------------------------------------------------------------------------------------------- */

static void end(struct lingering *g)
{
    g->server->lingering_count--;
    loop_unwatch(&g->watch);
    list_remove(&g->link);
    close(g->fd);
    free(g);
}

static void on_readable(struct loop_watch *w, unsigned events)
{
    struct lingering *g = CONTAINER_OF(w, struct lingering, watch);
    static char nowhere[65536]; /* written only: what stands there means nothing to anyone */
    ssize_t n = recv(g->fd, nowhere, sizeof(nowhere), MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        end(g);
    else
        g->heard = loop_now(g->server->host.loop);
}

static void look(struct timeout *t);

static void look_soon(struct server *s)
{
    if (!timeout_is_set(&s->lingering_look))
        timeout_set(s->host.loop, &s->lingering_look, mono_add(loop_now(s->host.loop), LOOK), look);
}

static void look(struct timeout *t)
{
    struct server *s = CONTAINER_OF(t, struct server, lingering_look);
    mono_t now = loop_now(s->host.loop);
    dur_t quiet = s->draining ? QUIET_DRAINING : QUIET;
    for (struct list *l = s->lingering.next, *next; l != &s->lingering; l = next) {
        struct lingering *g = CONTAINER_OF(l, struct lingering, link);
        next = l->next;
        if (mono_since(now, g->heard).ns >= quiet.ns || mono_since(now, g->since).ns >= PATIENCE.ns)
            end(g);
    }
    if (linger_any(s))
        look_soon(s);
}

void linger_closed(struct connection *c)
{
    struct server *s = server_of(c);
    if (c->linger_fd < 0)
        return;
    struct lingering *g = need_zero(1, sizeof(*g));
    g->server = s;
    g->fd = c->linger_fd;
    g->since = g->heard = loop_now(s->host.loop);
    c->linger_fd = -1;
    shutdown(g->fd, SHUT_WR);
    list_add(&s->lingering, &g->link);
    loop_watch(s->host.loop, &g->watch, g->fd, LOOP_READ, on_readable);
    look_soon(s);
}
