/*
 * Promises of the loop: descriptors are told level-triggered, an unwatched one is silent from that moment, what is put
 * off runs once on the next pass, a signal does not stop it, and the end of a write is told at once, whoever wrote.
 */
#include "base/panic.h"
#include "io/timeout.h"
#include <h2o.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

struct seen {
    struct loop_watch watch;
    unsigned count, events;
    struct seen *silences; /* unwatched when this one is told */
};

static void told(struct loop_watch *w, unsigned events)
{
    struct seen *s = CONTAINER_OF(w, struct seen, watch);
    s->count++;
    s->events = events;
    if (s->silences != NULL)
        loop_unwatch(&s->silences->watch);
}

static void a_descriptor_is_told_until_it_is_read(void **state)
{
    struct loop *l = loop_new();
    struct seen s = {0};
    int fd = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
    loop_watch(l, &s.watch, fd, LOOP_READ, told);
    loop_pass(l, DUR_MS(100));
    loop_pass(l, DUR_MS(100));
    assert_int_equal(s.count, 2);
    assert_int_equal(s.events, LOOP_READ);
    eventfd_t value;
    assert_int_equal(eventfd_read(fd, &value), 0);
    loop_pass(l, DUR_MS(1));
    assert_int_equal(s.count, 2);
    loop_watch_events(&s.watch, LOOP_READ | LOOP_WRITE);
    loop_pass(l, DUR_MS(100));
    assert_int_equal(s.count, 3);
    assert_int_equal(s.events, LOOP_WRITE);
    loop_unwatch(&s.watch);
    loop_unwatch(&s.watch);
    loop_pass(l, DUR_MS(1));
    assert_int_equal(s.count, 3);
    close(fd);
    loop_free(&l);
    assert_null(l);
}

static void an_unwatched_one_is_silent_in_the_same_pass(void **state)
{
    struct loop *l = loop_new();
    struct seen a = {0}, b = {0};
    int one = eventfd(1, EFD_CLOEXEC), two = eventfd(1, EFD_CLOEXEC);
    a.silences = &b;
    b.silences = &a;
    loop_watch(l, &a.watch, one, LOOP_READ, told);
    loop_watch(l, &b.watch, two, LOOP_READ, told);
    loop_pass(l, DUR_MS(100));
    assert_int_equal(a.count + b.count, 1);
    loop_unwatch(&a.watch);
    loop_unwatch(&b.watch);
    close(one);
    close(two);
    loop_free(&l);
}

struct task {
    struct loop_later later;
    struct loop *loop;
    struct task *cancels;
    unsigned runs;
    bool again;
};

static void run(struct loop_later *later)
{
    struct task *t = CONTAINER_OF(later, struct task, later);
    t->runs++;
    if (t->again)
        loop_later(t->loop, later);
    if (t->cancels != NULL)
        loop_later_cancel(&t->cancels->later);
}

static void what_is_put_off_runs_once_on_the_next_pass(void **state)
{
    struct loop *l = loop_new();
    struct task a = {.loop = l}, b = {.loop = l, .again = true}, c = {.loop = l};
    loop_later_init(&a.later, run);
    loop_later_init(&b.later, run);
    loop_later_init(&c.later, run);
    loop_later(l, &a.later);
    loop_later(l, &a.later);
    loop_later(l, &b.later);
    loop_later(l, &c.later);
    a.cancels = &c;
    loop_pass(l, DUR_S(5)); /* does not wait for that long */
    assert_int_equal(a.runs, 1);
    assert_int_equal(b.runs, 1);
    assert_int_equal(c.runs, 0);
    b.again = false;
    loop_pass(l, DUR_S(5));
    assert_int_equal(a.runs, 1);
    assert_int_equal(b.runs, 2);
    loop_free(&l);
}

static void on_alarm(int number)
{
}

static void stop(struct loop_watch *w, unsigned events)
{
    loop_stop(w->loop);
}

