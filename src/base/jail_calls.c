/*
 * jail_calls.c: the filter of system calls, by seccomp(2). What is listed is allowed; what no honest process of the
 * role makes ends it; all else is ENOSYS, which is what the C library expects of a kernel that is older than itself.
 * Measured: the end-to-end tests run in it.
 */
#include "base/jail_rule.h"
#include "base/jail_sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    KEEPER = 1 << JAIL_KEEPER,
    WORKER = 1 << JAIL_WORKER,
    TRIAL = 1 << JAIL_TRIAL,
    LASTING = KEEPER | WORKER,
    ALL = 7
};

struct call {
    const char *name;
    unsigned roles;
};

static const struct call allowed[] = {
    /* bytes and descriptors */
    {"read", ALL},
    {"readv", ALL},
    {"pread64", ALL},
    {"preadv", ALL},
    {"preadv2", ALL},
    {"write", ALL},
    {"writev", ALL},
    {"pwrite64", ALL},
    {"pwritev", ALL},
    {"pwritev2", ALL},
    {"lseek", ALL},
    {"close", ALL},
    {"close_range", ALL},
    {"dup", ALL},
    {"dup2", ALL},
    {"dup3", ALL},
    {"pipe", LASTING},
    {"pipe2", LASTING},
    {"eventfd2", ALL},
    {"memfd_create", ALL},
    {"sendfile", LASTING},
    {"splice", LASTING},
    /* files */
    {"open", ALL},
    {"openat", ALL},
    {"openat2", ALL},
    {"stat", ALL},
    {"lstat", ALL},
    {"fstat", ALL},
    {"newfstatat", ALL},
    {"statx", ALL},
    {"statfs", ALL},
    {"fstatfs", ALL},
    {"access", ALL},
    {"faccessat", ALL},
    {"faccessat2", ALL},
    {"readlink", ALL},
    {"readlinkat", ALL},
    {"getdents64", ALL},
    {"getcwd", ALL},
    {"umask", LASTING},
    {"ftruncate", ALL},
    {"fallocate", ALL},
    {"fadvise64", LASTING},
    {"flock", LASTING},
    {"fsync", LASTING},
    {"fdatasync", LASTING},
    {"sync_file_range", LASTING},
    {"unlink", LASTING},
    {"unlinkat", LASTING},
    {"rename", LASTING},
    {"renameat", LASTING},
    {"renameat2", LASTING},
    {"mkdir", LASTING},
    {"mkdirat", LASTING},
    {"rmdir", LASTING},
    {"linkat", LASTING},
    {"link", LASTING},
    {"fchmod", KEEPER}, /* the store's companions get its mode, and its owner */
    {"fchown", KEEPER},
    {"inotify_init1", KEEPER},
    {"inotify_add_watch", KEEPER},
    {"inotify_rm_watch", KEEPER},
    /* memory: a compiler at run time makes its code executable */
    {"mmap", ALL},
    {"munmap", ALL},
    {"mprotect", ALL},
    {"mremap", ALL},
    {"madvise", ALL},
    {"brk", ALL},
    {"msync", ALL},
    {"mlock", ALL},
    {"mlock2", ALL},
    {"munlock", ALL},
    {"mincore", ALL},
    {"membarrier", ALL},
    /* threads, signals, time */
    {"futex", ALL},
    {"set_robust_list", ALL},
    {"get_robust_list", ALL},
    {"rseq", ALL},
    {"set_tid_address", ALL},
    {"gettid", ALL},
    {"getpid", ALL},
    {"getppid", ALL},
    {"getuid", ALL},
    {"geteuid", ALL},
    {"getgid", ALL},
    {"getegid", ALL},
    {"sched_yield", ALL},
    {"sched_getaffinity", ALL},
    {"getcpu", ALL},
    {"sched_getparam", ALL},
    {"sched_getscheduler", ALL},
    {"rt_sigaction", ALL},
    {"rt_sigprocmask", ALL},
    {"rt_sigreturn", ALL},
    {"rt_sigtimedwait", ALL},
    {"rt_sigpending", ALL},
    {"rt_sigsuspend", ALL},
    {"sigaltstack", ALL},
    {"restart_syscall", ALL},
    {"exit", ALL},
    {"exit_group", ALL},
    {"clock_gettime", ALL},
    {"clock_getres", ALL},
    {"clock_nanosleep", ALL},
    {"nanosleep", ALL},
    {"gettimeofday", ALL},
    {"time", ALL},
    {"times", ALL},
    {"getrusage", ALL},
    {"getrandom", ALL},
    {"uname", ALL},
    {"sysinfo", ALL},
    {"getrlimit", ALL},
    {"timer_create", ALL},
    {"timer_settime", ALL},
    {"timer_gettime", ALL},
    {"timer_delete", ALL},
    {"timer_getoverrun", ALL},
    {"setitimer", ALL},
    {"timerfd_create", ALL},
    {"timerfd_settime", ALL},
    {"alarm", ALL},
    /* waiting */
    {"poll", ALL},
    {"ppoll", ALL},
    {"select", ALL},
    {"pselect6", ALL},
    {"epoll_create1", LASTING},
    {"epoll_create", LASTING},
    {"epoll_ctl", LASTING},
    {"epoll_wait", LASTING},
    {"epoll_pwait", LASTING},
    {"epoll_pwait2", LASTING},
    /* sockets that are there already, and what comes by them */
    {"accept", LASTING},
    {"accept4", LASTING},
    {"shutdown", ALL},
    {"getsockname", LASTING},
    {"getpeername", LASTING},
    {"getsockopt", ALL},
    {"recvfrom", ALL},
    {"recvmsg", ALL},
    {"recvmmsg", LASTING},
    /* outgoing requests, and names looked up for them */
    {"bind", WORKER},
    {"wait4", WORKER},
    {"waitid", WORKER}};

