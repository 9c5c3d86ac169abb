/*
 * asker.c: see asker.h. One question and one answer for each request that wants it: some microseconds.
 */
#include "admin/asker.h"

#include "base/fd.h"
#include "base/log.h"
#include "base/panic.h"
#include "base/slice.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define NONE (-1)

/* One end of a connection, or none: all zero. */
struct end {
    int family;
    uint16_t port; /* in the net's order, as the table has it */
    uint32_t address[4];
};

struct found { /* a socket, as the kernel's table has it */
    uint8_t state;
    uint16_t port, to_port;
    uid_t user;
    uint32_t inode; /* 0: no process holds it any more */
};

/* --- the kernel's table ------------------------------------------------------------------------------------------- */

static bool send_question(struct asker *a, const struct end *from, const struct end *to)
{
    struct {
        struct nlmsghdr head;
        struct inet_diag_req_v2 what;
    } question = {
        .head = {.nlmsg_len = sizeof(question),
                 .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                 .nlmsg_flags = NLM_F_REQUEST,
                 .nlmsg_seq = ++a->sequence},
        .what = {.sdiag_family = (uint8_t)from->family,
                 .sdiag_protocol = IPPROTO_TCP,
                 .idiag_states = UINT32_MAX,
                 .id = {.idiag_sport = from->port,
                        .idiag_dport = to->port,
                        .idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE}}},
    };

    memcpy(question.what.id.idiag_src, from->address, sizeof(from->address));
    memcpy(question.what.id.idiag_dst, to->address, sizeof(to->address));
    return send(a->table, &question, sizeof(question), 0) == sizeof(question);
}

/* The kernel has answered by the time that send returns. */
static bool read_answer(const struct asker *a, struct found *found_out)
{
    _Alignas(struct nlmsghdr) char room[1024];
    const struct nlmsghdr *head = (const struct nlmsghdr *)room;
    struct inet_diag_msg m;
    ssize_t got;

    do {
        got = recv(a->table, room, sizeof(room), MSG_DONTWAIT);
    } while ((got < 0 && errno == EINTR) || (got >= (ssize_t)sizeof(*head) && head->nlmsg_seq != a->sequence));
    if (got < (ssize_t)NLMSG_LENGTH(sizeof(m)) || head->nlmsg_type != SOCK_DIAG_BY_FAMILY)
        return false;
    memcpy(&m, NLMSG_DATA(head), sizeof(m));
    *found_out = (struct found){.state = m.idiag_state,
                                .port = m.id.idiag_sport,
                                .to_port = m.id.idiag_dport,
                                .user = m.idiag_uid,
                                .inode = m.idiag_inode};
    return true;
}

/* The socket whose own end is `from`. Where there is none to that end, the kernel may name who listens at `from`. */
static bool find(struct asker *a, const struct end *from, const struct end *to, struct found *found_out)
{
    return send_question(a, from, to) && read_answer(a, found_out);
}

/* --- ends --------------------------------------------------------------------------------------------------------- */

static bool read_end(const struct sockaddr_storage *at, struct end *end_out)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)at;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)at;

    *end_out = (struct end){.family = at->ss_family};
    if (at->ss_family == AF_INET) {
        end_out->port = v4->sin_port;
        memcpy(end_out->address, &v4->sin_addr, sizeof(v4->sin_addr));
    } else if (at->ss_family == AF_INET6) {
        end_out->port = v6->sin6_port;
        memcpy(end_out->address, &v6->sin6_addr, sizeof(v6->sin6_addr));
    }
    return at->ss_family == AF_INET || at->ss_family == AF_INET6;
}

static bool own_end(int fd, struct end *end_out)
{
    struct sockaddr_storage at = {.ss_family = AF_UNSPEC};
    socklen_t len = sizeof(at);

    return getsockname(fd, (struct sockaddr *)&at, &len) == 0 && read_end(&at, end_out);
}

static bool other_end(int fd, struct end *end_out)
{
    struct sockaddr_storage at = {.ss_family = AF_UNSPEC};
    socklen_t len = sizeof(at);

    return getpeername(fd, (struct sockaddr *)&at, &len) == 0 && read_end(&at, end_out);
}

/* --- birth -------------------------------------------------------------------------------------------------------- */

void asker_init(struct asker *a)
{
    *a = (struct asker){.table = NONE};
}

/* "127.0.0.1:8080 [::1]:8080", of the supervisor: one passed over would be open. */
static void read_ports(struct asker *a, struct slice bound)
{
    struct slice one;
    unsigned long long port;

    while (bound.len > 0 && slice_cut(&bound, ' ', &one)) {
        CHECK(slice_to_u64(slice_from(one, slice_find_last(one, ':') + 1), UINT16_MAX, &port));
        a->ports[port / 8] |= (uint8_t)(1u << port % 8);
    }
}

/* Whether the table has this listening socket, which is ours: it may be left out of the kernel, or another net's. */
static bool knows(struct asker *a, int fd, const struct end *own)
{
    const struct end nobody = {.family = own->family};
    struct found found;
    struct stat st;

    return find(a, own, &nobody, &found) && fstat(fd, &st) == 0 && found.state == TCP_LISTEN &&
           found.inode == (uint32_t)st.st_ino;
}

void asker_begin(struct asker *a, uid_t user, const struct heritage *heritage)
{
    struct end own;

    a->user = user;
    read_ports(a, slice_of(heritage->bound));
    for (size_t i = 0; i < heritage->socket_count; i++) {
        const struct heritage_socket *s = &heritage->sockets[i];

        if (s->listener != HERITAGE_ADMIN || !own_end(s->fd, &own))
            continue;
        if (a->table < 0)
            a->table = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
        if (a->table >= 0 && knows(a, s->fd, &own))
            continue;
        fd_close(&a->table);
        log_at(LOG_WARN, "this kernel does not tell whose a connection is: what runs as the user of scripts may ask "
                         "the admin listener; admin_token would keep it from that");
        return;
    }
}

/* --- a connection ------------------------------------------------------------------------------------------------- */

static bool is_listeners(const struct asker *a, uint16_t port)
{
    return (a->ports[port / 8] & 1u << port % 8) != 0;
}

/* While our own end is there, no other connection can have these two ends: what was found is of this one. */
static bool is_there(int connection)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);

    return getsockopt(connection, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
           (info.tcpi_state == TCP_ESTABLISHED || info.tcpi_state == TCP_CLOSE_WAIT);
}

bool asker_may(struct asker *a, int connection)
{
    struct end own, other;
    struct found found;

    if (a->table < 0)
        return true;
    if (!own_end(connection, &own)) /* of a unix socket */
        return true;
    if (!other_end(connection, &other) || is_listeners(a, ntohs(other.port)) || !find(a, &other, &own, &found))
        return false;
    return found.port == other.port && found.to_port == own.port && found.inode != 0 && found.user != a->user &&
           is_there(connection);
}
