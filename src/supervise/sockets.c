/*
 * sockets.c: resolve, probe, bind. A taken port is found by one plain bind: with SO_REUSEPORT a second server of the
 * same user would join the group silently and take half of the connections.
 * Owns, runs in, fails: see sockets.h.
 */
#include "supervise/sockets.h"

#include "base/fd.h"
#include "base/panic.h"

#include <errno.h>
#include <linux/filter.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* The children of a server that was killed hold its sockets for the moment they take to end. */
#define PATIENCE DUR_MS(500)
#define BACKLOG 4096 /* the kernel lowers it to net.core.somaxconn */

/* One address while its sockets are opened; port 0 is replaced by the one that the first socket got. */
struct address {
    struct sockaddr_storage at;
    socklen_t len;
    mono_t patience; /* a taken port may become free until then */
};

static void set_port(struct address *a, in_port_t port)
{
    if (a->at.ss_family == AF_INET6)
        ((struct sockaddr_in6 *)&a->at)->sin6_port = port;
    else
        ((struct sockaddr_in *)&a->at)->sin_port = port;
}

static in_port_t port_of(const struct address *a)
{
    return a->at.ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)&a->at)->sin6_port
                                       : ((const struct sockaddr_in *)&a->at)->sin_port;
}

/* A bound socket, or -1 with errno. */
static int bound(const struct address *a, bool group)
{
    int on = 1, kept;
    int fd = socket(a->at.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);

    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
        (!group || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0) &&
        (a->at.ss_family != AF_INET6 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == 0) &&
        bind(fd, (const struct sockaddr *)&a->at, a->len) == 0)
        return fd;
    kept = errno;
    close(fd);
    errno = kept;
    return -1;
}

/* As bound, but waits a little for a taken port. */
static int bound_soon(const struct address *a)
{
    const struct timespec pause = {.tv_nsec = 10000000};
    int fd;

    while ((fd = bound(a, false)) < 0 && errno == EADDRINUSE && mono_before(mono_now(), a->patience))
        nanosleep(&pause, NULL);
    return fd;
}

static void add(struct heritage_socket **all, size_t *count, size_t *room, struct heritage_socket one)
{
    if (*count == *room) {
        *room = *room == 0 ? 8 : *room * 2;
        *all = need_realloc(*all, *room * sizeof(**all));
    }
    (*all)[(*count)++] = one;
}

/* Binds and listens, learns the port. 0, or -1 with errno. */
static int listen_on(struct address *a, bool group, int *fd_out)
{
    int fd = group ? bound(a, true) : bound_soon(a), kept;

    if (fd < 0)
        return -1;
    if (listen(fd, BACKLOG) == 0 && getsockname(fd, (struct sockaddr *)&a->at, &a->len) == 0) {
        *fd_out = fd;
        return 0;
    }
    kept = errno;
    close(fd);
    errno = kept;
    return -1;
}

/* One address's group of `members`. 0, or -1 with errno; what was opened before a failure is in s, closed with it. */
static int open_group(struct sockets *s, struct address *a, uint32_t listener, uint32_t members)
{
    int probe = port_of(a) != 0 ? bound_soon(a) : -1;

    if (probe < 0 && port_of(a) != 0)
        return -1;
    fd_close(&probe);
    for (uint32_t i = 0; i < members; i++) {
        struct heritage_socket one = {.listener = listener, .member = i};

        if (listen_on(a, true, &one.fd) != 0)
            return -1;
        add(&s->tcp, &s->tcp_count, &s->tcp_room, one);
    }
    return 0;
}

static int open_admin(struct sockets *s, struct address *a)
{
    struct heritage_socket one = {.listener = UINT32_MAX, .member = UINT32_MAX};

    if (listen_on(a, false, &one.fd) != 0)
        return -1;
    add(&s->admin, &s->admin_count, &s->admin_room, one);
    return 0;
}

