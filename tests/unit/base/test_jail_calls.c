/*
 * Calls of which the jail allows a part, by their arguments: each honest use goes on, each other one is refused. A case
 * is a process of its own that enters the jail and makes one call. Sanitizers are in a wider jail: left out there.
 */
#include "base/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
// cmocka wants the headers above first
#include <cmocka.h>

#define HIDDEN (INT64_C(1) << 32) /* beside what the kernel takes of an argument of 32 bits */
#define COUNT(list) (sizeof(list) / sizeof(list)[0])
#define GOES_ON 0
#define NOT_JAILED 255

struct call {
    long number, a, b, c;
};

/* What the call meets: an errno, or 0. prepare: what is to be there before the jail; its result is the first argument.
 */
static int meets_with(const struct jail_rules *rules, int (*prepare)(void), long number, const long arguments[6])
{
    pid_t pid = fork();

    if (pid == 0) {
        struct error err;
        bool ruled;
        long first = prepare != NULL ? prepare() : arguments[0];

        if (first < 0 || jail_enter(rules, &ruled, &err) != 0)
            _exit(NOT_JAILED);
        _exit(syscall(number, first, arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]) < 0 ? errno
                                                                                                               : 0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_not_equal(WEXITSTATUS(status), NOT_JAILED);
    return WEXITSTATUS(status);
}

static int meets(const struct jail_rules *rules, int (*prepare)(void), const struct call *call)
{
    const long arguments[6] = {call->a, call->b, call->c};

    return meets_with(rules, prepare, call->number, arguments);
}

static int as(enum jail_role role, int (*prepare)(void), struct call call)
{
    const struct jail_rules rules = {.role = role};

    return meets(&rules, prepare, &call);
}

static void expect(const char *what, long which, int got, int wanted)
{
    if (got != wanted)
        fail_msg("%s %#lx: %d, not %d", what, (unsigned long)which, got, wanted);
}

static void not_sanitized(void)
{
    if (JAIL_SANITIZED)
        skip();
}

/* --- fcntl --- */

static struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

static int a_file(void)
{
    return memfd_create("file", MFD_ALLOW_SEALING);
}

static int a_pipe(void)
{
    int ends[2];
    return pipe(ends) == 0 ? ends[0] : -1;
}

static void descriptors_may_be_looked_at_and_locked(void **unused)
{
    const struct {
        int (*prepare)(void);
        long order, with;
    } uses[] = {{a_file, F_GETFD, 0},
                {a_file, F_SETFD, FD_CLOEXEC},
                {a_file, F_GETFL, 0},
                {a_file, F_SETFL, O_NONBLOCK},
                {a_file, F_DUPFD, 100},
                {a_file, F_DUPFD_CLOEXEC, 100},
                {a_file, F_GETLK, (long)&whole},
                {a_file, F_SETLK, (long)&whole},
                {a_file, F_SETLKW, (long)&whole},
                {a_file, F_OFD_GETLK, (long)&whole},
                {a_file, F_OFD_SETLK, (long)&whole},
                {a_file, F_OFD_SETLKW, (long)&whole},
                {a_file, F_ADD_SEALS, F_SEAL_SHRINK},
                {a_file, F_GET_SEALS, 0},
                {a_pipe, F_SETPIPE_SZ, 4096},
                {a_pipe, F_GETPIPE_SZ, 0},
                {a_file, F_GETFD | HIDDEN, 0}};

    for (size_t i = 0; i < COUNT(uses); i++)
        for (enum jail_role role = JAIL_KEEPER; role <= JAIL_TRIAL; role++)
            expect("fcntl", uses[i].order,
                   as(role, uses[i].prepare, (struct call){SYS_fcntl, 0, uses[i].order, uses[i].with}), GOES_ON);
}

static void descriptors_send_no_signals(void **unused)
{
    static const long orders[] = {F_SETOWN, F_SETOWN_EX, F_SETSIG, F_SETLEASE,       F_NOTIFY,
                                  F_GETOWN, F_GETOWN_EX, F_GETSIG, F_SETOWN | HIDDEN};

    not_sanitized();
    for (size_t i = 0; i < COUNT(orders); i++)
        for (enum jail_role role = JAIL_KEEPER; role <= JAIL_TRIAL; role++)
            expect("fcntl", orders[i], as(role, a_file, (struct call){SYS_fcntl, 0, orders[i], getpid()}), ENOSYS);
}

/* --- prlimit64 --- */

static struct rlimit64 few_files = {16, 16};

static int itself(void)
{
    return getpid();
}

static void limits_are_its_own(void **unused)
{
    for (enum jail_role role = JAIL_KEEPER; role <= JAIL_TRIAL; role++) {
        expect("prlimit64", 0, as(role, NULL, (struct call){SYS_prlimit64, 0, RLIMIT_NOFILE, (long)&few_files}),
               GOES_ON);
        expect("prlimit64", 1, as(role, itself, (struct call){SYS_prlimit64, 0, RLIMIT_NOFILE, (long)&few_files}),
               GOES_ON);
    }
}

static void nobody_elses(void **unused)
{
    not_sanitized();
    for (enum jail_role role = JAIL_KEEPER; role <= JAIL_TRIAL; role++) {
        const struct call call = {SYS_prlimit64, getpid(), RLIMIT_NOFILE, (long)&few_files};
        const struct call hidden = {SYS_prlimit64, getpid() | HIDDEN, RLIMIT_NOFILE, (long)&few_files};
        expect("prlimit64", getpid(), as(role, NULL, call), ENOSYS);
        expect("prlimit64", hidden.a, as(role, NULL, hidden), ENOSYS);
    }
}

/* --- prctl, and ranks of processes --- */

static void a_process_names_itself_and_looks(void **unused)
{
    static char room[16] = "new";
    static const struct call calls[] = {{SYS_prctl, PR_SET_NAME, (long)room, 0},
                                        {SYS_prctl, PR_GET_NAME, (long)room, 0},
                                        {SYS_prctl, PR_GET_PDEATHSIG, (long)room, 0},
                                        {SYS_prctl, PR_GET_DUMPABLE, 0, 0}};

    for (size_t i = 0; i < COUNT(calls); i++)
        for (enum jail_role role = JAIL_KEEPER; role <= JAIL_TRIAL; role++)
            expect("prctl", calls[i].a, as(role, NULL, calls[i]), GOES_ON);
}

static void it_outlives_nobody_and_is_not_looked_into(void **unused)
{
    static const struct call calls[] = {
        {SYS_prctl, PR_SET_PDEATHSIG, 0, 0},       {SYS_prctl, PR_SET_PDEATHSIG | HIDDEN, 0, 0},
        {SYS_prctl, PR_SET_DUMPABLE, 1, 0},        {SYS_prctl, PR_SET_PTRACER, -1, 0},
        {SYS_prctl, PR_SET_CHILD_SUBREAPER, 1, 0}, {SYS_sched_setscheduler, 0, 0, 0}};

    not_sanitized();
    for (size_t i = 0; i < COUNT(calls); i++)
        for (enum jail_role role = JAIL_KEEPER; role <= JAIL_TRIAL; role++)
            expect("call", calls[i].a, as(role, NULL, calls[i]), ENOSYS);
}

/* --- sockets --- */

/* Its fourth argument is NULL: where the filter lets it pass, the kernel finds that (EFAULT). */
static struct call pair(int kind)
{
    return (struct call){SYS_socketpair, AF_UNIX, kind, 0};
}

static void a_pair_is_a_stream_of_a_worker(void **unused)
{
    static const int other_kinds[] = {SOCK_DGRAM, SOCK_SEQPACKET, SOCK_DGRAM | SOCK_CLOEXEC,
                                      SOCK_SEQPACKET | SOCK_NONBLOCK};

    expect("socketpair", 0, as(JAIL_WORKER, NULL, pair(SOCK_STREAM)), EFAULT);
    expect("socketpair", 1, as(JAIL_WORKER, NULL, pair(SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK)), EFAULT);
    not_sanitized();
    for (size_t i = 0; i < COUNT(other_kinds); i++)
        expect("socketpair", other_kinds[i], as(JAIL_WORKER, NULL, pair(other_kinds[i])), ENOSYS);
    expect("socketpair", 2, as(JAIL_KEEPER, NULL, pair(SOCK_STREAM)), ENOSYS);
    expect("socketpair", 3, as(JAIL_TRIAL, NULL, pair(SOCK_STREAM)), ENOSYS);
}

static void a_worker_makes_sockets_of_tcp_and_udp(void **unused)
{
    static const struct call makes[] = {
        {SYS_socket, AF_INET, SOCK_STREAM, 0},
        {SYS_socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP},
        {SYS_socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0},
        {SYS_socket, AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, IPPROTO_UDP},
        {SYS_socket, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE},
        {SYS_socket, AF_NETLINK, SOCK_DGRAM, NETLINK_ROUTE},
    };

    for (size_t i = 0; i < COUNT(makes); i++)
        expect("socket", (long)i, as(JAIL_WORKER, NULL, makes[i]), GOES_ON);
    for (long kind = SOCK_STREAM; kind <= SOCK_DGRAM; kind++)
        for (long usual = 0; usual < 2; usual++) {
            const struct call call = {SYS_socket, AF_INET6, kind,
                                      usual == 0            ? 0
                                      : kind == SOCK_STREAM ? IPPROTO_TCP
                                                            : IPPROTO_UDP};
            int got = as(JAIL_WORKER, NULL, call);
            if (got != EAFNOSUPPORT) /* a kernel without */
                expect("socket of IPv6", kind, got, GOES_ON);
        }
}

static void and_no_other(void **unused)
{
    static const struct call makes[] = {
        {SYS_socket, AF_INET, SOCK_STREAM, IPPROTO_MPTCP},
        {SYS_socket, AF_INET6, SOCK_STREAM, IPPROTO_MPTCP},
        {SYS_socket, AF_INET, SOCK_STREAM, IPPROTO_SCTP},
        {SYS_socket, AF_INET, SOCK_SEQPACKET, 0},
        {SYS_socket, AF_INET, SOCK_DCCP, 0},
        {SYS_socket, AF_INET, SOCK_RAW, IPPROTO_ICMP},
        {SYS_socket, AF_INET, SOCK_DGRAM, IPPROTO_ICMP},
        {SYS_socket, AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE},
        {SYS_socket, AF_NETLINK, SOCK_DGRAM, NETLINK_SOCK_DIAG},
        {SYS_socket, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER},
        {SYS_socket, AF_PACKET, SOCK_RAW, 0},
        {SYS_socket, AF_VSOCK, SOCK_STREAM, 0},
        {SYS_socket, AF_ALG, SOCK_SEQPACKET, 0},
        {SYS_socket, AF_INET | HIDDEN, SOCK_STREAM, IPPROTO_MPTCP | HIDDEN},
    };

    expect("socket", AF_UNIX, as(JAIL_WORKER, NULL, (struct call){SYS_socket, AF_UNIX, SOCK_STREAM, 0}), EACCES);
    expect("socket", AF_UNIX | HIDDEN,
           as(JAIL_WORKER, NULL, (struct call){SYS_socket, AF_UNIX | HIDDEN, SOCK_DGRAM, 0}), EACCES);
    not_sanitized();
    for (size_t i = 0; i < COUNT(makes); i++)
        expect("socket", (long)i, as(JAIL_WORKER, NULL, makes[i]), ENOSYS);
}

/* Where scripts may start programs from within the jail (`sandbox` is off), nobody knows what those make. */
static void programs_of_scripts_make_others(void **unused)
{
    const struct jail_rules rules = {.role = JAIL_WORKER, .any_file = true, .any_program = true};
    const struct call ping = {SYS_socket, AF_INET, SOCK_DGRAM, IPPROTO_ICMP},
                      local = {SYS_socket, AF_UNIX, SOCK_STREAM, 0};
    int met = meets(&rules, NULL, &ping);

    if (met != EACCES && met != EPROTONOSUPPORT) /* by the kernel's own setting, ping_group_range */
        expect("socket", IPPROTO_ICMP, met, GOES_ON);
    expect("socket", AF_UNIX, meets(&rules, NULL, &local), EACCES);
}

/* Landlock holds TCP to its ports; not what speaks it by another name (IPPROTO_SMC: the headers have none of it). */
static void but_no_other_streams(void **unused)
{
    static const uint16_t port = 1;
    static const struct jail_rules rules[] = {
        {.role = JAIL_WORKER, .any_file = true, .any_program = true},
        {.role = JAIL_WORKER,
         .only_ports = true,
         .ports = &port,
         .port_count = 1,
         .any_file = true,
         .any_program = true},
    };
    static const struct call makes[] = {{SYS_socket, AF_INET, SOCK_STREAM, IPPROTO_MPTCP},
                                        {SYS_socket, AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP},
                                        {SYS_socket, AF_INET, SOCK_STREAM, 256},
                                        {SYS_socket, AF_INET | HIDDEN, SOCK_STREAM | HIDDEN, IPPROTO_MPTCP | HIDDEN}};
    static const struct call tcp = {SYS_socket, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, IPPROTO_TCP};

    not_sanitized();
    for (size_t i = 0; i < COUNT(rules); i++) {
        expect("socket", IPPROTO_TCP, meets(&rules[i], NULL, &tcp), GOES_ON);
        for (size_t k = 0; k < COUNT(makes); k++)
            expect("socket", (long)k, meets(&rules[i], NULL, &makes[k]), ENOSYS);
    }
}

/* --- connect --- */

static int tcp(void)
{
    return socket(AF_INET, SOCK_STREAM, 0);
}

/* What a connection meets to a port of this machine where nobody listens. */
static int knocks(const struct jail_rules *rules, uint16_t port)
{
    const struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct call call = {SYS_connect, 0, (long)&to, sizeof(to)};

    return meets(rules, tcp, &call);
}

static void only_the_ports_that_are_allowed(void **unused)
{
    static const uint16_t ports[] = {1, 18433};
    const struct jail_rules few = {.role = JAIL_WORKER, .only_ports = true, .ports = ports, .port_count = 2};
    const struct jail_rules without_files = {.role = JAIL_WORKER,
                                             .only_ports = true,
                                             .ports = ports,
                                             .port_count = 2,
                                             .any_file = true,
                                             .any_program = true};
    const struct jail_rules any = {.role = JAIL_WORKER};

    expect("port", 1, knocks(&few, 1), ECONNREFUSED);
    expect("port", 18433, knocks(&few, 18433), ECONNREFUSED);
    expect("port of names", 53, knocks(&few, 53), ECONNREFUSED);
    expect("port", 2, knocks(&any, 2), ECONNREFUSED);
    expect("port", 1, knocks(&without_files, 1), ECONNREFUSED);
    if (!jail_knows_ports())
        skip();
    expect("port", 2, knocks(&few, 2), EACCES);
    expect("port", 18434, knocks(&few, 18434), EACCES);
    expect("port", 2, knocks(&without_files, 2), EACCES);
}

static void none_at_all(void **unused)
{
    const struct jail_rules none = {.role = JAIL_WORKER, .only_ports = true};
    const struct call makes[] = {{SYS_socket, AF_INET, SOCK_STREAM, 0},
                                 {SYS_socket, AF_INET6, SOCK_DGRAM, 0},
                                 {SYS_socket, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE},
                                 {SYS_socket, AF_UNIX, SOCK_STREAM, 0}};
    const struct call stream = pair(SOCK_STREAM);

    for (size_t i = 0; i < COUNT(makes); i++)
        expect("socket", (long)i, meets(&none, NULL, &makes[i]), EACCES);
    expect("port", 1, knocks(&none, 1), EACCES);
    expect("socketpair", 0, meets(&none, NULL, &stream), EFAULT);
}

/* Connected by its first bytes only; where to is said, and judged, before. */
static int lazy(void)
{
    int fd = tcp(), on = 1;

    return setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof(on)) == 0 ? fd : -1;
}

