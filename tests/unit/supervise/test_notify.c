/*
 * test_notify.c: promises: the messages are those of sd_notify(3), one a datagram, at a path and at an abstract name;
 * the variables are gone from the environment, and come back for an exec; a full queue makes no call wait, and loses
 * nothing; the watchdog hears in time, and only while something serves.
 */
#include "base/panic.h"
#include "base/slice.h"
#include "supervise/notify.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

/* The manager's end, at a path or, from '@', an abstract name. */
static int manager(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    memcpy(at.sun_path, path, strlen(path));
    if (at.sun_path[0] == '@')
        at.sun_path[0] = '\0';
    unlink(path);
    assert_int_equal(
        bind(fd, (struct sockaddr *)&at, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path))), 0);
    return fd;
}

static const char *heard(int fd)
{
    static char text[1024];
    ssize_t got = recv(fd, text, sizeof(text) - 1, 0);

    text[got > 0 ? got : 0] = '\0';
    return text;
}

static void open_well(struct notify *n, const char *path, const char *usec, const char *pid)
{
    struct error err;

    setenv("NOTIFY_SOCKET", path, 1);
    if (usec != NULL)
        setenv("WATCHDOG_USEC", usec, 1);
    if (pid != NULL)
        setenv("WATCHDOG_PID", pid, 1);
    if (notify_open(n, &err) != 0)
        fail_msg("%s", err.text);
    assert_null(getenv("NOTIFY_SOCKET"));
    assert_null(getenv("WATCHDOG_USEC"));
    assert_null(getenv("WATCHDOG_PID"));
}

static void its_messages(const char *path)
{
    struct notify n;
    int fd = manager(path);
    char expected[128];
    unsigned long long at;

    open_well(&n, path, NULL, NULL);
    notify_ready(&n, "serving");
    snprintf(expected, sizeof(expected), "READY=1\nSTATUS=serving\nMAINPID=%d", (int)getpid());
    assert_string_equal(heard(fd), expected);
    notify_reloading(&n, "reloading");
    assert_int_equal(sscanf(heard(fd), "RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=reloading", &at), 1);
    assert_true(at <= (unsigned long long)mono_now().ns / 1000 &&
                at + 1000000 > (unsigned long long)mono_now().ns / 1000);
    notify_stopping(&n, DUR_S(30));
    assert_string_equal(heard(fd), "STOPPING=1\nEXTEND_TIMEOUT_USEC=35000000\nSTATUS=draining");
    notify_tick(&n, mono_now(), true); /* no watchdog was asked for */
    assert_string_equal(heard(fd), "");
    notify_close(&n);
    close(fd);
}

static void the_messages_are_those_of_the_protocol(void **state)
{
    char path[64];

    snprintf(path, sizeof(path), "/tmp/crescent-notify-%d", (int)getpid());
    its_messages(path);
    unlink(path);
    snprintf(path, sizeof(path), "@crescent-notify-%d", (int)getpid());
    its_messages(path);
}

static void without_a_manager_nothing_is_sent(void **state)
{
    struct notify n;

    assert_int_equal(notify_open(&n, NULL), 0);
    notify_ready(&n, "serving");
    notify_tick(&n, mono_now(), true);
    assert_int_equal(n.waiting.len, 0);
    notify_close(&n);
}

static void what_is_malformed_is_refused(void **state)
{
    static const struct {
        const char *socket, *usec, *pid, *words;
    } cases[] = {{"relative", NULL, NULL, "NOTIFY_SOCKET"}, {"vsock:2:1", NULL, NULL, "NOTIFY_SOCKET"},
                 {"/", NULL, NULL, "NOTIFY_SOCKET"},        {"/x", "0", NULL, "WATCHDOG_USEC"},
                 {"/x", "1s", NULL, "WATCHDOG_USEC"},       {"/x", "99999999999999999999", NULL, "WATCHDOG_USEC"},
                 {"/x", "1000", "me", "WATCHDOG_PID"}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct notify n;
        struct error err;

        setenv("NOTIFY_SOCKET", cases[i].socket, 1);
        if (cases[i].usec != NULL)
            setenv("WATCHDOG_USEC", cases[i].usec, 1);
        if (cases[i].pid != NULL)
            setenv("WATCHDOG_PID", cases[i].pid, 1);
        assert_int_equal(notify_open(&n, &err), -1);
        assert_non_null(strstr(err.text, cases[i].words));
        assert_null(getenv("NOTIFY_SOCKET"));
    }
}

static void the_watchdog_hears_in_time_and_only_while_something_serves(void **state)
{
    const char *path = "@crescent-watchdog-test";
    struct notify n;
    int fd = manager(path);
    char pid[16];
    mono_t t = {1000};

    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    open_well(&n, path, "2000000", pid);
    notify_tick(&n, t, false);
    assert_string_equal(heard(fd), "");
    notify_tick(&n, t, true);
    assert_string_equal(heard(fd), "WATCHDOG=1");
    notify_tick(&n, mono_add(t, DUR_MS(999)), true);
    assert_string_equal(heard(fd), "");
    notify_tick(&n, mono_add(t, DUR_MS(1000)), false);
    assert_string_equal(heard(fd), "");
    notify_tick(&n, mono_add(t, DUR_MS(1300)), true);
    assert_string_equal(heard(fd), "WATCHDOG=1");
    /* for an exec in place all of it stands in the environment again */
    notify_restore(&n);
    notify_close(&n);
    assert_string_equal(getenv("WATCHDOG_USEC"), "2000000");
    open_well(&n, getenv("NOTIFY_SOCKET"), NULL, NULL);
    assert_int_equal(n.watchdog.ns, DUR_S(2).ns);
    notify_close(&n);
    open_well(&n, path, "2000000", "1"); /* meant for another process */
    notify_tick(&n, t, true);
    assert_string_equal(heard(fd), "");
    notify_close(&n);
    close(fd);
}

static void a_full_queue_makes_nobody_wait_and_loses_nothing(void **state)
{
    const char *path = "@crescent-full-test";
    struct notify n;
    int fd = manager(path), count = 0, more = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un at = {.sun_family = AF_UNIX};

    memcpy(at.sun_path + 1, path + 1, strlen(path) - 1);
    open_well(&n, path, NULL, NULL);
    while (sendto(more, "noise", 5, 0, (struct sockaddr *)&at,
                  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path))) == 5)
        count++;
    assert_int_equal(errno, EAGAIN);
    notify_reloading(&n, "a");
    notify_ready(&n, "b");
    assert_true(n.waiting.len > 0);
    while (count-- > 0)
        assert_string_equal(heard(fd), "noise");
    assert_string_equal(heard(fd), "");
    notify_tick(&n, mono_now(), true);
    assert_int_equal(strncmp(heard(fd), "RELOADING=1", 11), 0);
    assert_int_equal(strncmp(heard(fd), "READY=1", 7), 0);
    assert_int_equal(n.waiting.len, 0);
    close(fd); /* and a manager that has gone is no reason to stop */
    notify_ready(&n, "c");
    assert_true(n.told && n.waiting.len == 0);
    notify_close(&n);
    close(more);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_messages_are_those_of_the_protocol),
        cmocka_unit_test(without_a_manager_nothing_is_sent),
        cmocka_unit_test(what_is_malformed_is_refused),
        cmocka_unit_test(the_watchdog_hears_in_time_and_only_while_something_serves),
        cmocka_unit_test(a_full_queue_makes_nobody_wait_and_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
