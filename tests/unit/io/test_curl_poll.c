/*
 * Promises of libcurl's poll: it is the one that libraries are given; within a call of libcurl's a socket that had
 * nothing is not asked again if it is the next one to be asked, and is then; every other question reaches the kernel.
 */
#include "io/curl_poll.h"
#include <dlfcn.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static int set_up(void **pair)
{
    static int ends[2];
    *pair = ends;
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends);
}

static int tear_down(void **pair)
{
    const int *ends = *pair;
    io_curl_poll_end();
    return close(ends[0]) | close(ends[1]);
}

static int asked_for(int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events, .revents = -1};
    int count = poll(&p, 1, 0);
    assert_true(count > 0 ? p.revents != 0 : p.revents == 0);
    return count;
}

static int asked(int fd)
{
    return asked_for(fd, POLLIN | POLLPRI);
}

static void speak(const int *ends)
{
    assert_int_equal(write(ends[1], "x", 1), 1);
}

static void libraries_are_given_it(void **pair)
{
    assert_ptr_equal(dlsym(RTLD_DEFAULT, "poll"), (void *)poll);
    assert_ptr_not_equal(dlsym(RTLD_NEXT, "poll"), (void *)poll);
}

static void outside_of_a_call_each_question_is_asked(void **pair)
{
    const int *ends = *pair;
    assert_int_equal(asked(ends[0]), 0);
    speak(ends);
    assert_int_equal(asked(ends[0]), 1);
}

static void the_second_question_is_answered_by_the_first(void **pair)
{
    const int *ends = *pair;
    io_curl_poll_begin();
    assert_int_equal(asked(ends[0]), 0);
    speak(ends);
    assert_int_equal(asked(ends[0]), 0);
    assert_int_equal(asked(ends[0]), 1); /* the third asks */
    assert_int_equal(asked(ends[0]), 1);
}

static void what_spoke_is_asked_again(void **pair)
{
    const int *ends = *pair;
    char byte;
    io_curl_poll_begin();
    speak(ends);
    assert_int_equal(asked(ends[0]), 1);
    assert_int_equal(read(ends[0], &byte, 1), 1);
    assert_int_equal(asked(ends[0]), 0);
}

static void another_question_between_makes_it_be_asked(void **pair)
{
    const int *ends = *pair;
    io_curl_poll_begin();
    assert_int_equal(asked(ends[0]), 0);
    assert_int_equal(asked(ends[1]), 0);
    speak(ends);
    assert_int_equal(asked(ends[0]), 1);
}

static void room_to_write_is_asked_for(void **pair)
{
    const int *ends = *pair;
    io_curl_poll_begin();
    assert_int_equal(asked(ends[0]), 0);
    assert_int_equal(asked_for(ends[0], POLLIN | POLLOUT), 1);
}

static void several_sockets_are_asked(void **pair)
{
    const int *ends = *pair;
    struct pollfd two[] = {{.fd = ends[0], .events = POLLIN}, {.fd = ends[1], .events = POLLIN}};
    io_curl_poll_begin();
    assert_int_equal(asked(ends[0]), 0);
    speak(ends);
    assert_int_equal(poll(two, 2, 0), 1);
    assert_int_equal(asked(ends[0]), 1);
}

static void a_wait_waits(void **pair)
{
    const int *ends = *pair;
    struct pollfd p = {.fd = ends[0], .events = POLLIN};
    io_curl_poll_begin();
    assert_int_equal(asked(ends[0]), 0);
    speak(ends);
    assert_int_equal(poll(&p, 1, 1000), 1);
}

static void a_call_begins_with_nothing_known(void **pair)
{
    const int *ends = *pair;
    io_curl_poll_begin();
    assert_int_equal(asked(ends[0]), 0);
    io_curl_poll_end();
    speak(ends);
    io_curl_poll_begin();
    assert_int_equal(asked(ends[0]), 1);
}

static void *ask(void *fd)
{
    static bool yes = true, no = false;
    struct pollfd p = {.fd = *(int *)fd, .events = POLLIN};
    return poll(&p, 1, 0) == 1 ? &yes : &no;
}

static void other_threads_ask(void **pair)
{
    int *ends = *pair;
    pthread_t thread;
    void *yes;
    io_curl_poll_begin();
    assert_int_equal(asked(ends[0]), 0);
    speak(ends);
    assert_int_equal(pthread_create(&thread, NULL, ask, &ends[0]), 0);
    assert_int_equal(pthread_join(thread, &yes), 0);
    assert_true(*(bool *)yes);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(libraries_are_given_it),
        CASE(outside_of_a_call_each_question_is_asked),
        CASE(the_second_question_is_answered_by_the_first),
        CASE(what_spoke_is_asked_again),
        CASE(another_question_between_makes_it_be_asked),
        CASE(room_to_write_is_asked_for),
        CASE(several_sockets_are_asked),
        CASE(a_wait_waits),
        CASE(a_call_begins_with_nothing_known),
        CASE(other_threads_ask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