static void nor_later(void **unused)
{
    static const uint16_t port = 1;
    const struct jail_rules few = {.role = JAIL_WORKER, .only_ports = true, .ports = &port, .port_count = 1};
    const struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(2), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct call call = {SYS_connect, 0, (long)&to, sizeof(to)};

    if (!jail_knows_ports())
        skip();
    expect("port", 2, meets(&few, lazy, &call), EACCES);
}

/* --- messages --- */

static char byte = 'x';
static struct sockaddr_in nobody = {.sin_family = AF_INET};
static struct iovec bytes = {&byte, 1};
static struct mmsghdr message = {.msg_hdr = {&nobody, sizeof(nobody), &bytes, 1, NULL, 0, 0}};

/* One that listened, and was shut: a socket that the process has not made. */
static int a_shut_listener(void)
{
    int fd = tcp();
    return listen(fd, 1) == 0 && shutdown(fd, SHUT_RDWR) == 0 ? fd : -1;
}

static void expect_sent(const char *of, const struct jail_rules *rules, int (*prepare)(void), long flags, int wanted)
{
    const struct {
        long number, arguments[6];
    } calls[] = {
        {SYS_sendto, {0, (long)&byte, 1, flags | MSG_NOSIGNAL, (long)&nobody, sizeof(nobody)}},
        {SYS_sendmsg, {0, (long)&message.msg_hdr, flags | MSG_NOSIGNAL}},
        {SYS_sendmmsg, {0, (long)&message, 1, flags | MSG_NOSIGNAL}},
    };

    for (size_t i = 0; i < COUNT(calls); i++)
        if (rules->role != JAIL_TRIAL || calls[i].number != SYS_sendmmsg)
            expect(of, calls[i].number, meets_with(rules, prepare, calls[i].number, calls[i].arguments), wanted);
}

