/*
 * curl.c: see curl.h. A socket of a kept connection stays in the epoll set while nobody asks for it: the next request
 * finds it there, and two system calls a request are saved. What such a socket has to say meanwhile takes it out: its
 * end, or more than was asked for, which is its end, too (see curl_rest.h). Sockets that libcurl makes by itself (its
 * resolver's) leave the set as soon as it says so. What a descriptor was ends with it: each close of libcurl's is seen
 * here, also those that it does not tell (see curl_close.h).
 */
#include "io/curl.h"
#include "base/panic.h"
#include "io/curl_clock.h"
#include "io/curl_close.h"
#include "io/curl_memory.h"
#include "io/curl_poll.h"
#include "io/curl_rest.h"
#include "io/timeout.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define READY_MAX 64
#define BATCH 24 /* so many are served, then who was answered asks on: fewer wake a host for each, more let it wait */
#define ROUNDS_MAX 4        /* of collecting and starting in one go; others have a turn then */
#define CONNECTIONS_MAX 512 /* kept, at rest included */

struct place {             /* of a descriptor */
    unsigned char watched; /* LOOP_READ, LOOP_WRITE: in the epoll set, for these */
    unsigned char wanted;  /* what libcurl asks for */
    bool ours;             /* of a connection: made by on_open */
    bool framed;           /* it speaks HTTP/2 */
    bool lookup;           /* one end of what a thread of the resolver tells its end by */
    bool orphan;           /* our copy of that, of one whose transfer is over */
};

struct io_curl {
    struct io_curl_host host;
    struct loop *loop;
    CURLM *multi;
    int set; /* epoll */
    struct loop_watch watch;
    struct timeout timer;
    struct loop_later later;
    bool turning;         /* within a turn: what is due is done by it */
    bool due;             /* libcurl's timer is 0 */
    struct place *places; /* by descriptor */
    size_t place_count;
    size_t lookups;
    unsigned *asked; /* by a connection's own port, by which alone libcurl names it in time */
};

static struct place *place_of(struct io_curl *c, int fd)
{
    size_t at = (size_t)fd;
    if (at >= c->place_count) {
        size_t count = at + 64;
        c->places = need_realloc(c->places, count * sizeof(struct place));
        memset(c->places + c->place_count, 0, (count - c->place_count) * sizeof(struct place));
        c->place_count = count;
    }
    return &c->places[at];
}

static void watch_fd(struct io_curl *c, int fd, struct place *p, unsigned events)
{
    struct epoll_event e = {.data.fd = fd};
    if (p->watched == events)
        return;
    e.events = (events & LOOP_READ ? (uint32_t)EPOLLIN : 0) | (events & LOOP_WRITE ? (uint32_t)EPOLLOUT : 0);
    int how = events == 0 ? EPOLL_CTL_DEL : p->watched == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    NEED(epoll_ctl(c->set, how, fd, &e) == 0);
    p->watched = (unsigned char)events;
}

/* --- lookups ------------------------------------------------------------------------------------------------------ */

/*
 * A thread of the resolver cannot be stopped: libcurl forgets it with its transfer, and it lives on until the name
 * servers answer or are given up. It has one end of a pair of sockets, which it writes to or closes when it is done;
 * the other end is the only socket that libcurl makes without on_open.
 */
static void lookup_begun(struct io_curl *c, struct place *p)
{
    p->lookup = true;
    c->lookups++;
}

static bool has_told(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, 0) != 0;
}

/* libcurl is about to close its end. */
static void lookup_left(struct io_curl *c, int fd)
{
    place_of(c, fd)->lookup = false;
    int copy = has_told(fd) ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0) { /* over; or there are no descriptors, without which no other lookup begins either */
        c->lookups--;
        return;
    }
    *place_of(c, copy) = (struct place){.orphan = true};
    watch_fd(c, copy, place_of(c, copy), LOOP_READ);
}

static void orphan_over(struct io_curl *c, int fd)
{
    *place_of(c, fd) = (struct place){0};
    close(fd);
    c->lookups--;
}

size_t io_curl_lookups(const struct io_curl *c)
{
    return c->lookups;
}

