/*
 * test_channel.c: frames and descriptors: whole at whatever byte they are cut, in order, and no descriptor left behind
 * by anything a peer sends.
 */
#include "base/fd.h"
#include "base/panic.h"
#include "ipc/channel.h"
#include "ipc/spare.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static size_t descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    size_t count = 0;

    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

static int before(void **state)
{
    assert_true(spare_keep());
    *state = (void *)descriptors();
    return 0;
}

static int nothing_left_open(void **state)
{
    assert_int_equal(descriptors(), (size_t)*state);
    return 0;
}

static int memory_file(const char *text)
{
    int fd = memfd_create("x", MFD_CLOEXEC);

    NEED(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    return fd;
}

static void assert_holds(int fd, const char *text)
{
    char room[64] = {0};

    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(pread(fd, room, sizeof(room) - 1, 0), strlen(text));
    assert_string_equal(room, text);
}

static struct message a_died(struct slice script)
{
    return (struct message){
        .type = MESSAGE_died,
        .died = {.slot = 1, .incarnation = 2, .script_version = 1ull << 60, .preparing = 1, .script = script}};
}

static void the_wire_form_is_little_endian_and_in_order(void **state)
{
    struct message m = a_died(SLICE("hi"));
    struct buf out = {0};
    int fds[MESSAGES_FDS_MAX];
    static const char want[] = "\1\0\0\0\2\0\0\0\0\0\0\0\0\0\0\x10\1\0\0\0\2\0\0\0hi";

    assert_int_equal(messages_write(&m, &out, fds), 0);
    assert_int_equal(out.len, sizeof(want) - 1);
    assert_memory_equal(out.at, want, out.len);
    buf_free(&out);
}

static void a_reader_uses_up_the_whole_message(void **state)
{
    struct message m = a_died(SLICE("hi")), got;
    struct buf out = {0};
    int fds[MESSAGES_FDS_MAX] = {-1};

    messages_write(&m, &out, fds);
    for (size_t len = 0; len < out.len; len++)
        assert_int_equal(messages_read(MESSAGE_died, (struct slice){out.at, len}, fds, 0, &got), -1);
    assert_int_equal(messages_read(MESSAGE_died, buf_slice(&out), fds, 0, &got), 0);
    assert_int_equal(messages_read(MESSAGE_died, buf_slice(&out), fds, 1, &got), -1); /* a descriptor too many */
    assert_int_equal(messages_read(MESSAGE_none, SLICE(""), fds, 0, &got), -1);
    assert_int_equal(messages_read((enum message_type)9999, SLICE(""), fds, 0, &got), -1);
    buf_add_char(&out, 'x');
    assert_int_equal(messages_read(MESSAGE_died, buf_slice(&out), fds, 0, &got), -1);
    assert_string_equal(messages_name(MESSAGE_died), "died");
    assert_string_equal(messages_name((enum message_type)9999), "unknown");
    buf_free(&out);
}

static void messages_and_descriptors_arrive_in_order(void **state)
{
    int ends[2];
    struct channel *a, *b;
    struct message m;

    assert_int_equal(channel_pair(ends), 0);
    a = channel_new(ends[0]);
    b = channel_new(ends[1]);
    channel_send(a, &(struct message){.type = MESSAGE_ping, .ping = {.sequence = 7}});
    channel_queue(a, &(struct message){.type = MESSAGE_peer, .peer = {.slot = 3, .socket = memory_file("one")}});
    channel_queue(a, &(struct message){.type = MESSAGE_ping, .ping = {.sequence = 8}});
    channel_queue(a, &(struct message){.type = MESSAGE_tried, .tried = {.index = 4, .result = memory_file("two")}});
    assert_true(channel_wants_write(a));
    assert_int_equal(channel_flush(a), 0);
    assert_int_equal(channel_wait(b, &m), 1);
    assert_int_equal(m.ping.sequence, 7);
    assert_int_equal(channel_wait(b, &m), 1);
    assert_holds(m.peer.socket, "one");
    messages_close(&m);
    assert_int_equal(m.peer.socket, -1);
    assert_int_equal(channel_wait(b, &m), 1);
    assert_int_equal(m.ping.sequence, 8);
    assert_int_equal(channel_wait(b, &m), 1);
    assert_holds(m.tried.result, "two");
    messages_close(&m);
    assert_int_equal(channel_next(b, &m), 0);
    channel_free(&a);
    assert_int_equal(channel_wait(b, &m), -1);
    assert_string_equal(channel_why(b), "closed");
    channel_free(&b);
    channel_free(&b);
}

/* What was sent before the end is read, though the peer is gone and sending to it fails. */
static void messages_before_the_end_are_given(void **state)
{
    int ends[2];
    struct channel *a, *b;
    struct message m;

    channel_pair(ends);
    a = channel_new(ends[0]);
    b = channel_new(ends[1]);
    channel_send(b, &(struct message){.type = MESSAGE_ping, .ping = {.sequence = 1}}); /* a never reads it */
    for (uint32_t i = 0; i < 3; i++)
        channel_send(a, &(struct message){.type = MESSAGE_ping, .ping = {.sequence = i}});
    channel_send(a, &(struct message){.type = MESSAGE_peer, .peer = {.socket = memory_file("x")}});
    channel_free(&a);
    channel_send(b, &(struct message){.type = MESSAGE_peer, .peer = {.socket = memory_file("lost")}});
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(channel_wait(b, &m), 1);
        assert_int_equal(m.ping.sequence, i);
    }
    assert_int_equal(channel_wait(b, &m), 1);
    messages_close(&m);
    assert_int_equal(channel_wait(b, &m), -1);
    channel_send(b, &(struct message){.type = MESSAGE_peer, .peer = {.socket = memory_file("closed")}});
    assert_int_equal(channel_flush(b), -1);
    channel_free(&b);
}

