/*
 * test_sockets_inherited.c: promises: what is handed over is taken once, by its name's role, non-blocking and
 * close-on-exec, and nobody sees the variables any more; it serves in the set of a configuration that has it, and
 * survives the next; what is no listening stream socket is refused. Each case in a process of its own: the descriptors
 * are those from 3 on.
 */
#include "base/fd.h"
#include "base/panic.h"
#include "supervise/sockets.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* A socket of this type as descriptor `at`; listening, if it shall. */
static void put_socket(int at, int type, bool listens)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, type, 0);

    NEED(bind(fd, (struct sockaddr *)&any, sizeof(any)) == 0 && (!listens || listen(fd, 8) == 0));
    NEED(fd == at || (dup2(fd, at) == at && close(fd) == 0));
}

static void put_environment(const char *count, const char *names)
{
    char pid[16];

    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    setenv("LISTEN_PID", pid, 1);
    setenv("LISTEN_FDS", count, 1);
    if (names != NULL)
        setenv("LISTEN_FDNAMES", names, 1);
}

/* Runs `play` in a process with nothing open from 3 on; it returns the line at which it went wrong, 0 for nothing. */
static void in_a_process(int (*play)(void))
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        closefrom(3);
        _exit(play());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("wrong at line %d (modulo 256)", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

#define HOLDS(what)          \
    do {                     \
        if (!(what))         \
            return __LINE__; \
    } while (0)

static int play_taken(void)
{
    struct sockets handed = {0}, s = {0}, next = {0};
    struct config c = {.workers = 3};
    struct config_listen l;
    enum config_role role;
    struct error err;
    struct buf list = {0};
    struct slice rest;
    bool bad = false;
    static const enum config_role roles[] = {CONFIG_ROLE_HTTPS, CONFIG_ROLE_ANY, CONFIG_ROLE_ADMIN};

    for (int i = 3; i < 6; i++)
        put_socket(i, SOCK_STREAM, true);
    put_environment("3", "https:crescent.socket:admin");
    HOLDS(sockets_inherit(&handed, &err) == 0);
    HOLDS(getenv("LISTEN_FDS") == NULL && getenv("LISTEN_PID") == NULL && getenv("LISTEN_FDNAMES") == NULL);
    HOLDS((fcntl(4, F_GETFD) & FD_CLOEXEC) && (fcntl(4, F_GETFL) & O_NONBLOCK));
    sockets_inherited(&handed, &list);
    rest = buf_slice(&list);
    HOLDS(buf_take_u32(&rest, &bad) == 3);
    for (size_t i = 0; i < 3; i++) {
        char *text = slice_dup(buf_take_string(&rest, &bad));

        HOLDS(config_parse_inherited(text, false, &l, &role, &err) == 0 && role == roles[i]);
        HOLDS(l.inherited && l.tls == (i == 0) && strcmp(l.host, "127.0.0.1") == 0 && l.port != 0);
        if (i < 2)
            *config_add_listen(&c) = l;
        else
            c.admin = l;
        free(text);
    }
    HOLDS(!bad && rest.len == 0);
    HOLDS(sockets_open(&s, &c, &handed, SOCKETS_PATIENCE, &err) == 0);
    sockets_close(&handed, &s);
    HOLDS(s.worker_count == 2 && s.keeper_count == 1 && s.worker[1].member == HERITAGE_SHARED);
    HOLDS(s.worker[1].listener == 1 && s.keeper[0].listener == HERITAGE_ADMIN);
    HOLDS(fcntl(3, F_GETFD) < 0); /* the set has its own */
    HOLDS(sockets_open(&next, &c, &s, (dur_t){0}, &err) == 0);
    sockets_close(&s, &next);
    HOLDS(listen(next.worker[0].fd, 8) == 0); /* it is one still */
    HOLDS(sockets_open(&s, &c, NULL, (dur_t){0}, &err) == -1 && strstr(err.text, "not handed over") != NULL);
    sockets_close(&next, NULL);
    config_free(&c);
    buf_free(&list);
    return 0;
}

static void what_is_handed_over_serves(void **state)
{
    in_a_process(play_taken);
}

static int refused(const char *words)
{
    struct sockets s = {0};
    struct error err;

    HOLDS(sockets_inherit(&s, &err) == -1);
    HOLDS(strstr(err.text, words) != NULL);
    HOLDS(s.place_count == 0 && getenv("LISTEN_FDS") == NULL);
    return 0;
}

static int play_datagram(void)
{
    put_socket(3, SOCK_DGRAM, false);
    put_environment("1", NULL);
    return refused("descriptor 3 (\"\") that was handed over: it is no stream socket");
}

static int play_not_listening(void)
{
    put_socket(3, SOCK_STREAM, true);
    put_socket(4, SOCK_STREAM, false);
    put_environment("2", "http:https");
    return refused("descriptor 4 (\"https\") that was handed over: it does not listen");
}

static int play_foreign(void)
{
    put_socket(3, SOCK_STREAM, true);
    put_environment("1", NULL);
    setenv("LISTEN_PID", "1", 1);
    return refused("LISTEN_PID in the environment is 1");
}

static int play_no_socket(void)
{
    NEED(open("/dev/null", O_RDONLY | O_CLOEXEC) == 3);
    put_environment("1", NULL);
    return refused("it is no socket");
}

static int play_names(void)
{
    put_socket(3, SOCK_STREAM, true);
    put_environment("1", "a:b");
    return refused("2 names for 1 sockets");
}

static int play_nothing(void)
{
    struct sockets s = {0};
    struct error err;
    struct buf list = {0};

    HOLDS(sockets_inherit(&s, &err) == 0 && s.place_count == 0);
    put_environment("0", NULL);
    HOLDS(sockets_inherit(&s, &err) == 0 && s.place_count == 0);
    sockets_inherited(&s, &list);
    HOLDS(list.len == 4);
    buf_free(&list);
    sockets_close(&s, NULL);
    return 0;
}

static void what_cannot_serve_is_refused(void **state)
{
    in_a_process(play_datagram);
    in_a_process(play_not_listening);
    in_a_process(play_foreign);
    in_a_process(play_no_socket);
    in_a_process(play_names);
}

static void nothing_handed_over_is_no_fault(void **state)
{
    in_a_process(play_nothing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_handed_over_serves),
        cmocka_unit_test(what_cannot_serve_is_refused),
        cmocka_unit_test(nothing_handed_over_is_no_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
