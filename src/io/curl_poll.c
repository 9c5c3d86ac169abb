/*
 * curl_poll.c: see curl_poll.h. Mutable file-scope state: poll has no argument for it; it is the thread's own.
 */
#include "io/curl_poll.h"
#include "io/curl_real.h"
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

static _Thread_local struct {
    bool within;
    int silent; /* the socket that was asked last and had nothing to be read; -1: another question came since */
} mine;

typedef int poll_fn(struct pollfd *, nfds_t, int);

static bool only_reads(const struct pollfd *all, nfds_t count, int timeout)
{
    return count == 1 && timeout == 0 && (all[0].events & POLLIN) != 0 && (all[0].events & POLLOUT) == 0;
}

int poll(struct pollfd *all, nfds_t count, int timeout)
{
    static _Atomic(void *) found;
    poll_fn *real = (poll_fn *)io_curl_real_find(&found, "poll");
    if (!mine.within || !only_reads(all, count, timeout)) {
        mine.silent = -1;
        return real(all, count, timeout);
    }
    int fd = all[0].fd, ready;
    if (fd == mine.silent) {
        mine.silent = -1;
        all[0].revents = 0;
        return 0;
    }
    ready = real(all, count, timeout);
    mine.silent = ready == 0 ? fd : -1;
    return ready;
}

void io_curl_poll_begin(void)
{
    mine.within = true;
    mine.silent = -1;
}

void io_curl_poll_end(void)
{
    mine.within = false;
}
