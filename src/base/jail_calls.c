/*
 * jail_calls.c: the filter of system calls, by seccomp(2). What is listed is allowed; what no honest process of the
 * role makes ends it; all else is ENOSYS, which is what the C library expects of a kernel that is older than itself.
 * Measured: the end-to-end tests run in it.
 */
#include "base/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <sys/ioctl.h>
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
    {"sched_setscheduler", ALL},
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
    {"prctl", ALL},
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
static const char *const of_programs[] = {"fcntl",  "ioctl",     "prlimit64", "kill",       "tkill",
                                          "tgkill", "chmod",     "fchmod",    "fchmodat",   "fchmodat2",
                                          "fchown", "utimensat", "listen",    "pidfd_open", "pidfd_send_signal"};
/* A worker ends its spawner, and what that leaves: by numbers that are not known before. */
static const char *const of_spawners[] = {"kill", "pidfd_open", "pidfd_send_signal"};

/* Of ioctl and fcntl what honest code asks for; not to have signals sent (FIOSETOWN, F_SETOWN, F_SETSIG). */
#define TERMINAL_SETTINGS 0x802C542Au /* TCGETS2: its name does not go with the C library's headers */
static const unsigned device_orders[] = {FIONREAD, FIONBIO,           FIOCLEX,    FIONCLEX,
                                         TCGETS,   TERMINAL_SETTINGS, TIOCGWINSZ, SIOCOUTQ};
static const unsigned descriptor_orders[] = {
    F_GETFD,     F_SETFD,     F_GETFL,      F_SETFL,     F_DUPFD,     F_GETLK,      F_SETLK,      F_SETLKW,
    F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW, F_ADD_SEALS, F_GET_SEALS, F_SETPIPE_SZ, F_GETPIPE_SZ, F_DUPFD_CLOEXEC};
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
/* Messages may go out, but make no connection: that is what `connect` is judged for. */
static const struct {
    struct call call;
    unsigned flags; /* which argument they are */
} messages[] = {{{"sendto", ALL}, 3}, {{"sendmsg", ALL}, 2}, {{"sendmmsg", LASTING}, 3}};
static const char *const programs[] = {"execve", "execveat", "fork", "vfork"};

#define OPTION_BITS 9    /* no level, and no option, has a number of more */
#define SOCKET_KIND 0xfu /* of a socket's type; the rest are flags */
#define COUNT(list) (sizeof(list) / sizeof(list)[0])

/*
 * One rule, for calls whose argument of this number, masked, is a value (mask 0: for all). A name that this machine, or
 * this version of the library, does not have is passed over.
 */
static int rule_where(scmp_filter_ctx filter, uint32_t action, const char *name, unsigned argument, scmp_datum_t mask,
                      scmp_datum_t value)
{
    const struct scmp_arg_cmp is = SCMP_CMP(argument, SCMP_CMP_MASKED_EQ, mask, value);
    int number = seccomp_syscall_resolve_name(name);
    int done = number == __NR_SCMP_ERROR ? 0 : seccomp_rule_add_array(filter, action, number, mask == 0 ? 0 : 1, &is);

    return done == -EACCES ? 0 : done; /* what the filter does anyway */
}

static int rule_for(scmp_filter_ctx filter, uint32_t action, const char *name, scmp_datum_t mask, scmp_datum_t value)
{
    return rule_where(filter, action, name, 0, mask, value);
}

static int rule(scmp_filter_ctx filter, uint32_t action, const char *name)
{
    return rule_for(filter, action, name, 0, 0);
}

/* Threads, by arguments that can be looked at (clone3's cannot: it is ENOSYS, and the C library takes clone). */
static int rule_clone(scmp_filter_ctx filter, bool any)
{
    if (any)
        return rule(filter, SCMP_ACT_ALLOW, "clone");
    int done = rule_for(filter, SCMP_ACT_ALLOW, "clone", CLONE_THREAD, CLONE_THREAD);
    return done != 0 ? done : rule_for(filter, SCMP_ACT_ERRNO(EPERM), "clone", CLONE_THREAD, 0);
}

/* The kernel takes 32 bits of the order: the others must not hide it. */
static int rule_orders(scmp_filter_ctx filter, uint32_t action, const char *name, const unsigned *orders, size_t count)
{
    int done = 0;

    for (size_t i = 0; i < count && done == 0; i++)
        done = rule_where(filter, action, name, 1, UINT32_MAX, orders[i]);
    return done;
}