/* --- libcurl asks ------------------------------------------------------------------------------------------------ */

/* The socket is no longer waited for: the transfer is over. Nothing else says which one it had. */
static void note_framed(CURL *easy, struct place *p)
{
    long version = 0;
    curl_easy_getinfo(easy, CURLINFO_HTTP_VERSION, &version);
    p->framed = p->framed || version == CURL_HTTP_VERSION_2_0;
}

static bool is_framed(const void *cookie, int fd)
{
    const struct io_curl *c = cookie;
    return (size_t)fd < c->place_count && c->places[fd].framed;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *cookie, void *unused)
{
    struct io_curl *c = cookie;
    struct place *p = place_of(c, fd);
    unsigned wanted = what == CURL_POLL_REMOVE ? 0
                                               : (what & CURL_POLL_IN ? (unsigned)LOOP_READ : 0) |
                                                     (what & CURL_POLL_OUT ? (unsigned)LOOP_WRITE : 0);
    p->wanted = (unsigned char)wanted;
    if (wanted == 0 && p->ours)
        note_framed(easy, p);
    if (wanted != 0 || !p->ours)
        watch_fd(c, fd, p, wanted);
    if (!p->ours && !p->lookup && wanted != 0)
        lookup_begun(c, p);
    else if (p->lookup && wanted == 0)
        lookup_left(c, fd);
    return 0;
}

/* Out of the set while it is open yet: a copy of it would keep it there. */
static void on_close(void *cookie, int fd)
{
    struct io_curl *c = cookie;
    if ((size_t)fd >= c->place_count || c->places[fd].orphan)
        return;
    watch_fd(c, fd, &c->places[fd], 0);
    if (c->places[fd].lookup)
        lookup_left(c, fd);
    c->places[fd] = (struct place){0};
}

static void turn(struct io_curl *c);

static void on_time(struct timeout *t)
{
    struct io_curl *c = CONTAINER_OF(t, struct io_curl, timer);
    c->due = true;
    turn(c);
}

static int on_timer(CURLM *multi, long ms, void *cookie)
{
    struct io_curl *c = cookie;
    c->due = ms == 0;
    if (ms > 0)
        timeout_set(c->loop, &c->timer, mono_add(loop_now(c->loop), DUR_MS(ms)), on_time);
    else
        timeout_clear(&c->timer);
    if (ms == 0 && !c->turning)
        loop_later(c->loop, &c->later);
    return 0;
}

/* --- the loop ---------------------------------------------------------------------------------------------------- */

static void act(struct io_curl *c, int fd, int bits)
{
    int running;
    io_curl_clock_begin();
    io_curl_close_begin(on_close, c);
    io_curl_poll_begin();
    io_curl_rest_begin(is_framed, c);
    CHECK(curl_multi_socket_action(c->multi, fd, bits, &running) == CURLM_OK);
    io_curl_rest_end();
    io_curl_poll_end();
    io_curl_close_end();
    io_curl_clock_end();
}

static void take_out(struct io_curl *c, CURL *easy)
{
    io_curl_close_begin(on_close, c);
    CHECK(curl_multi_remove_handle(c->multi, easy) == CURLM_OK);
    io_curl_close_end();
}

static void collect(struct io_curl *c)
{
    CURLMsg *m;
    int left;
    while ((m = curl_multi_info_read(c->multi, &left)) != NULL) {
        CURL *easy = m->easy_handle;
        CURLcode code = m->data.result;
        CHECK(m->msg == CURLMSG_DONE);
        take_out(c, easy); /* frees m */
        c->host.done(c->host.cookie, easy, code);
    }
    c->host.after(c->host.cookie);
}

/* What is due, and what comes of it: who was answered asks the next at once. */
static void turn(struct io_curl *c)
{
    c->turning = true;
    for (int round = 0; round < ROUNDS_MAX; round++) {
        if (c->due) {
            c->due = false;
            act(c, CURL_SOCKET_TIMEOUT, 0);
        }
        collect(c);
        if (!c->due)
            break;
    }
    c->turning = false;
    if (c->due)
        loop_later(c->loop, &c->later);
}

