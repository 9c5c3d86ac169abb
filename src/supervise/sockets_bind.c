/*
 * sockets_bind.c: probe, bind, listen. A taken port is found by one plain bind: with SO_REUSEPORT a second server of
 * the same user would join the group silently and take half of the connections. A taken path is found by knocking: who
 * does not answer is dead, and its file is removed. Owns, runs in: see sockets.h. Fails: -1, with errno or words.
 */
#include "base/fd.h"
#include "base/panic.h"
#include "supervise/sockets_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define BACKLOG 4096    /* the kernel lowers it to net.core.somaxconn */
#define NAP_NS 10000000 /* between two tries */

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
}

/* --- TCP --- */

int sockets_target_read(struct slice number, in_port_t port, struct sockets_target *t_out)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST}; /* it asks nobody */
    char *text = slice_dup(number);
    struct addrinfo *found;
    int code = getaddrinfo(text, NULL, &hints, &found);

    free(text);
    if (code != 0)
        return -1;
    *t_out = (struct sockets_target){.len = found->ai_addrlen};
    memcpy(&t_out->at, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    if (t_out->at.ss_family == AF_INET6)
        ((struct sockaddr_in6 *)&t_out->at)->sin6_port = port;
    else
        ((struct sockaddr_in *)&t_out->at)->sin_port = port;
    return 0;
}

in_port_t sockets_target_port(const struct sockets_target *t)
{
    return t->at.ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)&t->at)->sin6_port
                                       : ((const struct sockaddr_in *)&t->at)->sin_port;
}

/* A bound socket, or -1 with errno. */
static int bound(const struct sockets_target *t, bool group)
{
    int on = 1;
    int fd = socket(t->at.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);

    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        (group && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0) ||
        (t->at.ss_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) != 0) ||
        bind(fd, (const struct sockaddr *)&t->at, t->len) != 0)
        fd_close(&fd);
    return fd;
}

/* As bound, but waits for a taken port. */
static int bound_soon(const struct sockets_target *t, dur_t patience)
{
    mono_t until = mono_add(mono_now(), patience);
    int fd;

    while ((fd = bound(t, false)) < 0 && errno == EADDRINUSE && mono_before(mono_now(), until))
        nap();
    return fd;
}

/* Listens, learns the port. Closes fd when it cannot. */
static int listening(struct sockets_target *t, int fd, int *fd_out)
{
    if (fd < 0)
        return -1;
    if (listen(fd, BACKLOG) != 0 || getsockname(fd, (struct sockaddr *)&t->at, &t->len) != 0) {
        fd_close(&fd);
        return -1;
    }
    *fd_out = fd;
    return 0;
}

/*
 * Has the kernel choose a port, and holds it until the members have bound it by its number. A socket that was not given
 * its port by number gets another one when it listens no more: who took a worker over could make a connection of such a
 * listener, which admin/asker would not know by its port.
 */
static int chosen(struct sockets_target *t)
{
    int fd = bound(t, true);

    if (fd >= 0 && getsockname(fd, (struct sockaddr *)&t->at, &t->len) != 0)
        fd_close(&fd);
    return fd;
}

int sockets_bind_group(struct sockets_target *t, uint32_t members, dur_t patience, int *fds, size_t *count)
{
    bool given = sockets_target_port(t) != 0;
    int probe = given ? bound_soon(t, patience) : chosen(t), done = 0;

    if (probe < 0)
        return -1;
    if (given)
        fd_close(&probe);
    for (uint32_t i = 0; i < members && done == 0; i++) {
        done = listening(t, bound(t, true), &fds[*count]);
        *count += done == 0;
    }
    fd_close(&probe);
    return done;
}

int sockets_bind_one(struct sockets_target *t, dur_t patience, int *fd_out)
{
    return listening(t, bound_soon(t, patience), fd_out);
}

static bool everywhere(const struct sockaddr_storage *at)
{
    if (at->ss_family == AF_INET6)
        return IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)at)->sin6_addr);
    return ((const struct sockaddr_in *)at)->sin_addr.s_addr == htonl(INADDR_ANY);
}

static bool same_host(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    if (a->ss_family == AF_INET6)
        return IN6_ARE_ADDR_EQUAL(&((const struct sockaddr_in6 *)a)->sin6_addr,
                                  &((const struct sockaddr_in6 *)b)->sin6_addr);
    return ((const struct sockaddr_in *)a)->sin_addr.s_addr == ((const struct sockaddr_in *)b)->sin_addr.s_addr;
}