/* Sends raw bytes and, with the first, descriptors. */
static void raw(int fd, const void *bytes, size_t len, const int *fds, size_t count)
{
    struct iovec part = {.iov_base = (void *)bytes, .iov_len = len};
    _Alignas(struct cmsghdr) char room[CMSG_SPACE(sizeof(int) * 16)] = {0};
    struct msghdr msg = {.msg_iov = &part, .msg_iovlen = 1};

    if (count > 0) {
        struct cmsghdr *head = (struct cmsghdr *)room;

        msg.msg_control = room;
        msg.msg_controllen = CMSG_SPACE(sizeof(int) * count);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof(int) * count);
        memcpy(CMSG_DATA(head), fds, sizeof(int) * count);
    }
    NEED(sendmsg(fd, &msg, MSG_NOSIGNAL) == (ssize_t)len);
}

#define VERSION "\6" /* the eighth byte of each frame below */
_Static_assert(MESSAGES_VERSION == 6, "VERSION is it");
/* The frame of a `peer` message, 20 bytes: header and three integers. */
static const char peer_frame[] = "\x0c\0\0\0\3\0\1" VERSION "\5\0\0\0\6\0\0\0\7\0\0\0";
#define PEER_LEN (sizeof(peer_frame) - 1)

static void a_frame_cut_at_any_byte_is_whole_again(void **state)
{
    assert_int_equal(MESSAGE_peer, 3);
    for (size_t cut = 1; cut < PEER_LEN; cut++) {
        int ends[2], fd = memory_file("cut");
        struct channel *c;
        struct message m;

        channel_pair(ends);
        c = channel_new(ends[1]);
        raw(ends[0], peer_frame, cut, &fd, 1);
        assert_int_equal(channel_read(c), 0);
        assert_int_equal(channel_next(c, &m), 0);
        raw(ends[0], peer_frame + cut, PEER_LEN - cut, NULL, 0);
        assert_int_equal(channel_read(c), 0);
        assert_int_equal(channel_next(c, &m), 1);
        assert_int_equal(m.peer.slot, 5);
        assert_int_equal(m.peer.incarnation, 6);
        assert_int_equal(m.peer.edition, 7);
        assert_holds(m.peer.socket, "cut");
        messages_close(&m);
        channel_free(&c);
        close(ends[0]);
        close(fd);
    }
}