/*
 * What reaches beyond the process, and is not among the rules for files: signals, others' limits, modes and times of
 * files, new listeners. Where scripts may start programs (which are in the same jail), these need it.
 */
static const char *const of_programs[] = {"fcntl",
                                          "ioctl",
                                          "prlimit64",
                                          "kill",
                                          "tkill",
                                          "tgkill",
                                          "chmod",
                                          "fchmod",
                                          "fchmodat",
                                          "fchmodat2",
                                          "fchown",
                                          "utimensat",
                                          "listen",
                                          "pidfd_open",
                                          "pidfd_send_signal",
                                          "prctl",
                                          "sched_setscheduler"};
/* A worker ends its spawner, and what that leaves: by numbers that are not known before. */
static const char *const of_spawners[] = {"kill", "pidfd_open", "pidfd_send_signal"};

/* Of ioctl, fcntl and prctl what honest code asks for; not to have signals sent (FIOSETOWN, F_SETOWN, F_SETSIG). */
#define TERMINAL_SETTINGS 0x802C542Au /* TCGETS2: its name does not go with the C library's headers */
static const unsigned device_orders[] = {FIONREAD, FIONBIO,           FIOCLEX,    FIONCLEX,
                                         TCGETS,   TERMINAL_SETTINGS, TIOCGWINSZ, SIOCOUTQ};
static const unsigned descriptor_orders[] = {
    F_GETFD,     F_SETFD,     F_GETFL,      F_SETFL,     F_DUPFD,     F_GETLK,      F_SETLK,      F_SETLKW,
    F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW, F_ADD_SEALS, F_GET_SEALS, F_SETPIPE_SZ, F_GETPIPE_SZ, F_DUPFD_CLOEXEC};
/* To be named, and to look; not to outlive the supervisor (PR_SET_PDEATHSIG), nor to be looked into (PR_SET_DUMPABLE).
 */
static const unsigned process_orders[] = {PR_SET_NAME,      PR_GET_NAME,         PR_GET_DUMPABLE,
                                          PR_GET_PDEATHSIG, PR_GET_NO_NEW_PRIVS, PR_GET_SECCOMP};
/* To type into the terminal that the server was started at, to paste there, to take it over. */
static const unsigned deadly_orders[] = {TIOCSTI, TIOCLINUX, TIOCSCTTY};

/* Nobody needs these to answer requests: whoever makes them is no longer our code. */
static const char *const deadly[] = {"ptrace",
                                     "process_vm_readv",
                                     "process_vm_writev",
                                     "kcmp",
                                     "pidfd_getfd",
                                     "mount",
                                     "umount2",
                                     "pivot_root",
                                     "chroot",
                                     "setns",
                                     "unshare",
                                     "move_mount",
                                     "fsopen",
                                     "open_tree",
                                     "init_module",
                                     "finit_module",
                                     "delete_module",
                                     "kexec_load",
                                     "kexec_file_load",
                                     "reboot",
                                     "bpf",
                                     "perf_event_open",
                                     "userfaultfd",
                                     "io_uring_setup",
                                     "io_uring_enter",
                                     "keyctl",
                                     "add_key",
                                     "request_key",
                                     "personality",
                                     "acct",
                                     "swapon",
                                     "swapoff",
                                     "open_by_handle_at",
                                     "settimeofday",
                                     "clock_settime",
                                     "setuid",
                                     "setgid",
                                     "setresuid",
                                     "setresgid",
                                     "setgroups",
                                     "capset",
                                     "mknod",
                                     "mknodat"};
static const char *const programs[] = {"execve", "execveat", "fork", "vfork"};

#define COUNT(list) (sizeof(list) / sizeof(list)[0])

