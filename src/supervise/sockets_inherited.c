/*
 * sockets_inherited.c: sockets that were handed over at the start (sd_listen_fds(3)): which the environment names, what
 * they are, what they are for. Owns, runs in, fails: see sockets.h.
 */
#include "supervise/sockets_internal.h"

#include "base/fd.h"
#include "base/panic.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST 3 /* SD_LISTEN_FDS_START */
#define MOST 64 /* as many as a configuration may have */

/* --- the environment --- */

static char *take(const char *name)
{
    const char *value = getenv(name);
    char *copy = value != NULL && value[0] != '\0' ? need_strdup(value) : NULL;

    unsetenv(name);
    return copy;
}

static int check_pid(const char *text, struct error *err)
{
    unsigned long long pid;

    if (text == NULL)
        return error_set(err, "LISTEN_FDS is in the environment, but no LISTEN_PID that says for whom");
    if (!slice_to_u64(slice_of(text), INT32_MAX, &pid))
        return error_set(err, "LISTEN_PID in the environment: expected a process id, got \"%.40s\"", text);
    if (pid != (unsigned long long)getpid())
        return error_set(err,
                         "LISTEN_PID in the environment is %llu, and this is process %d: the sockets were handed to "
                         "whoever started crescent; a shell in between must use exec",
                         pid, (int)getpid());
    return 0;
}

/* --- one socket --- */

static int option(int fd, int name)
{
    int value = 0;
    socklen_t len = sizeof(value);

    return getsockopt(fd, SOL_SOCKET, name, &value, &len) == 0 ? value : -1;
}

/* What is wrong with it, or NULL. */
static const char *fault_of(int fd)
{
    struct stat st;
    int domain;

    if (fstat(fd, &st) != 0)
        return "it is not open";
    if (!S_ISSOCK(st.st_mode))
        return "it is no socket";
    domain = option(fd, SO_DOMAIN);
    if (domain != AF_INET && domain != AF_INET6 && domain != AF_UNIX)
        return "it is of no family that crescent speaks: TCP or unix";
    if (option(fd, SO_TYPE) != SOCK_STREAM)
        return "it is no stream socket (ListenStream= makes one)";
    if (option(fd, SO_ACCEPTCONN) != 1)
        return "it does not listen (Accept=yes hands over connections: leave it out)";
    return NULL;
}

static int prepare(int fd, struct sockaddr_storage *at, socklen_t *len, struct error *err)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 && fd_cloexec(fd, true) == 0 &&
        getsockname(fd, (struct sockaddr *)at, len) == 0)
        return 0;
    return error_errno(err, "descriptor %d that was handed over", fd);
}

static int take_socket(struct sockets *s, int fd, struct slice name, struct error *err)
{
    enum config_role role = config_role_of(name);
    struct sockaddr_storage at = {.ss_family = AF_UNSPEC};
    socklen_t len = sizeof(at);
    struct sockets_place *place;
    struct buf address = {0};
    const char *fault = fault_of(fd);

    if (fault != NULL)
        return error_set(err, "descriptor %d (\"%.*s\") that was handed over: %s", fd, SLICE_ARG(name), fault);
    if (prepare(fd, &at, &len, err) != 0)
        return -1;
    buf_addf(&address, "inherited:%d:%s:", fd, config_role_name(role));
    sockets_address(&at, len, &address);
    place = sockets_add_place(s);
    place->address = buf_take(&address);
    place->keeper = role == CONFIG_ROLE_ADMIN || role == CONFIG_ROLE_HEALTH;
    sockets_add(s, place, (struct heritage_socket){.fd = fd, .member = HERITAGE_SHARED, .members = 1});
    return 0;
}

/* --- all of them --- */

static int take_all(struct sockets *s, const char *fds, const char *names, struct error *err)
{
    struct slice rest = slice_of(names), name = SLICE_NONE;
    unsigned long long count, named = 0;

    if (!slice_to_u64(slice_of(fds), MOST, &count))
        return error_set(err, "LISTEN_FDS in the environment: expected a number 0-%d, got \"%.40s\"", MOST, fds);
    while (slice_cut(&rest, ':', &name))
        named++;
    if (names != NULL && named != count)
        return error_set(err, "LISTEN_FDNAMES in the environment has %llu names for %llu sockets", named, count);
    rest = slice_of(names);
    for (int i = 0; i < (int)count; i++) {
        name = SLICE_NONE;
        slice_cut(&rest, ':', &name);
        if (take_socket(s, FIRST + i, name, err) != 0)
            return -1;
    }
    return 0;
}

int sockets_inherit(struct sockets *s, struct error *err)
{
    char *fds = take("LISTEN_FDS"), *pid = take("LISTEN_PID"), *names = take("LISTEN_FDNAMES");
    int done = 0;

    unsetenv("LISTEN_PIDFDID"); /* of newer systemd; the process id tells enough */
    if (fds != NULL && (check_pid(pid, err) != 0 || take_all(s, fds, names, err) != 0)) {
        sockets_close(s, NULL);
        done = -1;
    }
    free(fds);
    free(pid);
    free(names);
    return done;
}

void sockets_inherited(const struct sockets *s, struct buf *out)
{
    uint32_t count = 0;

    for (size_t i = 0; i < s->place_count; i++)
        count += strncmp(s->places[i].address, "inherited:", 10) == 0;
    buf_add_u32(out, count);
    for (size_t i = 0; i < s->place_count; i++)
        if (strncmp(s->places[i].address, "inherited:", 10) == 0)
            buf_add_string(out, slice_of(s->places[i].address));
}
