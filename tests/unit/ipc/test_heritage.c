/*
 * test_heritage.c: what a child is born with is read back as it was written; what is cut, not sealed, or names a
 * descriptor that is not open is refused; and who has taken one ends with its parent, and only with that one.
 */
#include "base/fd.h"
#include "base/panic.h"
#include "ipc/heritage.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int memory_file(const char *text)
{
    int fd = memfd_create("x", MFD_CLOEXEC);

    NEED(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    return fd;
}

static int take_over(const struct buf *text, bool sealed)
{
    int fd = sealed ? fd_sealed("heritage", buf_slice(text), NULL) : memory_file("unsealed");

    dup2(fd, HERITAGE_FD);
    return fd == HERITAGE_FD ? 0 : close(fd);
}

/* In a process of its own, since it uses descriptor 3. Returns what went wrong, 0 for nothing. */
static int read_back(const struct buf *text)
{
    struct heritage h;
    struct error err;
    int signal_of = 0;

    take_over(text, true);
    prctl(PR_SET_PDEATHSIG, 0); /* as after an exec of a binary with capabilities */
    if (heritage_read(&h, &err) != 0 || fcntl(HERITAGE_FD, F_GETFD) >= 0)
        return 1;
    if (h.kind != HERITAGE_WORKER || h.slot != 2 || h.member != 5 || h.edition != 3 || h.incarnation != 9 ||
        h.generation != 77 || h.supervisor != 40)
        return 2;
    if (h.area != 41 || h.config != 42 || h.snapshot != HERITAGE_NO_FD || h.extra != HERITAGE_NO_FD)
        return 3;
    if (h.bound == NULL || strcmp(h.bound, "127.0.0.1:8081 [::1]:8081") != 0)
        return 7;
    if (h.socket_count != 1 || h.sockets[0].fd != 43 || h.sockets[0].listener != 0 || h.sockets[0].member != UINT32_MAX)
        return 4;
    if (!(fcntl(43, F_GETFD) & FD_CLOEXEC))
        return 5;
    if (prctl(PR_GET_PDEATHSIG, &signal_of) != 0 || signal_of != SIGKILL)
        return 6;
    heritage_free(&h);
    return 0;
}

static int refuses(const struct buf *text, bool sealed)
{
    struct heritage h;
    struct error err = {""};

    take_over(text, sealed);
    return heritage_read(&h, &err) == -1 && strstr(err.text, "crescent itself") != NULL ? 0 : 1;
}

static int refuses_without_parent(struct heritage h)
{
    struct buf text = {0};
    struct error err = {""};
    int bad;

    h.parent++;
    heritage_write(&h, &text);
    take_over(&text, true);
    bad = heritage_read(&h, &err) == -1 && strstr(err.text, "has gone") != NULL ? 0 : 1;
    buf_free(&text);
    return bad;
}

static int heritage_cases(void)
{
    struct heritage_socket socket = {.fd = 43, .listener = 0, .member = UINT32_MAX, .members = 1};
    struct heritage h = {.kind = HERITAGE_WORKER,
                         .parent = getppid(),
                         .slot = 2,
                         .member = 5,
                         .edition = 3,
                         .incarnation = 9,
                         .bound = (char *)"127.0.0.1:8081 [::1]:8081",
                         .generation = 77,
                         .supervisor = 40,
                         .area = 41,
                         .config = 42,
                         .snapshot = HERITAGE_NO_FD,
                         .wake = HERITAGE_NO_FD,
                         .extra = HERITAGE_NO_FD,
                         .sockets = &socket,
                         .socket_count = 1};
    struct buf text = {0};
    int bad = 0;

    for (int fd = 40; fd < 44; fd++)
        dup2(2, fd);
    heritage_write(&h, &text);
    bad = read_back(&text);
    for (size_t len = text.len; bad == 0 && len-- > 0;) { /* any cut */
        text.len = len;
        bad = refuses(&text, true) ? 10 : 0;
    }
    buf_clear(&text);
    heritage_write(&h, &text);
    if (bad == 0 && refuses(&text, false))
        bad = 11;
    if (bad == 0 && refuses_without_parent(h))
        bad = 14;
    close(43); /* named, but not open */
    if (bad == 0 && refuses(&text, true))
        bad = 12;
    close(HERITAGE_FD); /* nothing there: somebody typed the hidden command */
    if (bad == 0 && (heritage_read(&h, NULL) != -1))
        bad = 13;
    buf_free(&text);
    return bad;
}

static void a_heritage_is_read_back_or_refused(void **state)
{
    int status;
    pid_t pid = fork();

    if (pid == 0)
        _exit(heritage_cases());
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_heritage_is_read_back_or_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
