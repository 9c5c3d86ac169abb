/*
 * test_asker.c: who may ask is told by whose the other end of a connection is; who hides, may not.
 */
#include "admin/asker.h"
#include "base/buf.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
// cmocka wants the headers above first
#include <cmocka.h>

#define SOMEBODY_ELSE (geteuid() + 1)

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static union address at; /* of the listener */
static socklen_t at_len;

static int listens(int family, bool everywhere)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), off = 0;

    at = (union address){.any.sa_family = (sa_family_t)family};
    at_len = family == AF_INET ? sizeof(at.v4) : sizeof(at.v6);
    if (family == AF_INET)
        at.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else
        at.v6.sin6_addr = everywhere ? in6addr_any : in6addr_loopback;
    if (family == AF_INET6)
        assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)), 0);
    assert_int_equal(bind(fd, &at.any, at_len), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, &at.any, &at_len), 0);
    return fd;
}

static void begin(struct asker *a, uid_t user, int fd, const char *workers)
{
    struct heritage_socket socket = {.fd = fd, .listener = HERITAGE_ADMIN};
    const struct heritage h = {.sockets = &socket, .socket_count = 1, .bound = (char *)workers};

    asker_init(a);
    asker_begin(a, user, &h);
}

static int knocks(int family)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(connect(fd, &at.any, at_len), 0);
    return fd;
}

static int lets_in(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

static bool may(uid_t user, int family)
{
    int listener = listens(family, false), client = knocks(family), server = lets_in(listener);
    struct asker a;
    begin(&a, user, listener, NULL);
    assert_true(a.table >= 0);
    bool allowed = asker_may(&a, server);
    assert_true(asker_may(&a, server) == allowed); /* once more, for the next request */
    close(client);
    close(server);
    close(listener);
    close(a.table);
    return allowed;
}

static void the_user_of_scripts_may_not(void **unused)
{
    assert_false(may(geteuid(), AF_INET));
    assert_true(may(SOMEBODY_ELSE, AF_INET));
    assert_false(may(geteuid(), AF_INET6));
    assert_true(may(SOMEBODY_ELSE, AF_INET6));
}

static void also_not_by_the_other_kind_of_address(void **unused)
{
    int listener = listens(AF_INET6, true);
    const struct sockaddr_in v4 = {
        .sin_family = AF_INET, .sin_port = at.v6.sin6_port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct asker own, others;

    at.v4 = v4;
    at_len = sizeof(v4);
    int client = knocks(AF_INET), server = lets_in(listener);
    begin(&own, geteuid(), listener, NULL);
    begin(&others, SOMEBODY_ELSE, listener, NULL);
    assert_true(own.table >= 0 && others.table >= 0);
    assert_false(asker_may(&own, server));
    assert_true(asker_may(&others, server));
    close(own.table);
    close(others.table);
    close(client);
    close(server);
    close(listener);
}

/* Until our own end has heard of it. */
static void wait_for(int server)
{
    struct pollfd what = {.fd = server, .events = POLLRDHUP};

    assert_int_equal(poll(&what, 1, 10000), 1);
}

/* Who has said all, and waits, may; who has gone, so that nobody can tell who it was, may not. */
static void who_has_gone_may_not(void **unused)
{
    int listener = listens(AF_INET, false);
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    struct asker a;

    begin(&a, SOMEBODY_ELSE, listener, NULL);
    int client = knocks(AF_INET), server = lets_in(listener);
    shutdown(client, SHUT_WR);
    wait_for(server);
    assert_true(asker_may(&a, server));
    close(client);
    assert_false(asker_may(&a, server));
    close(server);

    client = knocks(AF_INET);
    server = lets_in(listener);
    assert_int_equal(send(client, "x", 1, 0), 1);
    setsockopt(client, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close(client);
    assert_false(asker_may(&a, server));
    close(server);
    close(a.table);
    close(listener);
}

/* As many addresses as a configuration can have, and this one; the caller's to free. */
static char *behind_many(unsigned port)
{
    struct buf all = {0};

    for (unsigned i = 1; i <= 1000; i++)
        buf_addf(&all, "127.0.0.1:%u ", i);
    buf_addf(&all, "127.0.0.1:%u", port);
    return buf_take(&all);
}

/* A listener is root's, whoever holds it. */
static void nobody_may_from_where_workers_listen(void **unused)
{
    int listener = listens(AF_INET, false), client = knocks(AF_INET), server = lets_in(listener);
    union address own;
    socklen_t len = sizeof(own);
    char bound[96];
    struct asker a;

    assert_int_equal(getsockname(client, &own.any, &len), 0);
    snprintf(bound, sizeof(bound), "127.0.0.1:1 [::1]:%u 127.0.0.1:2", ntohs(own.v4.sin_port));
    begin(&a, SOMEBODY_ELSE, listener, bound);
    assert_false(asker_may(&a, server));
    close(a.table);
    begin(&a, SOMEBODY_ELSE, listener, "127.0.0.1:1 127.0.0.1:2");
    assert_true(asker_may(&a, server));
    close(a.table);
    char *all = behind_many(ntohs(own.v4.sin_port));
    begin(&a, SOMEBODY_ELSE, listener, all);
    assert_false(asker_may(&a, server));
    free(all);
    close(a.table);
    close(client);
    close(server);
    close(listener);
}

/* What its path's mode lets in; and all, where the kernel does not tell (of a socket that is none of its listeners). */
static void where_nothing_can_be_told_everybody_may(void **unused)
{
    int pair[2], unbound = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int listener = listens(AF_INET, false), client = knocks(AF_INET), server = lets_in(listener);
    struct asker a;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    begin(&a, geteuid(), listener, NULL);
    assert_true(asker_may(&a, pair[0]));
    assert_false(asker_may(&a, server));
    close(a.table);
    begin(&a, geteuid(), pair[0], NULL);
    assert_int_equal(a.table, -1);
    begin(&a, geteuid(), unbound, NULL);
    assert_int_equal(a.table, -1);
    assert_true(asker_may(&a, server));
    close(pair[0]);
    close(pair[1]);
    close(unbound);
    close(client);
    close(server);
    close(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_user_of_scripts_may_not),
        cmocka_unit_test(also_not_by_the_other_kind_of_address),
        cmocka_unit_test(who_has_gone_may_not),
        cmocka_unit_test(nobody_may_from_where_workers_listen),
        cmocka_unit_test(where_nothing_can_be_told_everybody_may),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