static void on_later(struct loop_later *later)
{
    turn(CONTAINER_OF(later, struct io_curl, later));
}

static void on_ready(struct loop_watch *w, unsigned events)
{
    struct io_curl *c = CONTAINER_OF(w, struct io_curl, watch);
    struct epoll_event ready[READY_MAX];
    int count = epoll_wait(c->set, ready, READY_MAX, 0);
    CHECK(count >= 0 || errno == EINTR);
    c->turning = true;
    for (int i = 0; i < count; i++) {
        int fd = ready[i].data.fd;
        struct place *p = place_of(c, fd);
        uint32_t bits = ready[i].events;
        if (p->orphan) {
            orphan_over(c, fd);
            continue;
        }
        if (p->wanted == 0) { /* at rest: libcurl finds out when it is about to take it up again */
            if (p->watched != 0)
                watch_fd(c, fd, p, 0);
            continue;
        }
        act(c, fd,
            (bits & (EPOLLIN | EPOLLHUP | EPOLLERR) ? CURL_CSELECT_IN : 0) | (bits & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                (bits & EPOLLERR ? CURL_CSELECT_ERR : 0));
        if (i % BATCH == BATCH - 1) {
            turn(c);
            c->turning = true;
        }
    }
    turn(c);
}

/* --- its life ---------------------------------------------------------------------------------------------------- */

struct io_curl *io_curl_new(struct loop *l, const struct io_curl_host *host)
{
    struct io_curl *c = need_zero(1, sizeof(*c));
    c->host = *host;
    c->loop = l;
    io_curl_memory_start();
    c->asked = need_zero(UINT16_MAX + 1, sizeof(*c->asked)); /* of which few pages are ever touched */
    c->multi = curl_multi_init();
    c->set = epoll_create1(EPOLL_CLOEXEC);
    NEED(c->multi != NULL && c->set != -1);
    loop_later_init(&c->later, on_later);
    loop_watch(l, &c->watch, c->set, LOOP_READ, on_ready);
    curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c);
    curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
    curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_MAX);
    /*
     * One request at a time over a connection, with HTTP/2 too: where several share one, libcurl 7.88 puts requests on
     * busy HTTP/1.1 connections of the same host, whose replies they then take, and forgets streams that it has paused.
     */
    curl_multi_setopt(c->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    return c;
}

void io_curl_free(struct io_curl **cp)
{
    struct io_curl *c = *cp;
    if (c == NULL)
        return;
    c->turning = true; /* the connections' ends put nothing off */
    io_curl_close_begin(on_close, c);
    CHECK(curl_multi_cleanup(c->multi) == CURLM_OK);
    io_curl_close_end();
    timeout_clear(&c->timer);
    loop_later_cancel(&c->later);
    loop_unwatch(&c->watch);
    for (size_t i = 0; i < c->place_count; i++)
        if (c->places[i].orphan)
            close((int)i);
    close(c->set);
    free(c->places);
    free(c->asked);
    free(c);
    *cp = NULL;
}

void io_curl_opened(struct io_curl *c, int fd)
{
    struct place *p = place_of(c, fd);
    *p = (struct place){.ours = true};
}

bool io_curl_asked(struct io_curl *c, CURL *easy, uint16_t local_port)
{
    long opened = 0;
    curl_easy_getinfo(easy, CURLINFO_NUM_CONNECTS, &opened);
    c->asked[local_port] = opened > 0 ? 1 : c->asked[local_port] + 1;
    return c->asked[local_port] >= IO_CURL_STREAMS_MAX;
}

void io_curl_add(struct io_curl *c, CURL *easy)
{
    CHECK(curl_multi_add_handle(c->multi, easy) == CURLM_OK);
}

void io_curl_remove(struct io_curl *c, CURL *easy)
{
    take_out(c, easy);
}

CURLcode io_curl_resume(struct io_curl *c, CURL *easy)
{
    io_curl_close_begin(on_close, c);
    CURLcode code = curl_easy_pause(easy, CURLPAUSE_CONT);
    io_curl_close_end();
    return code;
}