static bool overlaps(int fd, const struct sockets_target *t, struct buf *who_out)
{
    struct sockets_target own = {.len = sizeof(own.at)};

    if (getsockname(fd, (struct sockaddr *)&own.at, &own.len) != 0 || own.at.ss_family != t->at.ss_family ||
        sockets_target_port(&own) != sockets_target_port(t))
        return false;
    if (!same_host(&own.at, &t->at) && !everywhere(&own.at) && !everywhere(&t->at))
        return false;
    sockets_address(&own.at, own.len, who_out);
    return true;
}

bool sockets_overlap(const struct sockets *s, const struct sockets_target *t, struct buf *who_out)
{
    for (size_t i = 0; i < s->worker_count; i++)
        if (overlaps(s->worker[i].fd, t, who_out))
            return true;
    for (size_t i = 0; i < s->keeper_count; i++)
        if (overlaps(s->keeper[i].fd, t, who_out))
            return true;
    return false;
}

/* --- unix --- */

bool sockets_file(const char *path, uint64_t *device_out, uint64_t *inode_out)
{
    struct stat st;

    if (lstat(path, &st) != 0 || !S_ISSOCK(st.st_mode))
        return false;
    *device_out = st.st_dev;
    *inode_out = st.st_ino;
    return true;
}

/* What the knock at a socket's file tells: 1 nobody is there any more, 0 somebody is, -1 (errno) not to be told. */
static int nobody_home(const struct sockaddr_un *at)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), said;

    if (fd < 0)
        return -1;
    said = connect(fd, (const struct sockaddr *)at, sizeof(*at)) == 0 ? 0 : errno;
    close(fd);
    if (said == ECONNREFUSED || said == ENOENT)
        return 1;
    if (said == 0 || said == EAGAIN || said == EINPROGRESS || said == EPROTOTYPE) /* its queue is full; no stream */
        return 0;
    errno = said;
    return -1;
}

/* Makes way at a taken path, or says why not. */
static int make_way(const struct sockaddr_un *at, mono_t until, struct error *err)
{
    struct stat st;
    int nobody;

    if (lstat(at->sun_path, &st) == 0 && !S_ISSOCK(st.st_mode)) /* a link is none either, wherever it leads */
        return error_set(err, "there is a file that is no socket; it was not touched");
    while ((nobody = nobody_home(at)) == 0 && mono_before(mono_now(), until))
        nap();
    if (nobody == 0)
        return error_set(err, "Address already in use");
    if (nobody < 0)
        return error_errno(err, "cannot tell whether its socket is in use");
    if (unlink(at->sun_path) != 0 && errno != ENOENT)
        return error_errno(err, "cannot remove the stale socket");
    return 0;
}

static int bind_listen(int fd, const struct sockaddr_un *at, unsigned mode)
{
    mode_t before = umask((mode_t)(~mode & 0777)); /* so that it never has another mode, not for a moment */
    int done = bind(fd, (const struct sockaddr *)at, sizeof(*at)), kept = errno;

    umask(before);
    errno = kept;
    if (done != 0 || listen(fd, BACKLOG) == 0)
        return done;
    kept = errno;
    unlink(at->sun_path);
    errno = kept;
    return -1;
}

/*
 * Held while a path is looked at, removed and bound: of two servers that start at once, one would find the other's
 * socket between its bind and its listen, and take it for stale. -1: not to be had, go on without.
 */
static int lock_folder(const char *path, mono_t until)
{
    char folder[sizeof(((struct sockaddr_un *)0)->sun_path)];
    char *slash;
    int fd;

    snprintf(folder, sizeof(folder), "%s", path);
    slash = strrchr(folder, '/');
    slash[slash == folder ? 1 : 0] = '\0';
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK && mono_before(mono_now(), until))
        nap();
    return fd;
}

static int bind_locked(int fd, const char *path, unsigned mode, mono_t until, struct error *err)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};

    CHECK(path[0] == '/' && strlen(path) < sizeof(at.sun_path));
    memcpy(at.sun_path, path, strlen(path));
    if (bind_listen(fd, &at, mode) == 0)
        return 0;
    if (errno != EADDRINUSE)
        return error_errno(err, "cannot bind");
    if (make_way(&at, until, err) != 0)
        return -1;
    return bind_listen(fd, &at, mode) == 0 ? 0 : error_errno(err, "cannot bind");
}

int sockets_bind_unix(const char *path, unsigned mode, dur_t patience, int *fd_out, struct error *err)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), folder, done;

    if (fd < 0)
        return error_errno(err, "cannot make a socket");
    folder = lock_folder(path, mono_add(mono_now(), patience));
    done = bind_locked(fd, path, mode, mono_add(mono_now(), patience), err);
    fd_close(&folder);
    if (done == 0)
        *fd_out = fd;
    else
        fd_close(&fd);
    return done;
}
