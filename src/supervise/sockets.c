/*
 * sockets.c: the set: from a configuration's addresses to sockets, those of the set at hand again where the address is
 * the same. Owns, runs in, fails: see sockets.h.
 */
#include "supervise/sockets_internal.h"

#include "base/fd.h"
#include "base/panic.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define UNSENT (128 << 10) /* bytes */

/* Whoever may enter the folder of a server's socket may connect to it, as to a port; the operator's is his alone. */
#define MODE_SERVER 0666
#define MODE_ADMIN 0600

/* One listener while its sockets are opened. */
struct opening {
    struct sockets *s;
    const struct sockets *have; /* may be NULL */
    const struct config_listen *listen;
    uint32_t listener; /* as in heritage_socket */
    uint32_t members;  /* 0: not a group */
    dur_t patience;
    struct error *err;
};

static bool for_keeper(uint32_t listener)
{
    return listener == HERITAGE_ADMIN || listener == HERITAGE_HEALTH;
}

/* --- the set --- */

struct sockets_place *sockets_add_place(struct sockets *s)
{
    if (s->place_count == s->place_room) {
        s->place_room = s->place_room == 0 ? 8 : s->place_room * 2;
        s->places = need_realloc(s->places, s->place_room * sizeof(*s->places));
    }
    s->places[s->place_count] = (struct sockets_place){0};
    return &s->places[s->place_count++];
}

/*
 * What is accepted from it has so much at most in the kernel that is not on its way. Where nothing is said those are
 * 4 MiB: of 2,000 peers that do not read, gigabytes, and seconds to fill them. What is not TCP (unix, MPTCP of older
 * kernels) has no such option, and serves.
 */
static void hold_little(int fd)
{
    int unsent = UNSENT;

    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
}

void sockets_add(struct sockets *s, struct sockets_place *place, struct heritage_socket one)
{
    struct heritage_socket **all = place->keeper ? &s->keeper : &s->worker;
    size_t *count = place->keeper ? &s->keeper_count : &s->worker_count;
    size_t *room = place->keeper ? &s->keeper_room : &s->worker_room;

    if (*count == *room) {
        *room = *room == 0 ? 8 : *room * 2;
        *all = need_realloc(*all, *room * sizeof(**all));
    }
    if (place->count++ == 0)
        place->first = *count;
    (*all)[(*count)++] = one;
    hold_little(one.fd);
}

static struct heritage_socket *sockets_of(const struct sockets *s, const struct sockets_place *place)
{
    return (place->keeper ? s->keeper : s->worker) + place->first;
}

/* --- an address that stays --- */

/* By which it is known again: a path; an address in numbers and its port; where the kernel chooses the port, the host's
 * name, too. number: of its host, or NONE. */
static char *address_of(const struct config_listen *l, struct slice number)
{
    struct buf text = {0};

    if (l->inherited)
        buf_add_text(&text, l->text);
    else if (l->path != NULL)
        buf_addf(&text, "unix:%s", l->path);
    else if (l->port != 0)
        buf_addf(&text, "%.*s:%u", SLICE_ARG(number), (unsigned)l->port);
    else
        buf_addf(&text, "%.*s:0 of %s", SLICE_ARG(number), l->host);
    return buf_take(&text);
}

/* The place of the same address in the set at hand: of several (port 0), the one that as many stand before. */
static const struct sockets_place *known(const struct opening *o, const char *address)
{
    size_t before = 0;

    for (size_t i = 0; i < o->s->place_count; i++)
        before += o->s->places[i].keeper == for_keeper(o->listener) && strcmp(o->s->places[i].address, address) == 0;
    for (size_t i = 0; o->have != NULL && i < o->have->place_count; i++) {
        const struct sockets_place *place = &o->have->places[i];

        if (place->keeper == for_keeper(o->listener) && strcmp(place->address, address) == 0 && before-- == 0)
            return place;
    }
    return NULL;
}

/* Whether its path, if it has one, still leads to it: as long as the socket is open, its inode is nobody else's. */
static bool is_there(const struct sockets_place *place)
{
    uint64_t device, inode;

    return place->path == NULL ||
           (sockets_file(place->path, &device, &inode) && device == place->device && inode == place->inode);
}

static int reuse(struct opening *o, struct sockets_place *place, const struct sockets_place *old)
{
    const struct heritage_socket *from = sockets_of(o->have, old);

    if (old->path != NULL)
        place->path = need_strdup(old->path);
    place->device = old->device;
    place->inode = old->inode;
    for (size_t i = 0; i < old->count; i++) {
        struct heritage_socket one = from[i];

        one.listener = o->listener;
        if ((one.fd = fcntl(from[i].fd, F_DUPFD_CLOEXEC, 0)) < 0)
            return error_errno(o->err, "cannot listen on %s: descriptors", o->listen->text);
        sockets_add(o->s, place, one);
    }
    return 0;
}