/* Appends "http://127.0.0.1:8080" with its quotes: numeric, so that nothing in it needs an escape. */
static void add_url(struct buf *urls, const struct address *a, bool tls)
{
    char host[NI_MAXHOST] = "?", port[NI_MAXSERV] = "?";
    bool v6 = a->at.ss_family == AF_INET6;

    getnameinfo((const struct sockaddr *)&a->at, a->len, host, sizeof(host), port, sizeof(port),
                NI_NUMERICHOST | NI_NUMERICSERV);
    if (urls->len > 1)
        buf_add_char(urls, ',');
    buf_addf(urls, "\"%s://%s%s%s:%s\"", tls ? "https" : "http", v6 ? "[" : "", host, v6 ? "]" : "", port);
}

static int resolve(const struct config_listen *l, struct addrinfo **found_out, struct error *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    char port[8];
    int code;

    snprintf(port, sizeof(port), "%u", (unsigned)l->port);
    code = getaddrinfo(l->host[0] != '\0' ? l->host : NULL, port, &hints, found_out);
    if (code == 0)
        return 0;
    return error_set(err, "cannot listen on %s: %s", l->text,
                     code == EAI_SYSTEM ? strerror(errno) : gai_strerror(code));
}

/*
 * Opens a listener on every address its name has. Where a name has several, one that this machine lacks (::1 of
 * localhost without IPv6) is passed over.
 */
static int open_listener(struct sockets *s, const struct config_listen *l, uint32_t listener, uint32_t members,
                         struct error *err)
{
    bool admin = listener == UINT32_MAX;
    struct addrinfo *found;
    in_port_t port = 0;
    size_t opened = 0;

    if (resolve(l, &found, err) != 0)
        return -1;
    for (struct addrinfo *i = found; i != NULL; i = i->ai_next) {
        struct address a = {.len = i->ai_addrlen, .patience = mono_add(mono_now(), PATIENCE)};

        memcpy(&a.at, i->ai_addr, i->ai_addrlen);
        if (l->port == 0)
            set_port(&a, port);
        if ((admin ? open_admin(s, &a) : open_group(s, &a, listener, members)) == 0) {
            port = port_of(&a);
            opened++;
            if (!admin || opened == 1)
                add_url(admin ? &s->admin_urls : &s->listen_urls, &a, !admin && l->tls);
        } else if ((errno != EADDRNOTAVAIL && errno != EAFNOSUPPORT) || (i->ai_next == NULL && opened == 0)) {
            error_errno(err, "cannot listen on %s", l->text);
            freeaddrinfo(found);
            return -1;
        }
    }
    freeaddrinfo(found);
    return 0;
}

int sockets_open(struct sockets *s, const struct config *config, struct error *err)
{
    int result = 0;

    buf_add_char(&s->listen_urls, '[');
    for (size_t i = 0; i < config->listen_count && result == 0; i++)
        result = open_listener(s, &config->listen[i], (uint32_t)i, config->workers, err);
    buf_add_char(&s->listen_urls, ']');
    if (config->admin.text != NULL && result == 0)
        result = open_listener(s, &config->admin, UINT32_MAX, 1, err);
    else
        buf_add_text(&s->admin_urls, "null");
    if (result != 0)
        sockets_close(s);
    return result;
}

void sockets_shut(const struct sockets *s)
{
    /* Of a TCP segment, which is what the filter sees: byte 13 has the flags. SYN is dropped, all else passes. */
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, TH_SYN, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
    };
    const struct sock_fprog filter = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

    for (size_t i = 0; i < s->tcp_count; i++)
        setsockopt(s->tcp[i].fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter));
}

void sockets_close(struct sockets *s)
{
    for (size_t i = 0; i < s->tcp_count; i++)
        fd_close(&s->tcp[i].fd);
    for (size_t i = 0; i < s->admin_count; i++)
        fd_close(&s->admin[i].fd);
    free(s->tcp);
    free(s->admin);
    buf_free(&s->listen_urls);
    buf_free(&s->admin_urls);
    *s = (struct sockets){0};
}

bool sockets_waiting(const struct sockets *s, uint32_t member)
{
    for (size_t i = 0; i < s->tcp_count; i++) {
        struct tcp_info info = {0};
        socklen_t len = sizeof(info);

        /* of a listening socket, tcpi_unacked is the length of its accept queue */
        if (s->tcp[i].member == member && getsockopt(s->tcp[i].fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
            info.tcpi_unacked > 0)
            return true;
    }
    return false;
}
