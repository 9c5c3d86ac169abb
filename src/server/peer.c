/*
 * peer.c: see peer.h. TCP answers TCP_INFO; a unix socket does not, but its poll tells a peer that has gone (HUP) from
 * one that has shut down one side (RDHUP), and its queue is the peer's: what is in it was not read yet.
 */
#include "server/peer.h"
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum { TCP_STATE_CLOSE = 7, TCP_STATE_CLOSE_WAIT = 8 }; /* linux/tcp_states.h */

static bool tcp_info(int fd, struct tcp_info *info_out)
{
    socklen_t len = sizeof(*info_out);
    memset(info_out, 0, sizeof(*info_out));
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, info_out, &len) == 0;
}

enum peer peer_look(int fd)
{
    struct tcp_info info;
    struct pollfd state = {.fd = fd, .events = POLLRDHUP};
    if (tcp_info(fd, &info)) {
        if (info.tcpi_state == TCP_STATE_CLOSE)
            return PEER_GONE;
        return info.tcpi_state == TCP_STATE_CLOSE_WAIT ? PEER_SAID_ALL : PEER_THERE;
    }
    if (poll(&state, 1, 0) <= 0)
        return PEER_THERE;
    if (state.revents & (POLLHUP | POLLERR))
        return PEER_GONE;
    return state.revents & POLLRDHUP ? PEER_SAID_ALL : PEER_THERE;
}

uint64_t peer_progress(int fd, uint64_t written)
{
    struct tcp_info info;
    int queued = 0;
    if (tcp_info(fd, &info))
        return info.tcpi_bytes_acked;
    /* Queued is counted with the kernel's own overhead, so it is no sum to subtract: but both stand still, or neither.
     */
    if (ioctl(fd, SIOCOUTQ, &queued) != 0)
        queued = 0;
    return written << 32 | (uint32_t)queued;
}

uint64_t peer_taken(int fd, uint64_t written)
{
    struct tcp_info info;
    return tcp_info(fd, &info) ? info.tcpi_bytes_acked : written;
}

bool peer_owes(int fd)
{
    int queued = 0; /* of TCP: what is not acknowledged */
    return ioctl(fd, SIOCOUTQ, &queued) == 0 && queued > 0;
}