/* --- a new address --- */

/* Why it is taken, in words, where we hold it ourselves: what a bind answers names nobody. */
static int taken(struct opening *o, const struct sockets_target *t)
{
    struct buf who = {0};

    if (sockets_overlap(o->s, t, &who))
        error_set(o->err, "cannot listen on %s: this configuration listens on %s already", o->listen->text,
                  buf_text(&who));
    else if (o->have != NULL && sockets_overlap(o->have, t, &who))
        error_set(o->err, "cannot listen on %s: this server itself holds %s: that needs a restart", o->listen->text,
                  buf_text(&who));
    else
        error_set(o->err, "cannot listen on %s: %s", o->listen->text, strerror(EADDRINUSE));
    buf_free(&who);
    return -1;
}

static int open_unix(struct opening *o, struct sockets_place *place)
{
    struct heritage_socket one = {.listener = o->listener, .member = HERITAGE_SHARED, .members = 1};
    unsigned mode = o->listener == HERITAGE_ADMIN ? MODE_ADMIN : MODE_SERVER;

    for (size_t i = 0; o->have != NULL && i < o->have->place_count; i++)
        if (strcmp(o->have->places[i].address, place->address) == 0 && is_there(&o->have->places[i]))
            return error_set(o->err, "cannot listen on unix:%s: this server itself holds it: that needs a restart",
                             o->listen->path);
    if (sockets_bind_unix(o->listen->path, mode, o->patience, &one.fd, o->err) != 0)
        return error_prefix(o->err, "cannot listen on unix:%s", o->listen->path);
    sockets_add(o->s, place, one);
    if (sockets_file(o->listen->path, &place->device, &place->inode))
        place->path = need_strdup(o->listen->path);
    return 0;
}

/* The group, or the one socket. 0, or -1 with errno and words. */
static int open_target(struct opening *o, struct sockets_place *place, struct sockets_target *t)
{
    int *fds = need_zero(o->members + 1, sizeof(*fds));
    size_t count = 0;
    int done = o->members > 0 ? sockets_bind_group(t, o->members, o->patience, fds, &count)
                              : sockets_bind_one(t, o->patience, &fds[0]);
    int kept = errno;

    if (o->members == 0 && done == 0)
        count = 1;
    for (size_t i = 0; i < count; i++)
        sockets_add(o->s, place,
                    (struct heritage_socket){.fd = fds[i],
                                             .listener = o->listener,
                                             .member = o->members > 0 ? (uint32_t)i : HERITAGE_SHARED,
                                             .members = o->members > 0 ? o->members : 1});
    free(fds);
    if (done != 0 && kept == EADDRINUSE)
        taken(o, t);
    else if (done != 0)
        error_set(o->err, "cannot listen on %s: %s", o->listen->text, strerror(kept));
    errno = kept;
    return done;
}

/* --- what was bound, in words --- */

void sockets_address(const struct sockaddr_storage *at, socklen_t len, struct buf *out)
{
    char host[NI_MAXHOST] = "?", port[NI_MAXSERV] = "?";
    const struct sockaddr_un *path = (const struct sockaddr_un *)at;
    bool v6 = at->ss_family == AF_INET6;

    if (at->ss_family == AF_UNIX) {
        size_t most = len > offsetof(struct sockaddr_un, sun_path) ? len - offsetof(struct sockaddr_un, sun_path) : 0;

        buf_add_text(out, "unix:");
        for (size_t i = 0; i < most && (path->sun_path[i] != '\0' || i == 0); i++)
            buf_add_char(out, i == 0 && path->sun_path[i] == '\0'      ? '@' /* abstract */
                              : (unsigned char)path->sun_path[i] < ' ' ? '?'
                                                                       : path->sun_path[i]);
        return;
    }
    getnameinfo((const struct sockaddr *)at, len, host, sizeof(host), port, sizeof(port),
                NI_NUMERICHOST | NI_NUMERICSERV);
    buf_addf(out, "%s%s%s:%s", v6 ? "[" : "", host, v6 ? "]" : "", port);
}

