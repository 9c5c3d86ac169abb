/*
 * Promises of libcurl's look at a connection at rest: recv is the one that libraries are given; within a call, and on
 * its thread, a peek at a byte that is there finds the end, unless the connection is framed; all else is as it was.
 */
#include "io/curl_rest.h"
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static int here, there; /* a pair */

static int set_up(void **unused)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    here = pair[0];
    there = pair[1];
    return 0;
}

static int tear_down(void **unused)
{
    io_curl_rest_end();
    close(here);
    close(there);
    return 0;
}

static ssize_t look(void)
{
    char byte;
    return recv(here, &byte, 1, MSG_PEEK);
}

static void say(const char *text, size_t len)
{
    assert_int_equal(write(there, text, len), len);
}

static bool is_framed(const void *cookie, int fd)
{
    return fd == *(const int *)cookie;
}

static void libraries_are_given_it(void **unused)
{
    assert_ptr_equal(dlsym(RTLD_DEFAULT, "recv"), (void *)recv);
    assert_ptr_not_equal(dlsym(RTLD_NEXT, "recv"), (void *)recv);
}

static void what_is_there_is_an_end_within_a_call(void **unused)
{
    say("x", 1);
    assert_int_equal(look(), 1);
    io_curl_rest_begin(is_framed, &there);
    assert_int_equal(look(), 0);
    io_curl_rest_end();
    assert_int_equal(look(), 1);
}

static void not_where_it_is_framed(void **unused)
{
    say("x", 1);
    io_curl_rest_begin(is_framed, &here);
    assert_int_equal(look(), 1);
}

static void silence_and_a_true_end_are_what_they_are(void **unused)
{
    io_curl_rest_begin(is_framed, &there);
    assert_int_equal(look(), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(shutdown(there, SHUT_WR), 0);
    assert_int_equal(look(), 0);
}

static void what_is_read_is_read(void **unused)
{
    char room[8];
    say("abcdef", 6);
    io_curl_rest_begin(is_framed, &there);
    assert_int_equal(recv(here, room, 2, MSG_PEEK), 2);
    assert_int_equal(recv(here, room, 1, 0), 1);
    assert_int_equal(recv(here, room, sizeof(room), 0), 5);
    assert_memory_equal(room, "bcdef", 5);
}

static void *look_there(void *unused)
{
    return (void *)(intptr_t)look();
}

static void other_threads_see_what_is_there(void **unused)
{
    pthread_t thread;
    void *seen;
    say("x", 1);
    io_curl_rest_begin(is_framed, &there);
    assert_int_equal(pthread_create(&thread, NULL, look_there, NULL), 0);
    assert_int_equal(pthread_join(thread, &seen), 0);
    assert_int_equal((intptr_t)seen, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(libraries_are_given_it), TEST(what_is_there_is_an_end_within_a_call),
        TEST(not_where_it_is_framed), TEST(silence_and_a_true_end_are_what_they_are),
        TEST(what_is_read_is_read),   TEST(other_threads_see_what_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