/* What reaches beyond the process, so far as the role needs it: itself alone, else. */
static int rule_beyond(scmp_filter_ctx filter, const struct jail_rules *rules)
{
    scmp_datum_t self = (scmp_datum_t)getpid();
    int done = 0;

    if (rules->any_program || JAIL_SANITIZED) {
        for (size_t i = 0; i < COUNT(of_programs) && done == 0; i++)
            done = rule(filter, SCMP_ACT_ALLOW, of_programs[i]);
        return done;
    }
    for (size_t i = 0; i < COUNT(of_spawners) && done == 0 && rules->any_signal; i++)
        done = rule(filter, SCMP_ACT_ALLOW, of_spawners[i]);
    if (done == 0 && !rules->any_signal)
        done = rule_for(filter, SCMP_ACT_ALLOW, "kill", UINT32_MAX, self);
    if (done == 0)
        done = rule_for(filter, SCMP_ACT_ALLOW, "tgkill", UINT32_MAX, self);
    if (done == 0)
        done = rule_for(filter, SCMP_ACT_ALLOW, "prlimit64", UINT32_MAX, 0);
    if (done == 0)
        done = rule_for(filter, SCMP_ACT_ALLOW, "prlimit64", UINT32_MAX, self);
    if (done == 0)
        done = rule_orders(filter, SCMP_ACT_ALLOW, "fcntl", descriptor_orders, COUNT(descriptor_orders));
    if (done == 0)
        done = rule_orders(filter, SCMP_ACT_ALLOW, "ioctl", device_orders, COUNT(device_orders));
    return done != 0 ? done : rule_orders(filter, SCMP_ACT_KILL_PROCESS, "ioctl", deadly_orders, COUNT(deadly_orders));
}

/* By the flag a socket of TCP, a listener that was shut, too, connects where neither `connect` nor Landlock sees it. */
static int rule_messages(scmp_filter_ctx filter, enum jail_role role)
{
    int done = 0;

    for (size_t i = 0; i < COUNT(messages) && done == 0; i++) {
        const struct call *call = &messages[i].call;

        done = rule_where(filter, SCMP_ACT_ERRNO(EACCES), call->name, messages[i].flags, MSG_FASTOPEN, MSG_FASTOPEN);
        if (done == 0 && (call->roles & 1u << role) != 0)
            done = rule_where(filter, SCMP_ACT_ALLOW, call->name, messages[i].flags, MSG_FASTOPEN, 0);
    }
    return done;
}

/*
 * All options of sockets but TCP_ULP: the protocol SMC, laid over a socket of TCP, connects where Landlock sees no TCP.
 * A filter cannot say "another number", but each other one differs at some bit, and is the same in those above.
 */
static int rule_options(scmp_filter_ctx filter)
{
    const struct scmp_arg_cmp of_tcp = SCMP_CMP(1, SCMP_CMP_MASKED_EQ, UINT32_MAX, IPPROTO_TCP);
    const struct scmp_arg_cmp ulp[] = {of_tcp, SCMP_CMP(2, SCMP_CMP_MASKED_EQ, UINT32_MAX, TCP_ULP)};
    int done = seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(setsockopt), COUNT(ulp), ulp);

    for (unsigned bit = 0; bit < OPTION_BITS && done == 0; bit++) {
        const uint32_t same = UINT32_MAX << bit, differs = 1u << bit;
        const struct scmp_arg_cmp other_option[] = {of_tcp,
                                                    SCMP_CMP(2, SCMP_CMP_MASKED_EQ, same, (TCP_ULP ^ differs) & same)};

        done = rule_where(filter, SCMP_ACT_ALLOW, "setsockopt", 1, same, (IPPROTO_TCP ^ differs) & same);
        if (done == 0)
            done =
                seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(setsockopt), COUNT(other_option), other_option);
    }
    return done == -EACCES ? 0 : done; /* what the filter does anyway */
}

/* Of 0 for a protocol the kind's usual one is made; of the seldom ones some connect to TCP, and under other rules. */
static const struct {
    int family, kind, protocol;
} honest_sockets[] = {{AF_INET, SOCK_STREAM, 0},
                      {AF_INET, SOCK_STREAM, IPPROTO_TCP},
                      {AF_INET, SOCK_DGRAM, 0},
                      {AF_INET, SOCK_DGRAM, IPPROTO_UDP},
                      {AF_INET6, SOCK_STREAM, 0},
                      {AF_INET6, SOCK_STREAM, IPPROTO_TCP},
                      {AF_INET6, SOCK_DGRAM, 0},
                      {AF_INET6, SOCK_DGRAM, IPPROTO_UDP},
                      {AF_NETLINK, SOCK_RAW, NETLINK_ROUTE},
                      {AF_NETLINK, SOCK_DGRAM, NETLINK_ROUTE}};

