/*
 * stage.h: a supervisor in a process of its own, with a folder for its log and for its children's report, and ways to
 * wait for what stands in them.
 */
#ifndef TESTS_SUPERVISE_STAGE_H
#define TESTS_SUPERVISE_STAGE_H

#include "base/fd.h"
#include "base/log.h"
#include "supervise/supervise.h"

#include "../base/time_factor.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct stage {
    pid_t supervisor;
    char folder[64], report[96], log[96];
};

static inline char *slurp(const char *path)
{
    struct buf all = {0};

    fd_read_file(path, 1 << 20, &all, NULL);
    return buf_take(&all);
}

static inline int64_t now_ms(void)
{
    return mono_now().ns / 1000000;
}

/* The line of the file that holds `what`, the caller's to free; fails the test after `ms`, times the factor of slow
 * builds. */
static inline char *await_in(const char *path, const char *what, int ms)
{
    int64_t end = now_ms() + (int64_t)ms * time_factor();

    for (;;) {
        char *all = slurp(path), *at = strstr(all, what), *line = NULL;

        if (at != NULL) {
            while (at > all && at[-1] != '\n')
                at--;
            line = strndup(at, strcspn(at, "\n"));
        }
        if (line == NULL && now_ms() > end) {
            fprintf(stderr, "no \"%s\" in %s:\n%s\n", what, path, all);
            fail();
        }
        free(all);
        if (line != NULL)
            return line;
        usleep(1000);
    }
}

static inline void expect(struct stage *t, const char *what, int ms)
{
    free(await_in(t->report, what, ms));
}

static inline void expect_log(struct stage *t, const char *what, int ms)
{
    free(await_in(t->log, what, ms));
}

/* The pid in a report line such as "worker0/1 1234 born". */
static inline pid_t pid_of(struct stage *t, const char *who)
{
    char what[64], *line;
    pid_t pid;

    snprintf(what, sizeof(what), "%s ", who);
    line = await_in(t->report, what, 2000);
    pid = atoi(strchr(line, ' '));
    free(line);
    assert_true(pid > 1);
    return pid;
}

static inline bool reported(struct stage *t, const char *what)
{
    char *all = slurp(t->report);
    bool there = strstr(all, what) != NULL;

    free(all);
    return there;
}

static inline int run_supervisor(struct stage *t, uint32_t workers, const char *listen)
{
    struct config c;
    struct buf text = {0};
    int fd = open(t->log, O_WRONLY | O_CREAT | O_APPEND, 0600), sealed;

    dup2(fd, 2);
    close(fd);
    setenv("REPORT", t->report, 1);
    log_open(2, LOG_INFO, "supervisor", false);
    config_defaults(&c);
    free(c.hooks);
    c.hooks = need_strdup("/nowhere");
    c.workers = workers;
    c.drain = DUR_S(1);
    config_listen_free(&c.listen[0]);
    NEED(config_parse_listen(listen, false, &c.listen[0], NULL) == 0);
    NEED(config_listen_look_up(&c.listen[0], NULL) == 0);
    config_listen_free(&c.admin);
    NEED(config_parse_listen("127.0.0.1:0", false, &c.admin, NULL) == 0);
    config_write(&c, &text);
    sealed = fd_sealed("config", buf_slice(&text), NULL);
    struct supervise_start start = {
        .config = c, .config_text = sealed, .command_line = -1, .binary = open("/proc/self/exe", O_PATH | O_CLOEXEC)};
    NEED(notify_open(&start.notify, NULL) == 0);
    return supervise_run(&start);
}

static inline void raise_curtain(struct stage *t, uint32_t workers, const char *listen)
{
    strcpy(t->folder, "/tmp/crescent-test-XXXXXX");
    assert_non_null(mkdtemp(t->folder));
    snprintf(t->report, sizeof(t->report), "%s/report", t->folder);
    snprintf(t->log, sizeof(t->log), "%s/log", t->folder);
    close(open(t->report, O_CREAT | O_WRONLY, 0600));
    close(open(t->log, O_CREAT | O_WRONLY, 0600));
    t->supervisor = fork();
    if (t->supervisor == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0) /* a failed test leaves nothing behind */
        _exit(run_supervisor(t, workers, listen));
}

static inline int leave(struct stage *t, int ms)
{
    int64_t end = now_ms() + (int64_t)ms * time_factor();
    int status;

    while (waitpid(t->supervisor, &status, WNOHANG) == 0) {
        if (now_ms() > end) {
            kill(t->supervisor, SIGKILL);
            waitpid(t->supervisor, &status, 0);
            fail_msg("the supervisor did not leave; log:\n%s", slurp(t->log));
        }
        usleep(1000);
    }
    return status;
}

static inline void clear_away(struct stage *t)
{
    unlink(t->report);
    unlink(t->log);
    rmdir(t->folder);
}

static inline void drain_and_clear(struct stage *t)
{
    kill(t->supervisor, SIGTERM);
    assert_int_equal(leave(t, 5000), 0);
    clear_away(t);
}

/* Dead, be it that nobody has reaped it (its parent was killed, and not every machine's process 1 reaps). */
static inline bool gone(pid_t pid)
{
    char path[32], *text, *state;
    bool dead;

    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    text = slurp(path);
    state = strstr(text, "State:\t");
    dead = state == NULL || state[7] == 'Z' || state[7] == 'X';
    free(text);
    return dead;
}

static inline bool gone_soon(pid_t pid)
{
    for (int i = 0; i < 1000 && !gone(pid); i++)
        usleep(1000);
    return gone(pid);
}

/* The port in the "serving" record's first listen address. */
static inline int port_of(struct stage *t)
{
    char *line = await_in(t->log, "serving", 5000), *at = strstr(line, "\"listen\":[\"http://");
    int port;

    assert_non_null(at);
    at = strchr(at + 18, ':');
    if (line[0] != '\0' && strstr(line, "[::1]") != NULL)
        at = strstr(line, "]:") + 1;
    port = atoi(at + 1);
    free(line);
    assert_true(port > 0);
    return port;
}

#endif