/* "http://127.0.0.1:8080" in quotes. */
static void add_url(struct buf *urls, int fd, bool tls)
{
    struct sockaddr_storage at = {.ss_family = AF_UNSPEC};
    socklen_t len = sizeof(at);
    struct buf address = {0};

    if (getsockname(fd, (struct sockaddr *)&at, &len) == 0)
        sockets_address(&at, len, &address);
    buf_addf(urls, "\"%s://", tls ? "https" : "http");
    for (size_t i = 0; i < address.len; i++)
        buf_addf(urls, address.at[i] == '"' || address.at[i] == '\\' ? "\\%c" : "%c", address.at[i]);
    buf_add_char(urls, '"');
    buf_free(&address);
}

/* The keeper has one that stands for all. */
static void add_place_url(const struct sockets *s, const struct sockets_place *place, bool tls, struct buf *urls)
{
    if (place->keeper && urls->len > 0)
        return;
    if (urls->len > 1)
        buf_add_char(urls, ',');
    add_url(urls, sockets_of(s, place)->fd, tls);
}

/* --- all of it --- */

/* One address; number, t: of TCP, where it was not handed over; else NONE, NULL. 0, or -1 with words; errno then tells
 * what became of a bind. */
static int open_place(struct opening *o, struct slice number, struct sockets_target *t, struct buf *urls)
{
    char *address = address_of(o->listen, number);
    const struct sockets_place *old = known(o, address);
    struct sockets_place *place = sockets_add_place(o->s);
    int done;

    errno = 0;
    place->address = address;
    place->keeper = for_keeper(o->listener);
    if (old != NULL && is_there(old))
        done = reuse(o, place, old);
    else if (o->listen->inherited)
        done = error_set(o->err, "cannot listen on %s: it was not handed over", o->listen->text);
    else
        done = t == NULL ? open_unix(o, place) : open_target(o, place, t);
    if (done == 0)
        add_place_url(o->s, place, !place->keeper && o->listen->tls, urls);
    return done;
}

/* The last place, which came to nothing. */
static void pass_over(struct sockets *s)
{
    free(s->places[--s->place_count].address);
}

static in_port_t port_of_last(const struct sockets *s)
{
    struct sockets_target t = {.len = sizeof(t.at)};

    if (getsockname(sockets_of(s, &s->places[s->place_count - 1])->fd, (struct sockaddr *)&t.at, &t.len) != 0)
        return 0;
    return sockets_target_port(&t);
}

/*
 * Every address that the name has. Where it has several, one that this machine lacks (::1 of localhost without IPv6) is
 * passed over. Where the kernel chooses the port, the others get that of the first.
 */
static int open_tcp(struct opening *o, struct buf *urls)
{
    struct slice rest = slice_of(o->listen->numbers), one;
    in_port_t port = htons(o->listen->port);
    bool any = false;

    while (slice_cut(&rest, ' ', &one)) {
        struct sockets_target t;

        if (sockets_target_read(one, port, &t) != 0)
            return error_set(o->err, "cannot listen on %s: \"%.*s\" is no address", o->listen->text, SLICE_ARG(one));
        if (open_place(o, one, &t, urls) == 0) {
            port = port_of_last(o->s);
            any = true;
        } else if ((errno == EADDRNOTAVAIL || errno == EAFNOSUPPORT) && (any || rest.at != NULL)) {
            pass_over(o->s);
        } else {
            return -1;
        }
    }
    return any ? 0 : error_set(o->err, "cannot listen on %s: it has no address", o->listen->text);
}

static int open_listener(struct opening *o, struct buf *urls)
{
    return o->listen->inherited || o->listen->path != NULL ? open_place(o, SLICE_NONE, NULL, urls) : open_tcp(o, urls);
}

static int open_keepers(struct opening *o, uint32_t listener, const struct config_listen *listen, struct buf *urls)
{
    o->listener = listener;
    o->listen = listen;
    if (listen->text != NULL)
        return open_listener(o, urls);
    buf_add_text(urls, "null");
    return 0;
}

int sockets_open(struct sockets *s, const struct config *config, const struct sockets *have, dur_t patience,
                 struct error *err)
{
    struct opening o = {.s = s, .have = have, .members = config->workers, .patience = patience, .err = err};
    int done = 0;

    buf_add_char(&s->listen_urls, '[');
    for (size_t i = 0; i < config->listen_count && done == 0; i++) {
        o.listen = &config->listen[i];
        o.listener = (uint32_t)i;
        done = open_listener(&o, &s->listen_urls);
    }
    buf_add_char(&s->listen_urls, ']');
    o.members = 0;
    if (done == 0)
        done = open_keepers(&o, HERITAGE_ADMIN, &config->admin, &s->admin_urls);
    if (done == 0)
        done = open_keepers(&o, HERITAGE_HEALTH, &config->health, &s->health_urls);
    if (done != 0)
        sockets_close(s, have);
    return done;
}

