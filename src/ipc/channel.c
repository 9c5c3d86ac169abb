/*
 * channel.c: frames over a Unix stream socket: u32 length of the body, u16 type, u8 descriptors, u8 version, then the
 * body. Descriptors ride on the frame's first byte, so they never arrive after their frame. What is sent in one call
 * ends where the next frame with descriptors begins.
 * Owns, runs in, fails: see channel.h.
 */
#include "ipc/channel.h"

#include "base/fd.h"
#include "base/panic.h"
#include "ipc/spare.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEADER 8
#define BODY_MAX (64u << 20)
#define READ_CHUNK (64u << 10)
#define READ_PASS (1u << 20) /* so that one loud peer does not keep the owner from the others */
#define FDS_IN 64            /* received and not yet taken: more wait in the socket */

static const char closed[] = "closed";

struct mark {  /* a queued frame that has descriptors */
    size_t at; /* where it begins in `out` */
    int fds[MESSAGES_FDS_MAX];
    size_t count;
};

struct channel {
    int fd;
    const char *why; /* NULL: alive; else no byte is read any more */
    bool mute;       /* the peer reads no more; what it sent before is still to be taken */
    struct buf out;
    size_t sent; /* of `out` */
    struct mark *marks;
    size_t mark_count, mark_room;
    struct buf in;
    size_t taken; /* of `in` */
    int fds[FDS_IN];
    size_t fd_count;
};

int channel_pair(int fds_out[2])
{
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds_out);
}

struct channel *channel_new(int fd)
{
    struct channel *c = need_zero(1, sizeof(*c));

    c->fd = fd;
    spare_keep();
    return c;
}

static void drop_output(struct channel *c)
{
    for (size_t i = 0; i < c->mark_count; i++)
        for (size_t k = 0; k < c->marks[i].count; k++)
            fd_close(&c->marks[i].fds[k]);
    c->mark_count = 0;
    c->sent = 0;
    buf_free(&c->out);
}

static void drop_descriptors(struct channel *c)
{
    for (size_t i = 0; i < c->fd_count; i++)
        fd_close(&c->fds[i]);
    c->fd_count = 0;
}

/* No more in either direction; whole messages that are already here stay to be taken. */
static void end(struct channel *c, const char *why)
{
    if (c->why == NULL)
        c->why = why;
    c->mute = true;
    drop_output(c);
    shutdown(c->fd, SHUT_RDWR);
}

void channel_free(struct channel **c)
{
    if (*c == NULL)
        return;
    drop_output(*c);
    drop_descriptors(*c);
    buf_free(&(*c)->in);
    free((*c)->marks);
    fd_close(&(*c)->fd);
    free(*c);
    *c = NULL;
}

int channel_fd(const struct channel *c)
{
    return c->fd;
}

const char *channel_why(const struct channel *c)
{
    return c->why;
}

/* --- sending --- */

static void add_mark(struct channel *c, size_t at, const int *fds, size_t count)
{
    if (c->mark_count == c->mark_room) {
        c->mark_room = c->mark_room == 0 ? 8 : c->mark_room * 2;
        c->marks = need_realloc(c->marks, c->mark_room * sizeof(*c->marks));
    }
    c->marks[c->mark_count] = (struct mark){.at = at, .count = count};
    memcpy(c->marks[c->mark_count++].fds, fds, count * sizeof(*fds));
}

static void begin_frame(struct channel *c, enum message_type type)
{
    unsigned char header[4] = {(unsigned char)type, (unsigned char)(type >> 8), 0, MESSAGES_VERSION};

    buf_add_u32(&c->out, 0);
    buf_add(&c->out, header, sizeof(header));
}

static void end_frame(struct channel *c, size_t start)
{
    size_t body = c->out.len - start - HEADER;

    CHECK(body <= BODY_MAX);
    for (size_t i = 0; i < 4; i++)
        c->out.at[start + i] = (char)(body >> (8 * i));
    if (c->mute)
        drop_output(c);
    else if (c->out.len - c->sent > CHANNEL_QUEUE_MAX)
        end(c, "the peer does not read");
}

