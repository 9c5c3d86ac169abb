/*
 * spawn.c: plans the child's descriptors in the parent (3 heritage, 4… those it names, in order), forks, and lays them
 * out in the child, which allocates nothing before exec.
 * Owns nothing. Runs in: a process with one thread. Fails: with words; after fork: exit status 127.
 */
#include "supervise/spawn.h"

#include "base/fd.h"
#include "base/panic.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define FIRST_FD (HERITAGE_FD + 1)
#define STACK_BYTES (64ul << 20) /* a recursive gsub callback takes 53 MB before Lua itself says "stack overflow" */

struct plan {
    enum heritage_kind kind;
    pid_t parent;
    int exec, heritage, words;
    int *from; /* the parent's number of the child's descriptor FIRST_FD + i */
    size_t count;
    char *argv[4];
};

static void plan_fd(struct plan *p, int *fd)
{
    if (*fd == HERITAGE_NO_FD)
        return;
    p->from[p->count] = *fd;
    *fd = FIRST_FD + (int)p->count++;
}

/* The heritage in the child's numbers, as a sealed file. */
static int plan_heritage(struct plan *p, const struct heritage *h, struct error *err)
{
    struct heritage child = *h;
    struct buf text = {0};

    child.parent = p->parent;
    child.bound = h->bound != NULL ? need_strdup(h->bound) : NULL;
    p->from = need_zero(h->socket_count + 6, sizeof(*p->from));
    child.sockets = need_zero(h->socket_count + 1, sizeof(*child.sockets));
    for (size_t i = 0; i < h->socket_count; i++)
        child.sockets[i] = h->sockets[i];
    plan_fd(p, &child.supervisor);
    plan_fd(p, &child.area);
    plan_fd(p, &child.config);
    plan_fd(p, &child.snapshot);
    plan_fd(p, &child.wake);
    plan_fd(p, &child.extra);
    for (size_t i = 0; i < child.socket_count; i++)
        plan_fd(p, &child.sockets[i].fd);
    heritage_write(&child, &text);
    p->heritage = fd_sealed("crescent-heritage", buf_slice(&text), err);
    heritage_free(&child);
    buf_free(&text);
    return p->heritage < 0 ? -1 : 0;
}

/* --- in the child, between fork and exec: system calls only --- */

static _Noreturn void give_up(const char *what)
{
    dprintf(STDERR_FILENO, "crescent: cannot start a child: %s: %m\n", what);
    _exit(127);
}

/* What is meant for the supervisor, and reaches all where a terminal, or a tool that goes by names, sends it. */
static bool is_ignored(enum heritage_kind kind, int number)
{
    bool stays = kind == HERITAGE_KEEPER || kind == HERITAGE_WORKER;

    return number == SIGUSR1 || number == SIGUSR2 ||
           (stays && (number == SIGINT || number == SIGTERM || number == SIGHUP));
}

static void reset_signals(enum heritage_kind kind)
{
    sigset_t none;

    for (int i = 1; i < NSIG; i++)
        signal(i, is_ignored(kind, i) ? SIG_IGN : SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void raise_stack(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_STACK, &limit) != 0 || (limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur >= STACK_BYTES))
        return;
    limit.rlim_cur = limit.rlim_max == RLIM_INFINITY || limit.rlim_max > STACK_BYTES ? STACK_BYTES : limit.rlim_max;
    setrlimit(RLIMIT_STACK, &limit);
}

/* All out of the way first, then each to its place: a number may be both somebody's source and another's place. */
static void place_descriptors(struct plan *p)
{
    int away = FIRST_FD + (int)p->count;

    p->exec = fcntl(p->exec, F_DUPFD_CLOEXEC, away);
    p->heritage = fcntl(p->heritage, F_DUPFD_CLOEXEC, away);
    for (size_t i = 0; i < p->count; i++)
        if ((p->from[i] = fcntl(p->from[i], F_DUPFD_CLOEXEC, away)) < 0)
            give_up("descriptors");
    if (p->words >= 0 && dup2(p->words, STDERR_FILENO) < 0)
        give_up("descriptors");
    if (p->exec < 0 || dup2(p->heritage, HERITAGE_FD) < 0)
        give_up("descriptors");
    for (size_t i = 0; i < p->count; i++)
        if (dup2(p->from[i], FIRST_FD + (int)i) < 0)
            give_up("descriptors");
    if (close_range((unsigned)away, ~0u, CLOSE_RANGE_CLOEXEC) != 0)
        give_up("close_range");
}

/*
 * Whoever takes a child over shall neither read nor type at the terminal that the server was started at: the child has
 * a session of its own, which what scripts start by `exec` is in, too, and the log's terminal can only be written to.
 */
static void leave_terminal(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || (isatty(STDOUT_FILENO) == 1 && dup2(null, STDOUT_FILENO) < 0))
        give_up("/dev/null");
    if (null == STDIN_FILENO) /* it was closed before */
        fcntl(null, F_SETFD, 0);
    setsid(); /* fails where it leads a group, which no child does */
    int log = isatty(STDERR_FILENO) == 1 ? open("/proc/self/fd/2", O_WRONLY | O_NOCTTY | O_CLOEXEC) : -1;
    if (log >= 0) /* of another user's terminal it stays as it was */
        dup2(log, STDERR_FILENO);
}

static _Noreturn void become(struct plan *p)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
        give_up("death signal");
    if (getppid() != p->parent) /* it died before the line above */
        _exit(127);
    reset_signals(p->kind);
    if (p->kind != HERITAGE_KEEPER)
        raise_stack();
    if (p->kind != HERITAGE_CONFIG)
        unsetenv("CRESCENT_ADMIN_TOKEN"); /* the keeper gets it with its configuration, others do without */
    place_descriptors(p);
    leave_terminal();
    execveat(p->exec, "", p->argv, environ, AT_EMPTY_PATH);
    give_up("exec");
}

/* --- in the parent --- */

static int start(struct plan *p, pid_t *pid_out, struct error *err)
{
    pid_t pid = fork();

    if (pid == 0)
        become(p);
    if (pid < 0)
        return error_errno(err, "cannot start a %s: fork", p->argv[1]);
    *pid_out = pid;
    return 0;
}

int spawn_child(const struct spawn *what, pid_t *pid_out, struct error *err)
{
    static const char *const kinds[] = {"keeper", "worker", "trial", "config"};
    struct plan p = {
        .kind = what->heritage->kind, .parent = getpid(), .exec = what->binary, .heritage = -1, .words = what->words};
    int result = -1;

    p.argv[0] = (char *)"crescent";
    p.argv[1] = (char *)kinds[what->heritage->kind];
    p.argv[2] = (char *)what->label;
    if (plan_heritage(&p, what->heritage, err) == 0)
        result = start(&p, pid_out, err);
    fd_close(&p.heritage);
    free(p.from);
    return result;
}