/* One wrong frame after one good: the good is given, then the end with these words, and nothing stays open. */
static void expect_refused(const char *bytes, size_t len, size_t fd_count, const char *why)
{
    int ends[2], fds[16];
    struct channel *c;
    struct message m;
    static const char ping[] = "\4\0\0\0\1\0\0" VERSION "\x2a\0\0\0";

    for (size_t i = 0; i < fd_count; i++)
        fds[i] = memory_file("x");
    channel_pair(ends);
    c = channel_new(ends[1]);
    raw(ends[0], ping, sizeof(ping) - 1, NULL, 0);
    raw(ends[0], bytes, len, fds, fd_count);
    channel_read(c);
    assert_int_equal(channel_next(c, &m), 1);
    assert_int_equal(m.ping.sequence, 42);
    assert_int_equal(channel_next(c, &m), -1);
    assert_string_equal(channel_why(c), why);
    assert_int_equal(channel_next(c, &m), -1);
    assert_int_equal(channel_read(c), -1);
    assert_true(recv(ends[0], fds + 15, 1, MSG_DONTWAIT) == 0); /* the peer sees the end */
    channel_free(&c);
    close(ends[0]);
    for (size_t i = 0; i < fd_count; i++)
        close(fds[i]);
}
#define REFUSED(bytes, fds, why) expect_refused(bytes, sizeof(bytes) - 1, fds, why)

static void what_is_no_message_ends_the_channel(void **state)
{
    REFUSED("\4\0\0\0\1\0\0\xfe\0\0\0\0", 0, "another version of messages");
    REFUSED("\1\0\0\4\1\0\0" VERSION, 0, "message too long");
    REFUSED("\xff\xff\xff\xff\1\0\0" VERSION, 0, "message too long");
    REFUSED("\4\0\0\0\xff\xff\0" VERSION "\0\0\0\0", 0, "malformed message");
    REFUSED("\4\0\0\0\0\0\0" VERSION "\0\0\0\0", 0, "malformed message"); /* type none */
    REFUSED("\3\0\0\0\1\0\0" VERSION "\0\0\0", 0, "malformed message");   /* too short for a ping */
    REFUSED("\5\0\0\0\1\0\0" VERSION "\0\0\0\0\0", 0, "malformed message");
    REFUSED("\x0c\0\0\0\3\0\1" VERSION "\5\0\0\0\6\0\0\0\7\0\0\0", 0, "descriptors missing");
    REFUSED("\x0c\0\0\0\3\0\xff" VERSION "\5\0\0\0\6\0\0\0\7\0\0\0", 2, "descriptors missing");
    REFUSED("\x0c\0\0\0\3\0\2" VERSION "\5\0\0\0\6\0\0\0\7\0\0\0", 2, "malformed message"); /* a peer has one */
    REFUSED("\4\0\0\0\1\0\1" VERSION "\0\0\0\0", 1, "malformed message");                   /* a ping has none */
    REFUSED("\x0c\0\0\0\3\0\1" VERSION "\5\0", 7, "descriptors lost or too many at once");
    REFUSED("GET / HTTP/1.1\r\n\r\n", 0, "another version of messages");
}

static void descriptors_without_a_message_end_the_channel(void **state)
{
    int ends[2], fd = memory_file("x");
    struct channel *c;
    struct message m;

    channel_pair(ends);
    c = channel_new(ends[1]);
    for (size_t i = 0; i < 7; i++)
        raw(ends[0], "\x08", 1, &fd, 1);
    channel_read(c);
    assert_int_equal(channel_next(c, &m), -1);
    channel_free(&c);
    close(ends[0]);
    close(fd);
}