void channel_queue(struct channel *c, const struct message *m)
{
    int fds[MESSAGES_FDS_MAX];
    size_t start = c->out.len, count;

    begin_frame(c, m->type);
    count = messages_write(m, &c->out, fds);
    c->out.at[start + 6] = (char)count;
    if (count > 0)
        add_mark(c, start, fds, count);
    end_frame(c, start);
}

void channel_queue_body(struct channel *c, enum message_type type, struct slice body)
{
    size_t start = c->out.len;

    begin_frame(c, type);
    buf_add_slice(&c->out, body);
    end_frame(c, start);
}

void channel_send(struct channel *c, const struct message *m)
{
    channel_queue(c, m);
    channel_write(c);
}

bool channel_wants_write(const struct channel *c)
{
    return c->sent < c->out.len;
}

bool channel_quiet(const struct channel *c)
{
    return !channel_wants_write(c) && c->taken == c->in.len && c->fd_count == 0;
}

/* Sends up to the next frame with descriptors; those of the frame it begins with go along. */
static ssize_t send_some(struct channel *c)
{
    bool marked = c->mark_count > 0 && c->marks[0].at == c->sent;
    size_t next = marked ? 1 : 0;
    size_t until = c->mark_count > next ? c->marks[next].at : c->out.len;
    struct iovec part = {.iov_base = c->out.at + c->sent, .iov_len = until - c->sent};
    _Alignas(struct cmsghdr) char room[CMSG_SPACE(sizeof(int) * MESSAGES_FDS_MAX)] = {0};
    struct msghdr msg = {.msg_iov = &part, .msg_iovlen = 1};
    ssize_t n;

    if (marked) {
        struct mark *k = &c->marks[0];
        struct cmsghdr *head = (struct cmsghdr *)room;

        msg.msg_control = room;
        msg.msg_controllen = CMSG_SPACE(sizeof(int) * k->count);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof(int) * k->count);
        memcpy(CMSG_DATA(head), k->fds, sizeof(int) * k->count);
    }
    n = sendmsg(c->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0 && marked) {
        for (size_t i = 0; i < c->marks[0].count; i++)
            fd_close(&c->marks[0].fds[i]);
        memmove(c->marks, c->marks + 1, --c->mark_count * sizeof(*c->marks));
    }
    return n;
}

/* Gives sent bytes back; moving what is left is put off until it is the smaller part. */
static void forget_sent(struct channel *c)
{
    if (c->sent < c->out.len && c->sent < c->out.len / 2)
        return;
    buf_drop(&c->out, c->sent);
    for (size_t i = 0; i < c->mark_count; i++)
        c->marks[i].at -= c->sent;
    c->sent = 0;
}

int channel_write(struct channel *c)
{
    while (channel_wants_write(c)) {
        ssize_t n = send_some(c);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS || errno == ETOOMANYREFS))
            break;
        if (n < 0) { /* it may have sent us something before it went: reading will find the end */
            c->mute = true;
            drop_output(c);
            break;
        }
        c->sent += (size_t)n;
    }
    forget_sent(c);
    return c->why != NULL ? -1 : 0;
}

/* --- receiving --- */

/* Takes over what came beside the bytes; anything but up to MESSAGES_FDS_MAX descriptors ends the channel. */
static void take_control(struct channel *c, struct msghdr *msg)
{
    bool odd = (msg->msg_flags & MSG_CTRUNC) != 0;

    for (struct cmsghdr *head = CMSG_FIRSTHDR(msg); head != NULL; head = CMSG_NXTHDR(msg, head)) {
        size_t count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) {
            odd = true;
            continue;
        }
        for (size_t i = 0; i < count; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(head) + i * sizeof(int), sizeof(int));
            if (c->fd_count < FDS_IN)
                c->fds[c->fd_count++] = fd;
            else
                close(fd);
        }
    }
    if (odd)
        end(c, CHANNEL_LOST);
}

