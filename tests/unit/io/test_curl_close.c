/*
 * Promises of libcurl's close: it is the one that libraries are given; within a call of libcurl's each descriptor is
 * told while it is open yet, on that thread alone; outside nobody is told anything.
 */
#include "io/curl_close.h"
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

static struct told {
    int count, fd, flags; /* flags: of the descriptor as it was told; -1: it was not open */
} told;

static void closing(void *cookie, int fd)
{
    struct told *t = cookie;
    *t = (struct told){t->count + 1, fd, fcntl(fd, F_GETFD)};
}

static int some_file(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_not_equal(fd, -1);
    return fd;
}

static int set_up(void **unused)
{
    told = (struct told){0};
    return 0;
}

static int tear_down(void **unused)
{
    io_curl_close_end();
    return 0;
}

static void libraries_are_given_it(void **unused)
{
    assert_ptr_equal(dlsym(RTLD_DEFAULT, "close"), (void *)close);
    assert_ptr_not_equal(dlsym(RTLD_NEXT, "close"), (void *)close);
}

static void told_within_a_call_while_it_is_open(void **unused)
{
    int fd = some_file();
    io_curl_close_begin(closing, &told);
    assert_int_equal(close(fd), 0);
    assert_int_equal(told.count, 1);
    assert_int_equal(told.fd, fd);
    assert_int_equal(told.flags, FD_CLOEXEC);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void not_told_outside(void **unused)
{
    int fd = some_file();
    io_curl_close_begin(closing, &told);
    io_curl_close_end();
    assert_int_equal(close(fd), 0);
    assert_int_equal(told.count, 0);
}

static void fails_as_the_true_one(void **unused)
{
    io_curl_close_begin(closing, &told);
    assert_int_equal(close(-1), -1);
    assert_int_equal(errno, EBADF);
}

static void *close_it(void *fd)
{
    return close(*(int *)fd) == 0 ? fd : NULL;
}

static void other_threads_close_untold(void **unused)
{
    int fd = some_file();
    pthread_t thread;
    void *done;
    io_curl_close_begin(closing, &told);
    assert_int_equal(pthread_create(&thread, NULL, close_it, &fd), 0);
    assert_int_equal(pthread_join(thread, &done), 0);
    assert_non_null(done);
    assert_int_equal(told.count, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(libraries_are_given_it), CASE(told_within_a_call_while_it_is_open), CASE(not_told_outside),
        CASE(fails_as_the_true_one),  CASE(other_threads_close_untold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