/* By the flag MSG_FASTOPEN the call connects, unseen by the rules for connect: to any port, by any socket of TCP. */
static void messages_do_not_connect(void **unused)
{
    static const uint16_t port = 1;
    static const struct jail_rules rules[] = {
        {.role = JAIL_KEEPER},
        {.role = JAIL_TRIAL},
        {.role = JAIL_WORKER},
        {.role = JAIL_WORKER, .only_ports = true},
        {.role = JAIL_WORKER, .only_ports = true, .ports = &port, .port_count = 1},
        {.role = JAIL_WORKER, .any_file = true, .any_program = true},
    };

    nobody.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    nobody.sin_port = htons(2);
    for (size_t i = 0; i < COUNT(rules); i++) {
        expect_sent("a message by", &rules[i], tcp, 0, EPIPE); /* it is let through, and the socket is not connected */
        expect_sent("a message by", &rules[i], tcp, HIDDEN, EPIPE);
        expect_sent("a connection by", &rules[i], tcp, MSG_FASTOPEN, EACCES);
        expect_sent("a connection by", &rules[i], tcp, MSG_FASTOPEN | MSG_DONTWAIT | HIDDEN, EACCES);
        expect_sent("a listener's connection by", &rules[i], a_shut_listener, MSG_FASTOPEN, EACCES);
    }
}