static void a_signal_does_not_stop_it(void **state)
{
    struct loop *l = loop_new();
    struct loop_watch watch = {0};
    int fd = eventfd(0, EFD_CLOEXEC);
    struct sigaction action = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &(struct itimerval){{0, 2000}, {0, 2000}}, NULL);
    loop_watch(l, &watch, fd, LOOP_READ, stop);
    mono_t until = mono_add(mono_now(), DUR_MS(20));
    while (mono_before(mono_now(), until))
        loop_pass(l, DUR_MS(50));
    eventfd_write(fd, 1);
    loop_run(l);
    setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 0}}, NULL);
    loop_unwatch(&watch);
    close(fd);
    loop_free(&l);
}

static void the_time_stands_still_within_a_pass(void **state)
{
    struct loop *l = loop_new();
    mono_t before = loop_now(l);
    usleep(1000);
    assert_true(mono_before(before, loop_now(l))); /* outside of a pass it is read */
    loop_free(&l);
}

struct burner { /* so many things in one pass, each of so many ms */
    struct loop_later later;
    struct loop *loop;
    unsigned times, ms;
    dur_t lag;   /* as seen before the first of them, */
    dur_t end;   /* and behind the last */
    mono_t over; /* when */
    bool late;   /* something else had the machine since the pass before: it looks like a rest */
};

static void burn_ms(unsigned ms)
{
    for (mono_t until = mono_add(mono_now(), DUR_MS(ms)); mono_before(mono_now(), until);)
        ;
}

static void burn(struct loop_later *later)
{
    struct burner *b = CONTAINER_OF(later, struct burner, later);
    b->late = mono_since(mono_now(), b->over).ns > DUR_MS(5).ns;
    loop_now(b->loop);
    b->lag = loop_lag(b->loop);
    for (unsigned i = 0; i < b->times; i++) {
        burn_ms(b->ms);
        loop_mark(b->loop);
    }
    b->end = loop_lag(b->loop);
    b->over = mono_now();
}

static void pass(struct burner *b, unsigned times, unsigned ms)
{
    b->times = times;
    b->ms = ms;
    loop_later(b->loop, &b->later);
    loop_pass(b->loop, DUR_MS(0));
}

#define TICKS DUR_MS(20).ns /* what the kernel's ticks may take away; a busy machine only adds */

static void many_things_that_wait_for_each_other_are_lag(void **state)
{
    struct loop *l = loop_new();
    struct burner b = {.loop = l};
    loop_later_init(&b.later, burn);
    do {
        pass(&b, 5, 50);
        assert_true(b.end.ns >= DUR_MS(200).ns - TICKS);
        pass(&b, 0, 0); /* what is told now may have waited for all of the last pass */
    } while (b.late);
    assert_true(b.lag.ns >= DUR_MS(200).ns - TICKS);
    pass(&b, 0, 0); /* it is over at once */
    assert_true(b.lag.ns < TICKS);
    loop_free(&l);
}

static void one_long_thing_is_none(void **state)
{
    struct loop *l = loop_new();
    struct burner b = {.loop = l};
    loop_later_init(&b.later, burn);
    do {
        usleep(20000);
        pass(&b, 1, 300);
        assert_true(b.end.ns < DUR_MS(100).ns);
        pass(&b, 1, 300);
    } while (b.late);
    assert_true(b.lag.ns < DUR_MS(100).ns);
    assert_true(b.end.ns >= DUR_MS(300).ns - TICKS); /* the second behind it is */
    loop_free(&l);
}

static void who_comes_to_a_loop_at_rest_has_not_waited(void **state)
{
    struct loop *l = loop_new();
    struct burner b = {.loop = l};
    loop_later_init(&b.later, burn);
    pass(&b, 5, 50);
    usleep(20000);
    pass(&b, 0, 0);
    assert_true(b.lag.ns < TICKS);
    loop_free(&l);
}

static void each_pass_has_its_number(void **state)
{
    struct loop *l = loop_new();
    uint64_t before = loop_passes(l);
    loop_pass(l, DUR_MS(0));
    assert_int_equal(loop_passes(l), before + 1);
    loop_pass(l, DUR_MS(0));
    assert_int_equal(loop_passes(l), before + 2);
    loop_free(&l);
}