static int rule_honest_sockets(scmp_filter_ctx filter)
{
    int done = 0;

    for (size_t i = 0; i < COUNT(honest_sockets) && done == 0; i++) {
        const struct scmp_arg_cmp is[] = {
            SCMP_CMP(0, SCMP_CMP_MASKED_EQ, UINT32_MAX, (scmp_datum_t)honest_sockets[i].family),
            SCMP_CMP(1, SCMP_CMP_MASKED_EQ, SOCKET_KIND, (scmp_datum_t)honest_sockets[i].kind),
            SCMP_CMP(2, SCMP_CMP_MASKED_EQ, UINT32_MAX, (scmp_datum_t)honest_sockets[i].protocol)};
        done = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), COUNT(is), is);
    }
    return done == -EACCES ? 0 : done; /* what the filter does anyway */
}

/* What programs use (ping, say) is not known: of the same families any but streams, which could be another TCP. */
static int rule_sockets_of_programs(scmp_filter_ctx filter)
{
    static const int families[] = {AF_INET, AF_INET6, AF_NETLINK}, kinds[] = {SOCK_DGRAM, SOCK_RAW};
    int done = 0;

    for (size_t i = 0; i < COUNT(families) * COUNT(kinds) && done == 0; i++) {
        const struct scmp_arg_cmp is[] = {
            SCMP_CMP(0, SCMP_CMP_MASKED_EQ, UINT32_MAX, (scmp_datum_t)families[i / COUNT(kinds)]),
            SCMP_CMP(1, SCMP_CMP_MASKED_EQ, SOCKET_KIND, (scmp_datum_t)kinds[i % COUNT(kinds)])};
        done = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), COUNT(is), is);
    }
    return done == -EACCES ? 0 : done;
}

/*
 * TCP and UDP, and the kernel's own table of addresses that a look-up of names reads; never a local service's socket.
 * Which address it connects to the filter cannot see.
 */
static int rule_outgoing(scmp_filter_ctx filter, bool any)
{
    int done = rule(filter, SCMP_ACT_ALLOW, "connect");

    if (done == 0)
        done = rule_honest_sockets(filter);
    if (done == 0 && any)
        done = rule_sockets_of_programs(filter);
    return done != 0 ? done : rule_for(filter, SCMP_ACT_ERRNO(EACCES), "socket", UINT32_MAX, AF_UNIX);
}

static int rule_none_outgoing(scmp_filter_ctx filter)
{
    int done = rule(filter, SCMP_ACT_ERRNO(EACCES), "socket");

    return done != 0 ? done : rule(filter, SCMP_ACT_ERRNO(EACCES), "connect");
}

/* The pair is for the proof of HTTP/2's guard; one of datagrams could be sent elsewhere. */
static int rule_sockets(scmp_filter_ctx filter, const struct jail_rules *rules)
{
    bool none = rules->role != JAIL_WORKER || (rules->only_ports && rules->port_count == 0);
    int done = none ? rule_none_outgoing(filter) : rule_outgoing(filter, rules->any_program);

    if (done != 0 || rules->role != JAIL_WORKER)
        return done;
    return rule_where(filter, SCMP_ACT_ALLOW, "socketpair", 1, SOCKET_KIND, SOCK_STREAM);
}

static int rules_of(scmp_filter_ctx filter, const struct jail_rules *rules)
{
    int done = 0;

    for (size_t i = 0; i < COUNT(allowed) && done == 0; i++)
        if ((allowed[i].roles & 1u << rules->role) != 0)
            done = rule(filter, SCMP_ACT_ALLOW, allowed[i].name);
    for (size_t i = 0; i < COUNT(deadly) && done == 0; i++)
        if (!JAIL_SANITIZED || i > 0)
            done = rule(filter, SCMP_ACT_KILL_PROCESS, deadly[i]);
    for (size_t i = 0; i < COUNT(programs) && done == 0; i++)
        done = rule(filter, rules->any_program || JAIL_SANITIZED ? SCMP_ACT_ALLOW : SCMP_ACT_KILL_PROCESS, programs[i]);
    if (done == 0 && JAIL_SANITIZED)
        done = rule(filter, SCMP_ACT_ALLOW, "ptrace");
    if (done == 0)
        done = rule_clone(filter, rules->any_program || JAIL_SANITIZED);
    if (done == 0)
        done = rule_messages(filter, rules->role);
    if (done == 0)
        done = rule_options(filter);
    if (done == 0)
        done = rule_beyond(filter, rules);
    return done == 0 ? rule_sockets(filter, rules) : done;
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