/* More descriptors than are held at once, all with their messages: none is lost. */
static void many_descriptors_wait_in_the_socket(void **state)
{
    int ends[2];
    struct channel *a, *b;
    struct message m;
    char text[16];

    channel_pair(ends);
    a = channel_new(ends[0]);
    b = channel_new(ends[1]);
    for (int i = 0; i < 150; i++) {
        snprintf(text, sizeof(text), "%d", i);
        channel_send(a, &(struct message){.type = MESSAGE_peer, .peer = {.socket = memory_file(text)}});
    }
    for (int i = 0; i < 150; i++) {
        channel_write(a);
        assert_int_equal(channel_wait(b, &m), 1);
        snprintf(text, sizeof(text), "%d", i);
        assert_holds(m.peer.socket, text);
        messages_close(&m);
    }
    channel_free(&a);
    channel_free(&b);
}

/* Opens until there are no more. */
static size_t use_up(int fds[], size_t max)
{
    size_t count = 0;

    while (count < max && (fds[count] = dup(STDERR_FILENO)) != -1)
        count++;
    assert_int_equal(errno, EMFILE);
    return count;
}

static void descriptors_arrive_where_there_are_none_left(void **state)
{
    struct rlimit whole, small;
    int ends[2], used[64], texts[4];
    struct channel *a, *b;
    struct message m;
    char text[16];
    size_t count;

    channel_pair(ends);
    a = channel_new(ends[0]);
    b = channel_new(ends[1]);
    for (int i = 0; i < 4; i++) {
        snprintf(text, sizeof(text), "%d", i);
        texts[i] = memory_file(text);
    }
    getrlimit(RLIMIT_NOFILE, &whole);
    small = (struct rlimit){.rlim_cur = 48, .rlim_max = whole.rlim_max};
    setrlimit(RLIMIT_NOFILE, &small);
    count = use_up(used, 64);
    for (int i = 0; i < 4; i++)
        channel_queue(a, &(struct message){.type = MESSAGE_peer, .peer = {.socket = texts[i]}});
    assert_int_equal(channel_flush(a), 0); /* which closes them */
    count += use_up(used + count, 64 - count);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(channel_wait(b, &m), 1);
        snprintf(text, sizeof(text), "%d", i);
        assert_holds(m.peer.socket, text);
        messages_close(&m);
    }
    assert_null(channel_why(b));
    setrlimit(RLIMIT_NOFILE, &whole);
    for (size_t i = 0; i < count; i++)
        close(used[i]);
    assert_true(spare_keep());
    channel_free(&a);
    channel_free(&b);
}

static void a_peer_that_does_not_read_is_given_up_beyond_the_bound(void **state)
{
    int ends[2];
    struct channel *a;
    size_t mib = 1u << 20;
    char *text = need_zero(1, mib);
    struct message m = a_died((struct slice){text, mib});

    channel_pair(ends);
    a = channel_new(ends[0]);
    channel_send(a, &(struct message){.type = MESSAGE_peer, .peer = {.socket = memory_file("x")}});
    for (size_t i = 0; i < (CHANNEL_QUEUE_MAX >> 20) - 1; i++)
        channel_send(a, &m);
    assert_int_equal(channel_write(a), 0);
    channel_send(a, &(struct message){.type = MESSAGE_peer, .peer = {.socket = memory_file("queued")}});
    for (size_t i = 0; i < 3; i++)
        channel_send(a, &m);
    assert_int_equal(channel_write(a), -1);
    assert_string_equal(channel_why(a), "the peer does not read");
    channel_send(a, &(struct message){.type = MESSAGE_peer, .peer = {.socket = memory_file("late")}});
    assert_false(channel_wants_write(a));
    channel_free(&a);
    close(ends[1]);
    free(text);
}

