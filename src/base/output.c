/*
 * output.c: see output.h. A pipe or a terminal is opened once more, without blocking; a socket is asked not to block
 * call by call; where neither goes, poll says whether there is room for OUTPUT_ATOMIC bytes.
 */
#include "base/output.h"
#include "base/fd.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

void output_open(struct output *o, int fd)
{
    struct stat st;
    char path[32];
    *o = (struct output){.fd = fd};
    if (fd < 0 || fstat(fd, &st) != 0)
        return;
    o->socket = S_ISSOCK(st.st_mode);
    o->file = S_ISREG(st.st_mode); /* opened again, it would be written from its beginning */
    if (!S_ISFIFO(st.st_mode) && !(S_ISCHR(st.st_mode) && isatty(fd) == 1))
        return;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int again = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (again < 0)
        return; /* another user's terminal */
    o->fd = again;
    o->own = true;
}

void output_close(struct output *o)
{
    if (o->own)
        fd_close(&o->fd);
    buf_free(&o->rest);
    *o = (struct output){.fd = -1};
}

static bool writable(const struct output *o, dur_t wait)
{
    struct pollfd p = {.fd = o->fd, .events = POLLOUT};
    return poll(&p, 1, (int)dur_ms_up(wait)) == 1 && (p.revents & POLLOUT);
}

/* Bytes taken now, without waiting; -1 with errno. */
static ssize_t take(struct output *o, struct slice s)
{
    if (o->socket)
        return send(o->fd, s.at, s.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (o->own || o->file)
        return write(o->fd, s.at, s.len);
    if (!writable(o, (dur_t){0})) {
        errno = EAGAIN;
        return -1;
    }
    return write(o->fd, s.at, s.len < OUTPUT_ATOMIC ? s.len : OUTPUT_ATOMIC);
}

/* How many bytes were taken by the end of the wait. */
static size_t take_within(struct output *o, struct slice s, dur_t wait)
{
    mono_t until = mono_add(mono_now(), wait);
    size_t done = 0;
    while (done < s.len) {
        ssize_t n = take(o, slice_from(s, done));
        if (n > 0) {
            done += (size_t)n;
            continue;
        }
        dur_t left = mono_since(until, mono_now());
        if (n == 0 || (errno != EAGAIN && errno != EINTR) || left.ns <= 0 || !writable(o, left))
            break;
    }
    return done;
}

bool output_flush(struct output *o, dur_t wait)
{
    if (o->rest.len > 0)
        buf_drop(&o->rest, take_within(o, buf_slice(&o->rest), wait));
    return o->rest.len == 0;
}

bool output_write(struct output *o, struct slice line, dur_t wait)
{
    if (o->fd < 0 || !output_flush(o, wait))
        return false;
    size_t done = take_within(o, line, wait);
    if (done > 0 && done < line.len)
        buf_add_slice(&o->rest, slice_from(line, done));
    return done > 0;
}

bool output_is_cut(int fd)
{
    struct stat st;
    char path[32], last = '\n';
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size == 0)
        return false;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int again = open(path, O_RDONLY | O_NOCTTY | O_CLOEXEC); /* ours only appends */
    bool known = again >= 0 && pread(again, &last, 1, st.st_size - 1) == 1;
    fd_close(&again);
    return known && last != '\n';
}
