/*
 * linger.c: see linger.h. libh2o's function that closes a socket is interposed: when the socket's end is told, its
 * descriptor is closed already, so a second one is made before.
 */
#include "server/linger.h"
#include "base/panic.h"
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOOK DUR_MS(100)
#define QUIET DUR_S(5) /* nothing has come for so long: the client has heard the answer, or never will */
#define QUIET_HURRY DUR_S(1)
#define PATIENCE DUR_S(30)
#define HELD DUR_S(1)        /* so long are those kept who are to wait */
#define HELD_BYTES 4096      /* that the kernel takes of them meanwhile, about */
#define MOST 512             /* descriptors that are kept for this */
#define ENOUGH (64ull << 20) /* bytes: no honest client sends on for so long */

struct lingering {
    struct list link;
    struct connections *owner;
    struct loop_watch watch;
    int fd;
    mono_t since, heard;
    uint64_t thrown_away;
    bool held; /* not read */
};

void linger_init(struct connections *cs)
{
    list_init(&cs->lingering);
    cs->lingering_quiet = QUIET;
}

void linger_hurry(struct connections *cs)
{
    cs->lingering_quiet = QUIET_HURRY;
}

bool linger_any(const struct connections *cs)
{
    return !list_empty(&cs->lingering);
}

/* --- while libh2o has it ---------------------------------------------------------------------------------------- */

void linger_keep(struct connection *c)
{
    if (c->linger_fd >= 0 || c->owner->lingering_count == MOST)
        return;
    c->linger_fd = fcntl(h2o_socket_get_fd(c->sock), F_DUPFD_CLOEXEC, 0);
    if (c->linger_fd >= 0)
        c->owner->lingering_count++;
}

/*
 * Not where the client has closed, or we have cut it off; nor on HTTP/2 but in a drain: else its end is the client's
 * wish or its fault. On HTTP/1 an answer of libh2o's own may stand for a body unread.
 */
static bool may_send(const struct connection *c)
{
    char byte;
    if (c->cut || (c->http2 && c->goodbye.ns == 0))
        return false;
    ssize_t n = recv(h2o_socket_get_fd(c->sock), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN))
        return false;
    return c->http2 || n > 0 || connections_library_spoke(c);
}

void h2o_socket_close(h2o_socket_t *sock)
{
    /* File-scope would be no other: the library's function, found once. */
    static void (*close_socket)(h2o_socket_t *);
    struct connection *c = connections_of(sock);
    if (close_socket == NULL)
        close_socket = (void (*)(h2o_socket_t *))dlsym(RTLD_NEXT, "h2o_socket_close");
    if (c != NULL)
        c->retiring = c->over = false; /* the library's record is free; over TLS the socket may outlive it */
    if (c != NULL && (c->abused ? !c->shut : may_send(c)))
        linger_keep(c);
    close_socket(sock);
}

/* --- behind the close ------------------------------------------------------------------------------------------- */

static void end(struct lingering *g)
{
    g->owner->lingering_count--;
    loop_unwatch(&g->watch); /* of one that is held: nothing */
    list_remove(&g->link);
    close(g->fd);
    free(g);
}

static void on_readable(struct loop_watch *w, unsigned events)
{
    struct lingering *g = CONTAINER_OF(w, struct lingering, watch);
    static char nowhere[65536]; /* written only: what stands there means nothing to anyone */
    ssize_t n = recv(g->fd, nowhere, sizeof(nowhere), MSG_DONTWAIT);
    g->thrown_away += n > 0 ? (uint64_t)n : 0;
    g->heard = loop_now(g->owner->loop);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR) || g->thrown_away > ENOUGH)
        end(g);
}

static void look(struct timeout *t);

static void look_soon(struct connections *cs)
{
    if (!timeout_is_set(&cs->lingering_look))
        timeout_set(cs->loop, &cs->lingering_look, mono_add(loop_now(cs->loop), LOOK), look);
}

static bool is_over(const struct lingering *g, mono_t now)
{
    if (g->held)
        return mono_since(now, g->since).ns >= HELD.ns;
    return mono_since(now, g->heard).ns >= g->owner->lingering_quiet.ns || mono_since(now, g->since).ns >= PATIENCE.ns;
}

static void look(struct timeout *t)
{
    struct connections *cs = CONTAINER_OF(t, struct connections, lingering_look);
    mono_t now = loop_now(cs->loop);
    for (struct list *l = cs->lingering.next, *next; l != &cs->lingering; l = next) {
        struct lingering *g = CONTAINER_OF(l, struct lingering, link);
        next = l->next;
        if (is_over(g, now))
            end(g);
    }
    if (linger_any(cs))
        look_soon(cs);
}

void linger_free(struct connections *cs)
{
    timeout_clear(&cs->lingering_look);
    while (linger_any(cs))
        end(CONTAINER_OF(cs->lingering.next, struct lingering, link));
}

void linger_closed(struct connection *c)
{
    struct connections *cs = c->owner;
    if (c->linger_fd < 0)
        return;
    struct lingering *g = need_zero(1, sizeof(*g));
    g->owner = cs;
    g->fd = c->linger_fd;
    g->since = g->heard = loop_now(cs->loop);
    c->linger_fd = -1;
    list_add(&cs->lingering, &g->link);
    g->held = c->abused;
    if (g->held) {
        setsockopt(g->fd, SOL_SOCKET, SO_RCVBUF, &(int){HELD_BYTES}, sizeof(int));
    } else {
        shutdown(g->fd, SHUT_WR);
        loop_watch(cs->loop, &g->watch, g->fd, LOOP_READ, on_readable);
    }
    look_soon(cs);
}