/* --- options of sockets --- */

static int on = 1;

static int sets(const struct jail_rules *rules, long level, long option)
{
    const long arguments[6] = {0, level, option, (long)&on, sizeof(on)};

    return meets_with(rules, tcp, SYS_setsockopt, arguments);
}

/* By TCP_ULP a socket of TCP can become one of SMC, whose connections Landlock does not see. */
static void a_socket_of_tcp_stays_one(void **unused)
{
    static const struct jail_rules rules[] = {
        {.role = JAIL_KEEPER},
        {.role = JAIL_TRIAL},
        {.role = JAIL_WORKER},
        {.role = JAIL_WORKER, .any_file = true, .any_program = true},
    };
    static const struct {
        long level, option;
    } honest[] = {{SOL_SOCKET, SO_KEEPALIVE},      {SOL_SOCKET | HIDDEN, SO_KEEPALIVE | HIDDEN},
                  {SOL_SOCKET, SO_REUSEADDR},      {IPPROTO_IP, IP_RECVERR},
                  {IPPROTO_TCP, TCP_NODELAY},      {IPPROTO_TCP | HIDDEN, TCP_NODELAY | HIDDEN},
                  {IPPROTO_TCP, TCP_CORK},         {IPPROTO_TCP, TCP_USER_TIMEOUT},
                  {IPPROTO_TCP, TCP_NOTSENT_LOWAT}};

    for (size_t i = 0; i < COUNT(rules); i++) {
        for (size_t k = 0; k < COUNT(honest); k++)
            expect("option", (honest[k].level << 8) + honest[k].option,
                   sets(&rules[i], honest[k].level, honest[k].option), GOES_ON);
        expect("option", TCP_ULP, sets(&rules[i], IPPROTO_TCP, TCP_ULP), EACCES);
        expect("option", TCP_ULP, sets(&rules[i], IPPROTO_TCP | HIDDEN, TCP_ULP | HIDDEN), EACCES);
        expect("another level's", TCP_ULP, sets(&rules[i], SOL_SOCKET, TCP_ULP), ENOPROTOOPT); /* the kernel's word */
    }
}

