/*
 * notify.c: one message, one datagram. Owns, runs in, fails: see notify.h.
 */
#include "supervise/notify.h"

#include "base/fd.h"
#include "base/log.h"
#include "base/panic.h"
#include "base/slice.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define WAITING_MAX 4096                  /* a few messages: a manager that takes none in is not there */
#define STOP_SPARE DUR_S(5)               /* beyond `drain`, for what is killed then to end */
#define WATCHDOG_MOST (UINT64_MAX / 2000) /* microseconds that fit as nanoseconds */

/* --- from the environment --- */

/* A copy of the variable, which is gone from the environment then; NULL: not set, or empty. */
static char *take(const char *name)
{
    const char *value = getenv(name);
    char *copy = value != NULL && value[0] != '\0' ? need_strdup(value) : NULL;

    unsetenv(name);
    return copy;
}

static int take_number(const char *name, const char *text, unsigned long long most, unsigned long long *number_out,
                       struct error *err)
{
    if (slice_to_u64(slice_of(text), most, number_out) && *number_out > 0)
        return 0;
    return error_set(err, "%s in the environment: expected a number, got \"%.40s\"", name, text);
}

static int open_watchdog(struct notify *n, struct error *err)
{
    unsigned long long usec, pid = (unsigned long long)getpid();

    if (n->usec == NULL)
        return 0;
    if (take_number("WATCHDOG_USEC", n->usec, WATCHDOG_MOST, &usec, err) != 0 ||
        (n->pid != NULL && take_number("WATCHDOG_PID", n->pid, INT32_MAX, &pid, err) != 0))
        return -1;
    if (pid == (unsigned long long)getpid()) /* else it is meant for whoever started us */
        n->watchdog = (dur_t){(int64_t)usec * 1000};
    return 0;
}

static int open_socket(struct notify *n, struct error *err)
{
    if (n->path == NULL)
        return 0;
    if ((n->path[0] != '/' && n->path[0] != '@') || n->path[1] == '\0' ||
        strlen(n->path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
        return error_set(err, "NOTIFY_SOCKET in the environment: expected a path or @name, got \"%.120s\"", n->path);
    n->socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return n->socket >= 0 ? 0 : error_errno(err, "NOTIFY_SOCKET: cannot make a socket");
}

int notify_open(struct notify *n, struct error *err)
{
    *n = (struct notify){.socket = -1, .path = take("NOTIFY_SOCKET")};
    n->usec = take("WATCHDOG_USEC");
    n->pid = take("WATCHDOG_PID");
    if (open_watchdog(n, err) == 0 && open_socket(n, err) == 0)
        return 0;
    notify_close(n);
    return -1;
}

/* --- sending --- */

/* True: it need not be sent again. */
static bool sent(struct notify *n, struct slice text)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t len = strlen(n->path);

    memcpy(to.sun_path, n->path, len);
    if (to.sun_path[0] == '@')
        to.sun_path[0] = '\0';
    if (sendto(n->socket, text.at, text.len, MSG_NOSIGNAL, (struct sockaddr *)&to,
               (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) >= 0) {
        n->told = false;
        return true;
    }
    if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS)
        return false;
    if (!n->told)
        log_at(LOG_WARN, "cannot tell the service manager", LOG_STR("error", strerror(errno)),
               LOG_STR("socket", n->path));
    n->told = true;
    return true;
}

static void flush(struct notify *n)
{
    while (n->waiting.len > 0) {
        size_t len = strlen(n->waiting.at);

        if (!sent(n, (struct slice){n->waiting.at, len}))
            return;
        buf_drop(&n->waiting, len + 1);
    }
}

static void say(struct notify *n, const char *text)
{
    if (n->socket < 0)
        return;
    if (n->waiting.len < WAITING_MAX)
        buf_add(&n->waiting, text, strlen(text) + 1);
    flush(n);
}

static uint64_t usec(int64_t ns)
{
    return (uint64_t)ns / 1000;
}

void notify_ready(struct notify *n, const char *status)
{
    struct buf text = {0};

    buf_addf(&text, "READY=1\nSTATUS=%s\nMAINPID=%d", status, (int)getpid());
    say(n, buf_text(&text));
    buf_free(&text);
}

void notify_reloading(struct notify *n, const char *status)
{
    struct buf text = {0};

    buf_addf(&text, "RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=%s", (unsigned long long)usec(mono_now().ns), status);
    say(n, buf_text(&text));
    buf_free(&text);
}

void notify_stopping(struct notify *n, dur_t within)
{
    struct buf text = {0};

    buf_addf(&text, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%llu\nSTATUS=draining",
             (unsigned long long)usec(within.ns + STOP_SPARE.ns));
    say(n, buf_text(&text));
    buf_free(&text);
}

void notify_tick(struct notify *n, mono_t now, bool serving)
{
    if (n->socket < 0)
        return;
    flush(n);
    if (n->watchdog.ns == 0 || !serving || mono_before(now, n->next) || n->waiting.len > 0)
        return;
    n->next = mono_add(now, (dur_t){n->watchdog.ns / 2});
    say(n, "WATCHDOG=1");
}

/* --- the end --- */

static void put(const char *name, const char *value)
{
    if (value != NULL)
        NEED(setenv(name, value, 1) == 0);
}

void notify_restore(const struct notify *n)
{
    put("NOTIFY_SOCKET", n->path);
    put("WATCHDOG_USEC", n->usec);
    put("WATCHDOG_PID", n->pid);
}

void notify_close(struct notify *n)
{
    fd_close(&n->socket);
    free(n->path);
    free(n->usec);
    free(n->pid);
    buf_free(&n->waiting);
    *n = (struct notify){.socket = -1};
}