/* Threads, by arguments that can be looked at (clone3's cannot: it is ENOSYS, and the C library takes clone). */
static int rule_clone(scmp_filter_ctx filter, bool any)
{
    if (any)
        return jail_rule(filter, SCMP_ACT_ALLOW, "clone");
    int done = jail_rule_for(filter, SCMP_ACT_ALLOW, "clone", CLONE_THREAD, CLONE_THREAD);
    return done != 0 ? done : jail_rule_for(filter, SCMP_ACT_ERRNO(EPERM), "clone", CLONE_THREAD, 0);
}

struct orders {
    const char *call;
    unsigned argument; /* which one is the order */
    const unsigned *list;
    size_t count;
};

/* The kernel takes 32 bits of the order: the others must not hide it. */
static int rule_orders(scmp_filter_ctx filter, uint32_t action, const struct orders *orders)
{
    int done = 0;

    for (size_t i = 0; i < orders->count && done == 0; i++)
        done = jail_rule_where(filter, action, orders->call, orders->argument, UINT32_MAX, orders->list[i]);
    return done;
}

/* What reaches beyond the process, so far as the role needs it: itself alone, else. */
static int rule_beyond(scmp_filter_ctx filter, const struct jail_rules *rules)
{
    const struct orders honest_orders[] = {{"fcntl", 1, descriptor_orders, COUNT(descriptor_orders)},
                                           {"ioctl", 1, device_orders, COUNT(device_orders)},
                                           {"prctl", 0, process_orders, COUNT(process_orders)}};
    const struct orders takes_over = {"ioctl", 1, deadly_orders, COUNT(deadly_orders)};
    scmp_datum_t self = (scmp_datum_t)getpid();
    int done = 0;

    if (rules->any_program || JAIL_SANITIZED) {
        for (size_t i = 0; i < COUNT(of_programs) && done == 0; i++)
            done = jail_rule(filter, SCMP_ACT_ALLOW, of_programs[i]);
        return done;
    }
    for (size_t i = 0; i < COUNT(of_spawners) && done == 0 && rules->any_signal; i++)
        done = jail_rule(filter, SCMP_ACT_ALLOW, of_spawners[i]);
    if (done == 0 && !rules->any_signal)
        done = jail_rule_for(filter, SCMP_ACT_ALLOW, "kill", UINT32_MAX, self);
    if (done == 0)
        done = jail_rule_for(filter, SCMP_ACT_ALLOW, "tgkill", UINT32_MAX, self);
    if (done == 0)
        done = jail_rule_for(filter, SCMP_ACT_ALLOW, "prlimit64", UINT32_MAX, 0);
    if (done == 0)
        done = jail_rule_for(filter, SCMP_ACT_ALLOW, "prlimit64", UINT32_MAX, self);
    for (size_t i = 0; i < COUNT(honest_orders) && done == 0; i++)
        done = rule_orders(filter, SCMP_ACT_ALLOW, &honest_orders[i]);
    return done != 0 ? done : rule_orders(filter, SCMP_ACT_KILL_PROCESS, &takes_over);
}

static int rules_of(scmp_filter_ctx filter, const struct jail_rules *rules)
{
    int done = 0;

    for (size_t i = 0; i < COUNT(allowed) && done == 0; i++)
        if ((allowed[i].roles & 1u << rules->role) != 0)
            done = jail_rule(filter, SCMP_ACT_ALLOW, allowed[i].name);
    for (size_t i = 0; i < COUNT(deadly) && done == 0; i++)
        if (!JAIL_SANITIZED || i > 0)
            done = jail_rule(filter, SCMP_ACT_KILL_PROCESS, deadly[i]);
    for (size_t i = 0; i < COUNT(programs) && done == 0; i++)
        done = jail_rule(filter, rules->any_program || JAIL_SANITIZED ? SCMP_ACT_ALLOW : SCMP_ACT_KILL_PROCESS,
                         programs[i]);
    if (done == 0 && JAIL_SANITIZED)
        done = jail_rule(filter, SCMP_ACT_ALLOW, "ptrace");
    if (done == 0)
        done = rule_clone(filter, rules->any_program || JAIL_SANITIZED);
    if (done == 0)
        done = rule_beyond(filter, rules);
    return done == 0 ? jail_sockets(filter, rules) : done;
}

int jail_calls(const struct jail_rules *rules, struct error *err)
{
    scmp_filter_ctx filter = seccomp_init(JAIL_SANITIZED ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(ENOSYS));
    int done = filter == NULL ? -ENOMEM : seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 0);

    if (done == 0) /* the calls of another kind of machine (32 bits), too: else the one thread that made it ends */
        done = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (done == 0)
        done = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree: the cost of a call is its depth */
    if (done == 0)
        done = rules_of(filter, rules);
    if (done == 0)
        done = seccomp_load(filter);
    seccomp_release(filter);
    if (done != 0) {
        errno = -done;
        return error_errno(err, "cannot set the filter of system calls");
    }
    return 0;
}