/* --- bind, listen --- */

static struct sockaddr_in any_port = {.sin_family = AF_INET}, a_port = {.sin_family = AF_INET};

static int udp(void)
{
    return socket(AF_INET, SOCK_DGRAM, 0);
}

static struct call binding(const struct sockaddr_in *to)
{
    return (struct call){SYS_bind, 0, (long)to, sizeof(*to)};
}

static void nobody_takes_a_port_of_tcp(void **unused)
{
    bool knows_ports = jail_knows_ports();

    a_port.sin_port = htons(18432);
    expect("bind of UDP", 0, as(JAIL_WORKER, udp, binding(&any_port)), GOES_ON); /* who looks names up may */
    if (knows_ports) {
        expect("bind", 0, as(JAIL_WORKER, tcp, binding(&any_port)), EACCES);
        expect("bind", 1, as(JAIL_WORKER, tcp, binding(&a_port)), EACCES);
    }
    not_sanitized();
    expect("listen", 0, as(JAIL_WORKER, tcp, (struct call){SYS_listen, 0, 1, 0}), ENOSYS);
    for (enum jail_role role = JAIL_KEEPER; role <= JAIL_TRIAL; role++)
        if (role != JAIL_WORKER) {
            expect("bind", role, as(role, tcp, binding(&any_port)), ENOSYS);
            expect("bind of UDP", role, as(role, udp, binding(&any_port)), ENOSYS);
            expect("listen", role, as(role, tcp, (struct call){SYS_listen, 0, 1, 0}), ENOSYS);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(descriptors_may_be_looked_at_and_locked),
        cmocka_unit_test(descriptors_send_no_signals),
        cmocka_unit_test(limits_are_its_own),
        cmocka_unit_test(nobody_elses),
        cmocka_unit_test(a_process_names_itself_and_looks),
        cmocka_unit_test(it_outlives_nobody_and_is_not_looked_into),
        cmocka_unit_test(a_pair_is_a_stream_of_a_worker),
        cmocka_unit_test(a_worker_makes_sockets_of_tcp_and_udp),
        cmocka_unit_test(and_no_other),
        cmocka_unit_test(programs_of_scripts_make_others),
        cmocka_unit_test(but_no_other_streams),
        cmocka_unit_test(only_the_ports_that_are_allowed),
        cmocka_unit_test(none_at_all),
        cmocka_unit_test(nor_later),
        cmocka_unit_test(messages_do_not_connect),
        cmocka_unit_test(a_socket_of_tcp_stays_one),
        cmocka_unit_test(nobody_takes_a_port_of_tcp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