static ssize_t receive_some(struct channel *c)
{
    _Alignas(struct cmsghdr) char room[CMSG_SPACE(sizeof(int) * MESSAGES_FDS_MAX)];
    struct iovec part = {.iov_base = buf_reserve(&c->in, READ_CHUNK), .iov_len = READ_CHUNK};
    struct msghdr msg = {.msg_iov = &part,
                         .msg_iovlen = 1,
                         .msg_control = room,
                         /* not the room, which alignment may make large enough for one more */
                         .msg_controllen = CMSG_LEN(sizeof(int) * MESSAGES_FDS_MAX)};
    ssize_t n = recvmsg(c->fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

    if (n > 0)
        c->in.len += (size_t)n;
    if (n >= 0)
        take_control(c, &msg);
    return n;
}

/* Another message's descriptors have room, too; or the rest waits until what came has been taken, and closed. */
static bool has_room(struct channel *c, size_t fds_before)
{
    if (c->fd_count + MESSAGES_FDS_MAX > FDS_IN)
        return false;
    if (c->fd_count == fds_before)
        return true;
    bool whole = spare_keep();
    spare_release();
    return whole;
}

static int read_pass(struct channel *c)
{
    size_t total = 0, fds = c->fd_count;

    while (c->why == NULL && total < READ_PASS && has_room(c, fds)) {
        fds = c->fd_count;
        ssize_t n = receive_some(c);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            break;
        if (n <= 0)
            end(c, closed);
        else
            total += (size_t)n;
    }
    return c->why != NULL ? -1 : 0;
}

int channel_read(struct channel *c)
{
    buf_drop(&c->in, c->taken);
    c->taken = 0;
    spare_release();
    int result = read_pass(c);
    spare_keep();
    return result;
}

void channel_end(struct channel *c, const char *why)
{
    end(c, why);
    c->why = why; /* says more than the "closed" that may be there */
    buf_free(&c->in);
    c->taken = 0;
    drop_descriptors(c);
}

/* Malformed: nothing behind this point can be trusted. */
static int broken(struct channel *c, const char *why)
{
    channel_end(c, why);
    return -1;
}

/* No whole frame is here. Descriptors belong to frames, so there are none but those of a frame that began. */
static int unfinished(struct channel *c, size_t left)
{
    if (c->fd_count > (left > 0 ? MESSAGES_FDS_MAX : 0))
        return broken(c, "descriptors without a message");
    if (c->why == NULL)
        return 0;
    return left > 0 ? broken(c, c->why == closed ? "ended within a message" : c->why) : -1;
}

int channel_next(struct channel *c, struct message *m_out)
{
    struct slice rest = slice_from(buf_slice(&c->in), c->taken);
    bool bad = false;
    const unsigned char *tail;
    size_t left = rest.len, length, count;

    spare_keep(); /* what the last message brought is closed, perhaps */
    if (left < HEADER)
        return unfinished(c, left);
    length = buf_take_u32(&rest, &bad);
    tail = (const unsigned char *)rest.at;
    count = tail[2];
    if (tail[3] != MESSAGES_VERSION)
        return broken(c, "another version of messages");
    if (length > BODY_MAX)
        return broken(c, "message too long");
    if (count > MESSAGES_FDS_MAX || count > c->fd_count)
        return broken(c, c->why != NULL && c->why != closed ? c->why : "descriptors missing");
    if (left - HEADER < length)
        return unfinished(c, left);
    rest = (struct slice){rest.at + 4, length};
    if (messages_read((enum message_type)(tail[0] | tail[1] << 8), rest, c->fds, count, m_out) != 0)
        return broken(c, "malformed message");
    c->taken += HEADER + length;
    c->fd_count -= count;
    memmove(c->fds, c->fds + count, c->fd_count * sizeof(*c->fds));
    return 1;
}

/* --- without a loop --- */

static void wait_for(const struct channel *c, short events)
{
    struct pollfd p = {.fd = c->fd, .events = events};

    (void)poll(&p, 1, -1); /* an error or a signal: the caller's next try tells */
}

int channel_flush(struct channel *c)
{
    while (channel_write(c) == 0 && !c->mute && channel_wants_write(c))
        wait_for(c, POLLOUT);
    return c->mute ? -1 : 0;
}

int channel_wait(struct channel *c, struct message *m_out)
{
    int got;

    while ((got = channel_next(c, m_out)) == 0) {
        if (channel_wants_write(c))
            channel_write(c);
        channel_read(c);
        got = channel_next(c, m_out);
        if (got != 0)
            break;
        wait_for(c, (short)(POLLIN | (channel_wants_write(c) ? POLLOUT : 0)));
    }
    return got;
}
