/*
 * signals.c: see signals.h.
 */
#include "supervise/signals.h"

#include "base/fd.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

static sigset_t ours(void)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGCHLD};
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        sigaddset(&set, numbers[i]);
    return set;
}

int signals_open(struct error *err)
{
    sigset_t set = ours();
    int fd;

    signal(SIGPIPE, SIG_IGN);
    signal(SIGUSR2, SIG_IGN); /* elsewhere it upgrades: sent by habit, it would end the server */
    signal(SIGCHLD, SIG_DFL); /* ignored by whoever started us, there would be no ends to read */
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
        return error_errno(err, "signals");
    fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd >= 0 ? fd : error_errno(err, "signals: signalfd");
}

int signals_next(int fd)
{
    struct signalfd_siginfo info;

    return read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info) ? (int)info.ssi_signo : 0;
}
