/*
 * Promises of the registry: a record lives until its socket is closed and its last request is over; a cut is counted
 * once, be it for abuse; how many requests a connection may make, and how fast.
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
    struct config_limits limits;
    int peer;
};

static int open_fixture(void **state)
{
    struct fixture *f = need_zero(1, sizeof(*f));
    f->loop = loop_new();
    connections_init(&f->connections, f->loop, &f->counters, &f->limits);
    f->limits = (struct config_limits){.connection_requests = 3, .connection_rate = 100, .frames = 1000};
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

static void abuse_is_counted_once_and_told_to_its_requests(void **state)
{
    struct fixture *f = *state;
    struct connection *c = connect_one(f);
    connections_abused(c, FLOOD_PINGS);
    assert_true(c->cut && c->abused);
    assert_false(peer_sees_the_end(f)); /* the guard sees to that, once libh2o has said goodbye */
    connections_abused(c, FLOOD_RESETS);
    connections_cut(c, COUNTER_cut_idle);
    assert_true(peer_sees_the_end(f));
    assert_int_equal(counters_get(&f->counters, COUNTER_cut_pings), 1);
    assert_int_equal(counters_get(&f->counters, COUNTER_cut_resets), 0);
    assert_int_equal(counters_get(&f->counters, COUNTER_cut_idle), 0);
    h2o_socket_close(c->sock);
    close(f->peer);
}

static void a_second_s_requests_may_come_at_once_and_come_back_with_time(void **state)
{
    struct fixture *f = *state;
    struct connection *c = connect_one(f);
    int taken = 0;
    while (taken < 1000 && connections_may_ask(c))
        taken++;
    assert_true(taken >= 100 && taken <= 110); /* the clock goes on meanwhile */
    usleep(250000);
    loop_pass(f->loop, DUR_MS(0));
    for (int i = 0; i < 20; i++)
        assert_true(connections_may_ask(c));
    h2o_socket_close(c->sock);
    close(f->peer);
}

static void the_last_request_is_known_and_counted_once(void **state)
{
    struct fixture *f = *state;
    struct connection *c = connect_one(f);
    for (int i = 1; i <= 5; i++) {
        connections_begin(c, true);
        assert_int_equal(connections_last_request(c), i >= 3);
        connections_end(c);
    }
    assert_int_equal(counters_get(&f->counters, COUNTER_cut_requests), 1);
    h2o_socket_close(c->sock);
    close(f->peer);
}

static void the_count_is_told_to_others(void **state)
{
    struct fixture *f = *state;
    _Atomic uint64_t open = 0;
    f->connections.open = &open;
    struct connection *c = connect_one(f);
    assert_int_equal(open, 1);
    h2o_socket_close(c->sock);
    assert_int_equal(open, 0);
    f->connections.open = NULL;
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
        cmocka_unit_test_setup_teardown(abuse_is_counted_once_and_told_to_its_requests, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(a_second_s_requests_may_come_at_once_and_come_back_with_time, open_fixture,
                                        close_fixture),
        cmocka_unit_test_setup_teardown(the_last_request_is_known_and_counted_once, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(the_count_is_told_to_others, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(a_socket_that_is_not_registered_has_no_record, open_fixture, close_fixture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
