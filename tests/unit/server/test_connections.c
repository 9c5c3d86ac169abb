/*
 * Promises of the registry: a record lives until its socket is closed and its last request is over; a hundred resets
 * are borne, more are not, and the budget comes back with time; a cut is counted once.
 */
#include "base/panic.h"
#include "server/connections.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    struct loop *loop;
    struct counters counters;
    struct connections connections;
    int peer;
};

static int open_fixture(void **state)
{
    struct fixture *f = need_zero(1, sizeof(*f));
    f->loop = loop_new();
    connections_init(&f->connections, f->loop, &f->counters);
    *state = f;
    return 0;
}

static int close_fixture(void **state)
{
    struct fixture *f = *state;
    connections_free(&f->connections);
    loop_pass(f->loop, DUR_MS(0));
    loop_free(&f->loop);
    free(f);
    return 0;
}

static struct connection *connect_one(struct fixture *f)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    f->peer = pair[1];
    return connections_add(&f->connections, h2o_evloop_socket_create(loop_evloop(f->loop), pair[0], 0));
}

static bool peer_sees_the_end(const struct fixture *f)
{
    char c;
    return recv(f->peer, &c, 1, MSG_DONTWAIT) == 0;
}

static void a_record_outlives_its_socket_by_its_requests(void **state)
{
    struct fixture *f = *state;
    struct connection *c = connect_one(f);
    h2o_socket_t *sock = c->sock;
    assert_ptr_equal(connections_of(sock), c);
    connections_begin(c, true);
    connections_begin(c, true);
    h2o_socket_close(sock);
    assert_null(c->sock);
    connections_end(c);
    assert_int_equal(f->connections.count, 1);
    connections_cut(c, COUNTER_cut_idle); /* of a closed one: nothing to shut down */
    connections_end(c);
    assert_int_equal(f->connections.count, 0);
    assert_int_equal(counters_get(&f->counters, COUNTER_connections), 1);
    assert_int_equal(counters_get(&f->counters, COUNTER_connections_closed), 1);
    close(f->peer);
}

static void a_hundred_resets_are_borne(void **state)
{
    struct fixture *f = *state;
    struct connection *c = connect_one(f);
    for (int i = 0; i < 100; i++)
        connections_reset(c);
    assert_false(c->cut);
    assert_false(peer_sees_the_end(f));
    for (int i = 0; i < 10 && !c->cut; i++)
        connections_reset(c);
    assert_true(c->cut);
    assert_true(peer_sees_the_end(f));
    for (int i = 0; i < 10; i++)
        connections_reset(c);
    assert_int_equal(counters_get(&f->counters, COUNTER_cut_resets), 1);
    h2o_socket_close(c->sock);
    close(f->peer);
}

static void the_budget_comes_back(void **state)
{
    struct fixture *f = *state;
    struct connection *c = connect_one(f);
    for (int i = 0; i < 100; i++)
        connections_reset(c);
    usleep(250000); /* two tenths of a second: two more */
    connections_reset(c);
    connections_reset(c);
    assert_false(c->cut);
    h2o_socket_close(c->sock);
    close(f->peer);
}

static void a_socket_that_is_not_registered_has_no_record(void **state)
{
    struct fixture *f = *state;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    h2o_socket_t *sock = h2o_evloop_socket_create(loop_evloop(f->loop), pair[0], 0);
    assert_null(connections_of(sock));
    assert_null(connections_of(NULL));
    h2o_socket_close(sock);
    close(pair[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_record_outlives_its_socket_by_its_requests, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(a_hundred_resets_are_borne, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(the_budget_comes_back, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(a_socket_that_is_not_registered_has_no_record, open_fixture, close_fixture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