/* --- the end --- */

/* Whether another set has a unix socket of the same file. */
static bool kept(const struct sockets *keep, const struct sockets_place *place)
{
    for (size_t i = 0; keep != NULL && i < keep->place_count; i++) {
        const struct sockets_place *other = &keep->places[i];

        if (other->path != NULL && other->device == place->device && other->inode == place->inode)
            return true;
    }
    return false;
}

static void remove_file(struct sockets_place *place)
{
    if (place->path != NULL && is_there(place))
        unlink(place->path);
    free(place->path);
    place->path = NULL;
}

/* Whether the other set has this very socket, under whatever number. */
static bool stays(const struct sockets *keep, const struct heritage_socket *one)
{
    struct stat a, b;

    for (size_t i = 0; keep != NULL && i < keep->worker_count; i++)
        if (fstat(one->fd, &a) == 0 && fstat(keep->worker[i].fd, &b) == 0 && a.st_ino == b.st_ino)
            return true;
    return false;
}

static void let_go(struct sockets *s)
{
    for (size_t i = 0; i < s->place_count; i++)
        if (!s->places[i].keeper)
            s->places[i].count = 0;
    for (size_t i = 0; i < s->worker_count; i++)
        fd_close(&s->worker[i].fd);
    s->worker_count = 0;
}

void sockets_gone(const struct sockets *s, const struct sockets *keep, struct buf *out)
{
    for (size_t i = 0; i < s->worker_count; i++)
        if (heritage_first(&s->worker[i]) && !stays(keep, &s->worker[i]))
            buf_add_u32(out, (uint32_t)i);
}

void sockets_shut(struct sockets *s, const struct sockets *keep)
{
    /* Of a TCP segment, which is what the filter sees: byte 13 has the flags. SYN is dropped, all else passes. */
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, TH_SYN, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
    };
    const struct sock_fprog filter = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

    for (size_t i = 0; i < s->worker_count; i++)
        if (s->worker[i].member != HERITAGE_SHARED && !stays(keep, &s->worker[i]))
            setsockopt(s->worker[i].fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter));
    for (size_t i = 0; i < s->place_count; i++)
        if (!s->places[i].keeper && !kept(keep, &s->places[i]))
            remove_file(&s->places[i]); /* while its socket is open: see there */
    if (keep == NULL)
        let_go(s);
}

void sockets_close(struct sockets *s, const struct sockets *keep)
{
    for (size_t i = 0; i < s->place_count; i++) {
        if (!kept(keep, &s->places[i]))
            remove_file(&s->places[i]);
        free(s->places[i].path);
        free(s->places[i].address);
    }
    for (size_t i = 0; i < s->worker_count; i++)
        fd_close(&s->worker[i].fd);
    for (size_t i = 0; i < s->keeper_count; i++)
        fd_close(&s->keeper[i].fd);
    free(s->worker);
    free(s->keeper);
    free(s->places);
    buf_free(&s->listen_urls);
    buf_free(&s->admin_urls);
    buf_free(&s->health_urls);
    *s = (struct sockets){0};
}

static void add_bound(int fd, struct buf *out)
{
    struct sockaddr_storage at = {.ss_family = AF_UNSPEC};
    socklen_t len = sizeof(at);

    if (getsockname(fd, (struct sockaddr *)&at, &len) != 0 || (at.ss_family != AF_INET && at.ss_family != AF_INET6))
        return;
    if (out->len > 0)
        buf_add_char(out, ' ');
    sockets_address(&at, len, out);
}

void sockets_admin(const struct sockets *s, struct buf *out)
{
    for (size_t i = 0; i < s->keeper_count; i++)
        if (s->keeper[i].listener == HERITAGE_ADMIN)
            add_bound(s->keeper[i].fd, out);
}

void sockets_workers(const struct sockets *s, struct buf *out)
{
    for (size_t i = 0; i < s->worker_count; i++)
        if (heritage_first(&s->worker[i]))
            add_bound(s->worker[i].fd, out);
}

bool sockets_waiting(const struct sockets *s, uint32_t worker, uint32_t workers)
{
    for (size_t i = 0; i < s->worker_count; i++) {
        struct tcp_info info = {0};
        socklen_t len = sizeof(info);

        /* of a listening socket, tcpi_unacked is the length of its accept queue */
        if (s->worker[i].member != HERITAGE_SHARED && heritage_owns(&s->worker[i], worker, workers) &&
            getsockopt(s->worker[i].fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 && info.tcpi_unacked > 0)
            return true;
    }
    return false;
}