/* A sender and a reader, each in its process, much more than the socket holds, with descriptors in between. */
static void a_long_stream_arrives_byte_for_byte(void **state)
{
    int ends[2], status;
    struct channel *c;
    struct message m;
    char *text = need_alloc(300000);
    pid_t pid;

    for (size_t i = 0; i < 300000; i++)
        text[i] = (char)(i * 31 >> 3);
    channel_pair(ends);
    pid = fork();
    c = channel_new(ends[pid == 0 ? 0 : 1]);
    close(ends[pid == 0 ? 1 : 0]);
    for (uint32_t i = 0; pid == 0 && i < 200; i++) {
        struct message out = a_died((struct slice){text, i * 1499 % 300000});

        channel_queue(c, &out);
        channel_send(c, &(struct message){.type = MESSAGE_peer, .peer = {.slot = i, .socket = memory_file("s")}});
        if (i % 16 == 0)
            channel_flush(c);
    }
    if (pid == 0)
        _exit(channel_flush(c) == 0 ? 0 : 1);
    for (uint32_t i = 0; i < 200; i++) {
        assert_int_equal(channel_wait(c, &m), 1);
        assert_int_equal(m.died.script.len, i * 1499 % 300000);
        assert_memory_equal(m.died.script.at, text, m.died.script.len);
        assert_int_equal(channel_wait(c, &m), 1);
        assert_int_equal(m.peer.slot, i);
        assert_holds(m.peer.socket, "s");
        messages_close(&m);
    }
    assert_int_equal(channel_wait(c, &m), -1);
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
    channel_free(&c);
    free(text);
}

/* Seeded noise, in pieces, some of it almost a frame: it may only end the channel or say what a frame may say. */
static void noise_never_crashes_nor_leaks(void **state)
{
    unsigned seed = 4711;

    for (int round = 0; round < 3000; round++) {
        int ends[2], fd = memory_file("n");
        struct channel *c;
        struct message m;

        channel_pair(ends);
        c = channel_new(ends[1]);
        for (int piece = 0; piece < 6; piece++) {
            unsigned char bytes[40];
            size_t len = 1 + (size_t)rand_r(&seed) % sizeof(bytes);
            ssize_t sent;

            for (size_t i = 0; i < len; i++)
                bytes[i] = rand_r(&seed) % 3 ? (unsigned char)(rand_r(&seed) % 24) : (unsigned char)rand_r(&seed);
            if (len >= 8 && rand_r(&seed) % 4)
                memcpy(bytes, (unsigned char[]){(unsigned char)(len - 8), 0, 0, 0, bytes[4], 0, bytes[6] % 3, 1}, 8);
            if (rand_r(&seed) % 3 == 0 && channel_why(c) == NULL)
                raw(ends[0], bytes, len, &fd, 1);
            else if ((sent = send(ends[0], bytes, len, MSG_NOSIGNAL)) < 0)
                break;
            channel_read(c);
            while (channel_next(c, &m) > 0)
                messages_close(&m);
        }
        channel_free(&c);
        close(ends[0]);
        close(fd);
    }
}

#define COUNTED(test) cmocka_unit_test_setup_teardown(test, before, nothing_left_open)

int main(void)
{
    const struct CMUnitTest tests[] = {
        COUNTED(the_wire_form_is_little_endian_and_in_order),
        COUNTED(a_reader_uses_up_the_whole_message),
        COUNTED(messages_and_descriptors_arrive_in_order),
        COUNTED(messages_before_the_end_are_given),
        COUNTED(a_frame_cut_at_any_byte_is_whole_again),
        COUNTED(what_is_no_message_ends_the_channel),
        COUNTED(descriptors_without_a_message_end_the_channel),
        COUNTED(many_descriptors_wait_in_the_socket),
        COUNTED(descriptors_arrive_where_there_are_none_left),
        COUNTED(a_peer_that_does_not_read_is_given_up_beyond_the_bound),
        COUNTED(a_long_stream_arrives_byte_for_byte),
        COUNTED(noise_never_crashes_nor_leaks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
