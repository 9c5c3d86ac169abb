/*
 * jail_sockets.c: see jail_sockets.h.
 */
#include "base/jail_sockets.h"

#include "base/jail_rule.h"

#include <errno.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#define OPTION_BITS 9    /* no level, and no option, has a number of more */
#define SOCKET_KIND 0xfu /* of a socket's type; the rest are flags */
#define COUNT(list) (sizeof(list) / sizeof(list)[0])

/* Messages may go out, but make no connection: that is what `connect` is judged for. */
static const struct {
    const char *name;
    unsigned flags; /* which argument they are */
    bool lasting;   /* not for a trial */
} messages[] = {{"sendto", 3, false}, {"sendmsg", 2, false}, {"sendmmsg", 3, true}};

/* By the flag a socket of TCP, a listener that was shut, too, connects where neither `connect` nor Landlock sees it. */
static int rule_messages(scmp_filter_ctx filter, enum jail_role role)
{
    int done = 0;

    for (size_t i = 0; i < COUNT(messages) && done == 0; i++) {
        const char *name = messages[i].name;

        done = jail_rule_where(filter, SCMP_ACT_ERRNO(EACCES), name, messages[i].flags, MSG_FASTOPEN, MSG_FASTOPEN);
        if (done == 0 && (!messages[i].lasting || role != JAIL_TRIAL))
            done = jail_rule_where(filter, SCMP_ACT_ALLOW, name, messages[i].flags, MSG_FASTOPEN, 0);
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

        done = jail_rule_where(filter, SCMP_ACT_ALLOW, "setsockopt", 1, same, (IPPROTO_TCP ^ differs) & same);
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
    int done = jail_rule(filter, SCMP_ACT_ALLOW, "connect");

    if (done == 0)
        done = rule_honest_sockets(filter);
    if (done == 0 && any)
        done = rule_sockets_of_programs(filter);
    return done != 0 ? done : jail_rule_for(filter, SCMP_ACT_ERRNO(EACCES), "socket", UINT32_MAX, AF_UNIX);
}

static int rule_none_outgoing(scmp_filter_ctx filter)
{
    int done = jail_rule(filter, SCMP_ACT_ERRNO(EACCES), "socket");

    return done != 0 ? done : jail_rule(filter, SCMP_ACT_ERRNO(EACCES), "connect");
}

/* The pair is for the proof of HTTP/2's guard; one of datagrams could be sent elsewhere. */
static int rule_kinds(scmp_filter_ctx filter, const struct jail_rules *rules)
{
    bool none = rules->role != JAIL_WORKER || (rules->only_ports && rules->port_count == 0);
    int done = none ? rule_none_outgoing(filter) : rule_outgoing(filter, rules->any_program);

    if (done != 0 || rules->role != JAIL_WORKER)
        return done;
    return jail_rule_where(filter, SCMP_ACT_ALLOW, "socketpair", 1, SOCKET_KIND, SOCK_STREAM);
}

int jail_sockets(scmp_filter_ctx filter, const struct jail_rules *rules)
{
    int done = rule_messages(filter, rules->role);

    if (done == 0)
        done = rule_options(filter);
    return done == 0 ? rule_kinds(filter, rules) : done;
}