struct writer {
    struct loop_later later;
    struct timeout timeout;
    h2o_socket_t *sock;
    unsigned told;
};

static void on_written(h2o_socket_t *sock, const char *err)
{
    assert_null(err);
    ((struct writer *)sock->data)->told++;
}

static void write_byte(struct writer *w)
{
    h2o_iovec_t v = h2o_iovec_init("x", 1);
    h2o_socket_write(w->sock, &v, 1, on_written);
}

static void write_later(struct loop_later *later)
{
    write_byte(CONTAINER_OF(later, struct writer, later));
}

static void write_at_timeout(struct timeout *t)
{
    write_byte(CONTAINER_OF(t, struct writer, timeout));
}

static void the_end_of_a_write_is_told_at_once(void **state)
{
    struct loop *l = loop_new();
    struct writer w = {0};
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    w.sock = h2o_evloop_socket_create(loop_evloop(l), pair[0], H2O_SOCKET_FLAG_DONT_READ);
    w.sock->data = &w;
    loop_later_init(&w.later, write_later);
    mono_t before = mono_now();
    loop_later(l, &w.later);
    loop_pass(l, DUR_S(20));
    assert_int_equal(w.told, 1);
    timeout_set(l, &w.timeout, mono_now(), write_at_timeout);
    loop_pass(l, DUR_S(20));
    assert_int_equal(w.told, 2);
    assert_true(mono_since(mono_now(), before).ns < DUR_S(10).ns);
    h2o_socket_close(w.sock);
    close(pair[1]);
    loop_free(&l);
}

static void on_peer(h2o_socket_t *sock, const char *err)
{
    assert_null(err);
}

/* As much as is taken at once, but leaves no room for more: the socket does not count as writable then. */
static void write_much_later(struct loop_later *later)
{
    struct writer *w = CONTAINER_OF(later, struct writer, later);
    static char much[32768];
    h2o_iovec_t v = h2o_iovec_init(much, sizeof(much));
    h2o_socket_write(w->sock, &v, 1, on_written);
    h2o_socket_read_start(w->sock, on_peer);
}

/*
 * libh2o 2.2.5 asked epoll for room to write where a write was over and only its callback was due, and aborted when the
 * peer made room: after a write outside of libh2o's own pass, to a client that had paused and goes on.
 */
static void a_reader_that_goes_on_finds_nobody_writing(void **state)
{
    struct loop *l = loop_new();
    struct writer w = {0};
    int pair[2], room = 24576; /* doubled by the kernel */
    char bytes[65536];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)), 0);
    w.sock = h2o_evloop_socket_create(loop_evloop(l), pair[0], H2O_SOCKET_FLAG_DONT_READ);
    w.sock->data = &w;
    loop_later_init(&w.later, write_much_later);
    loop_later(l, &w.later);
    loop_pass(l, DUR_MS(1));
    loop_pass(l, DUR_MS(1));
    assert_int_equal(w.told, 1);
    assert_int_equal(read(pair[1], bytes, sizeof(bytes)), 32768);
    loop_pass(l, DUR_MS(1));
    assert_int_equal(w.told, 1);
    h2o_socket_close(w.sock);
    close(pair[1]);
    loop_free(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_descriptor_is_told_until_it_is_read),
        cmocka_unit_test(an_unwatched_one_is_silent_in_the_same_pass),
        cmocka_unit_test(what_is_put_off_runs_once_on_the_next_pass),
        cmocka_unit_test(a_signal_does_not_stop_it),
        cmocka_unit_test(the_time_stands_still_within_a_pass),
        cmocka_unit_test(many_things_that_wait_for_each_other_are_lag),
        cmocka_unit_test(one_long_thing_is_none),
        cmocka_unit_test(who_comes_to_a_loop_at_rest_has_not_waited),
        cmocka_unit_test(each_pass_has_its_number),
        cmocka_unit_test(the_end_of_a_write_is_told_at_once),
        cmocka_unit_test(a_reader_that_goes_on_finds_nobody_writing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
