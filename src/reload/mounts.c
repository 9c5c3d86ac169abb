/*
 * mounts.c: see mounts.h. proc(5): after a change, poll tells an exceptional condition of /proc/self/mountinfo, once.
 * To ask takes the condition back, which is why no epoll set within another can wait for it: the outer one's question
 * leaves nothing for the inner.
 */
#include "reload/mounts.h"
#include <fcntl.h>
#include <poll.h>

int mounts_open(void)
{
    return open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
}

bool mounts_changed(int table)
{
    struct pollfd asked = {.fd = table, .events = POLLPRI};
    return table != -1 && poll(&asked, 1, 0) == 1 && (asked.revents & POLLPRI);
}
