/*
 * test_supervise.c: the supervisor with real processes. The children are this binary again (the supervisor runs what
 * /proc/self/exe names), so main() plays keeper, worker and trial: they append what they see to a report, and do on a
 * signal what a sick child does.
 */
#include "base/fd.h"
#include "base/log.h"
#include "base/panic.h"
#include "ipc/channel.h"
#include "ipc/heritage.h"
#include "shm/area.h"
#include "supervise/supervise.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* ---------------------------------------------------------------- the fake children */

struct fake {
    struct heritage h;
    struct channel *up, *peer;
    struct area *area;
    char name[32];
};
static volatile sig_atomic_t order; /* the signal that came */

static void on_order(int number)
{
    order = number;
}

__attribute__((format(printf, 2, 3))) static void report(const struct fake *f, const char *format, ...)
{
    char line[512];
    int fd = open(getenv("REPORT"), O_WRONLY | O_APPEND | O_CLOEXEC), n;
    va_list args;

    n = snprintf(line, sizeof(line), "%s/%u %d ", f->name, f->h.incarnation, (int)getpid());
    va_start(args, format);
    n += vsnprintf(line + n, sizeof(line) - (size_t)n - 1, format, args);
    va_end(args);
    line[n++] = '\n';
    NEED(write(fd, line, (size_t)n) == n);
    close(fd);
}

static size_t open_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    size_t count = 0;

    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count - 3; /* ".", "..", and the folder itself */
}

static void fake_tell(struct fake *f, struct message m)
{
    channel_send(f->up, &m);
    channel_flush(f->up);
}

static void fake_keeper_hears(struct fake *f, const struct message *m)
{
    switch (m->type) {
    case MESSAGE_died:
        report(f, "told died %u/%u script=%.*s version=%llu preparing=%u", m->died.index, m->died.incarnation,
               SLICE_ARG(m->died.script), (unsigned long long)m->died.script_version, m->died.preparing);
        break;
    case MESSAGE_trial:
        report(f, "told trial %u", m->trial.id);
        f->peer = channel_new(m->trial.socket);
        break;
    case MESSAGE_trial_ended:
        report(f, "told trial_ended %u status=%x words=%.*s", m->trial_ended.id, m->trial_ended.status,
               SLICE_ARG(m->trial_ended.words));
        break;
    case MESSAGE_snapshot_kept:
        report(f, "told snapshot_kept %llu", (unsigned long long)m->snapshot_kept.generation);
        break;
    case MESSAGE_peer:
        report(f, "told peer %u/%u", m->peer.index, m->peer.incarnation);
        close(m->peer.socket);
        break;
    default:
        break;
    }
}

static void fake_hears(struct fake *f, const struct message *m)
{
    if (m->type == MESSAGE_ping)
        fake_tell(f, (struct message){.type = MESSAGE_pong, .pong = {.sequence = m->ping.sequence}});
    else if (m->type == MESSAGE_drain) {
        report(f, "drains within %llu", (unsigned long long)m->drain.deadline_ms);
        if (f->h.kind == HERITAGE_KEEPER ? m->drain.deadline_ms == 0 : getenv("STUBBORN") == NULL)
            exit(0);
    } else if (m->type == MESSAGE_adopt)
        report(f, "adopts %u", m->adopt.member);
    else if (m->type == MESSAGE_release)
        report(f, "releases %u", m->release.member);
    else if (f->h.kind == HERITAGE_KEEPER)
        fake_keeper_hears(f, m);
    else if (m->type == MESSAGE_peer) {
        report(f, "has keeper/%u", m->peer.incarnation);
        close(m->peer.socket);
    }
}

static void be_stuck(struct fake *f)
{
    progress_begin(&f->area->worker[f->h.index].progress, "bad/loop", 7, true);
    fputs("last words\n", stderr);
    for (;;)
        __asm__ volatile("");
}

static void fake_obeys(struct fake *f)
{
    int number = order, fd;

    order = 0;
    if (number == SIGUSR1 && f->h.kind == HERITAGE_WORKER)
        be_stuck(f);
    if (number == SIGUSR2) /* bytes that are no message */
        NEED(write(channel_fd(f->up), "GET / HTTP/1.1\r\n", 16) == 16);
    if (number == SIGUSR1) {
        fd = memfd_create("candidate", MFD_CLOEXEC);
        fake_tell(f, (struct message){.type = MESSAGE_try_scripts, .try_scripts = {.id = 5, .candidate = fd}});
    }
    if (number == SIGALRM) { /* keeper: generation 1 goes live */
        fd = memfd_create("snapshot", MFD_CLOEXEC);
        fake_tell(f, (struct message){.type = MESSAGE_snapshot, .snapshot = {.generation = 1, .snapshot = fd}});
        atomic_store(&f->area->generation, 1);
    }
    if (number == SIGWINCH) /* worker: what only a keeper may say */
        fake_tell(f, (struct message){.type = MESSAGE_flip, .flip = {.generation = 9}});
    if (number == SIGVTALRM) /* a death by itself */
        _exit(3);
}

static void fake_serve(struct fake *f)
{
    struct pollfd p = {.fd = channel_fd(f->up), .events = POLLIN};
    struct message m;
    int got = 0;

    while (got >= 0) {
        if (order != 0)
            fake_obeys(f);
        if (poll(&p, 1, 20) > 0)
            channel_read(f->up);
        while ((got = channel_next(f->up, &m)) > 0)
            fake_hears(f, &m);
    }
}

/* A trial: says one word to the keeper and goes. */
static int fake_trial(struct fake *f)
{
    struct channel *c = channel_new(f->h.extra);
    struct rlimit stack;

    getrlimit(RLIMIT_STACK, &stack);
    report(f, "trial stack=%lu", (unsigned long)stack.rlim_cur);
    channel_send(c, &(struct message){.type = MESSAGE_tried_all, .tried_all = {.count = 1}});
    channel_flush(c);
    channel_free(&c);
    heritage_free(&f->h);
    return 4;
}

static int fake_main(const char *kind, const char *label)
{
    static const int orders[] = {SIGUSR1, SIGUSR2, SIGALRM, SIGWINCH, SIGVTALRM};
    struct fake f = {0};
    struct error err;
    sigset_t mask;
    int seals = 0;

    for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++)
        signal(orders[i], on_order);
    if (heritage_read(&f.h, &err) != 0) {
        fprintf(stderr, "fake: %s\n", err.text);
        return 9;
    }
    snprintf(f.name, sizeof(f.name), "%s%s", kind, label != NULL ? label : "");
    if (f.h.kind == HERITAGE_TRIAL)
        return fake_trial(&f);
    if (getenv("STILLBORN") != NULL)
        return 1;
    sigprocmask(SIG_SETMASK, NULL, &mask);
    seals = fcntl(f.h.config, F_GET_SEALS);
    report(&f, "born fds=%zu sockets=%zu generation=%llu snapshot=%s blocked=%d sealed=%d", open_descriptors(),
           f.h.socket_count, (unsigned long long)f.h.generation, f.h.snapshot >= 0 ? "yes" : "no",
           sigismember(&mask, SIGTERM), (seals & F_SEAL_WRITE) != 0);
    f.up = channel_new(f.h.supervisor);
    if ((f.area = area_map(f.h.area, &err)) == NULL)
        return 9;
    if (f.h.kind == HERITAGE_WORKER)
        area_capture_stderr(f.area, f.h.index);
    fake_tell(&f, (struct message){.type = MESSAGE_ready, .ready = {.incarnation = f.h.incarnation}});
    fake_serve(&f);
    return 0;
}

/* ---------------------------------------------------------------- the test's side */

struct stage {
    pid_t supervisor;
    char folder[64], report[96], log[96];
};

static char *slurp(const char *path)
{
    struct buf all = {0};

    fd_read_file(path, 1 << 20, &all, NULL);
    return buf_take(&all);
}

static int64_t now_ms(void)
{
    return mono_now().ns / 1000000;
}

/* The line of the file that holds `what`, the caller's to free; fails the test after `ms`. */
static char *await_in(const char *path, const char *what, int ms)
{
    int64_t end = now_ms() + ms;

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

static void expect(struct stage *t, const char *what, int ms)
{
    free(await_in(t->report, what, ms));
}

static void expect_log(struct stage *t, const char *what, int ms)
{
    free(await_in(t->log, what, ms));
}

/* The pid in a report line such as "worker0/1 1234 born". */
static pid_t pid_of(struct stage *t, const char *who)
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

static bool reported(struct stage *t, const char *what)
{
    char *all = slurp(t->report);
    bool there = strstr(all, what) != NULL;

    free(all);
    return there;
}

static int run_supervisor(struct stage *t, uint32_t workers, const char *listen)
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
    config_listen_free(&c.admin);
    NEED(config_parse_listen("127.0.0.1:0", false, &c.admin, NULL) == 0);
    config_write(&c, &text);
    sealed = fd_sealed("config", buf_slice(&text), NULL);
    return supervise_run(&c, sealed);
}

static void raise_curtain(struct stage *t, uint32_t workers, const char *listen)
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

static int leave(struct stage *t, int ms)
{
    int64_t end = now_ms() + ms;
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

static void clear_away(struct stage *t)
{
    unlink(t->report);
    unlink(t->log);
    rmdir(t->folder);
}

static void drain_and_clear(struct stage *t)
{
    kill(t->supervisor, SIGTERM);
    assert_int_equal(leave(t, 5000), 0);
    clear_away(t);
}

/* Dead, be it that nobody has reaped it (its parent was killed, and not every machine's process 1 reaps). */
static bool gone(pid_t pid)
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

static bool gone_soon(pid_t pid)
{
    for (int i = 0; i < 1000 && !gone(pid); i++)
        usleep(1000);
    return gone(pid);
}

/* The port in the "serving" record's first listen address. */
static int port_of(struct stage *t)
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

/* ---------------------------------------------------------------- promises */

static void children_are_born_with_what_the_heritage_names_and_no_more(void **state)
{
    struct stage t;

    raise_curtain(&t, 2, "127.0.0.1:0");
    expect_log(&t, "serving", 5000);
    expect_log(&t, "\"admin\":\"http://127.0.0.1:", 100);
    /* 0, 1, 2, supervisor, area, config, and sockets: one group of two members; the admin listener */
    expect(&t, "born fds=8 sockets=2 generation=0 snapshot=no blocked=0 sealed=1", 1000);
    expect(&t, "born fds=7 sockets=1 generation=0 snapshot=no blocked=0 sealed=1", 1000);
    expect(&t, "told peer 0/1", 1000);
    expect(&t, "told peer 1/1", 1000);
    expect(&t, "has keeper/1", 1000);
    drain_and_clear(&t);
}

static void a_killed_worker_is_back_at_once_and_others_accept_for_it(void **state)
{
    struct stage t;
    int64_t start;

    raise_curtain(&t, 2, "127.0.0.1:0");
    expect_log(&t, "serving", 5000);
    pid_of(&t, "worker1/1");
    usleep(100000);
    start = now_ms();
    kill(pid_of(&t, "worker0/1"), SIGKILL);
    expect(&t, "worker0/2", 1000);
    assert_true(now_ms() - start < 100);
    expect(&t, "adopts 0", 1000);
    expect(&t, "releases 0", 1000);
    expect(&t, "told died 0/1 script= version=0 preparing=0", 1000);
    expect(&t, "told peer 0/2", 1000);
    expect_log(&t, "worker 0 died", 100);
    expect_log(&t, "signal 9", 100);
    drain_and_clear(&t);
}

static void a_killed_keeper_is_back_and_linked_with_every_worker(void **state)
{
    struct stage t;

    raise_curtain(&t, 2, "127.0.0.1:0");
    expect_log(&t, "serving", 5000);
    expect(&t, "worker1/1", 1000);
    kill(pid_of(&t, "keeper/1"), SIGKILL);
    expect(&t, "keeper/2", 1000);
    expect(&t, "has keeper/2", 1000);
    drain_and_clear(&t);
}

static void a_new_child_starts_from_the_live_snapshot(void **state)
{
    struct stage t;
    char what[64];

    raise_curtain(&t, 1, "127.0.0.1:0");
    expect_log(&t, "serving", 5000);
    kill(pid_of(&t, "keeper/1"), SIGALRM);
    expect(&t, "told snapshot_kept 1", 1000);
    kill(pid_of(&t, "worker0/1"), SIGKILL);
    expect(&t, "generation=1 snapshot=yes", 1000);
    kill(pid_of(&t, "keeper/1"), SIGKILL);
    snprintf(what, sizeof(what), "keeper/2 %d born fds=8 sockets=1 generation=1 snapshot=yes", pid_of(&t, "keeper/2"));
    expect(&t, what, 1000);
    drain_and_clear(&t);
}

static void a_trial_runs_with_a_deep_stack_and_its_end_is_told(void **state)
{
    struct stage t;

    raise_curtain(&t, 1, "127.0.0.1:0");
    expect_log(&t, "serving", 5000);
    kill(pid_of(&t, "keeper/1"), SIGUSR1);
    expect(&t, "trial stack=67108864", 2000);
    expect(&t, "told trial 5", 1000);
    expect(&t, "told trial_ended 5 status=400 words=", 1000);
    drain_and_clear(&t);
}

static void a_worker_stuck_in_a_script_is_killed_and_the_script_named(void **state)
{
    struct stage t;
    int64_t start;

    raise_curtain(&t, 2, "127.0.0.1:0");
    expect_log(&t, "serving", 5000);
    start = now_ms();
    kill(pid_of(&t, "worker0/1"), SIGUSR1);
    expect(&t, "worker0/2", 8000);
    assert_true(now_ms() - start >= 1250); /* max_run 250 ms and a second of CPU time */
    expect_log(&t, "worker 0 killed: stuck in script bad/loop", 100);
    expect_log(&t, "last words", 100);
    expect(&t, "told died 0/1 script=bad/loop version=7 preparing=1", 1000);
    drain_and_clear(&t);
}

/* "A worker SIGSTOPped is caught", and while it stands still its connections are others' to accept. */
static void a_queue_that_stands_still_is_given_to_others(void **state)
{
    struct stage t;
    struct sockaddr_in to = {.sin_family = AF_INET};
    int fds[64];

    raise_curtain(&t, 2, "127.0.0.1:0");
    to.sin_port = htons((uint16_t)port_of(&t));
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    expect(&t, "worker1/1", 1000);
    usleep(100000);
    assert_false(reported(&t, "adopts 0") && reported(&t, "adopts 1"));
    for (int i = 0; i < 64; i++) { /* nobody accepts here: both members get some */
        fds[i] = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(connect(fds[i], (struct sockaddr *)&to, sizeof(to)), 0);
    }
    expect(&t, "adopts 0", 1000);
    expect(&t, "adopts 1", 1000);
    for (int i = 0; i < 64; i++)
        close(fds[i]);
    drain_and_clear(&t);
}

static void a_childs_bad_bytes_end_that_child_only(void **state)
{
    struct stage t;

    raise_curtain(&t, 2, "127.0.0.1:0");
    expect_log(&t, "serving", 5000);
    kill(pid_of(&t, "worker0/1"), SIGUSR2);
    expect(&t, "worker0/2", 1000);
    expect_log(&t, "worker 0 killed: its message to the supervisor: another version of messages", 100);
    kill(pid_of(&t, "worker1/1"), SIGWINCH);
    expect(&t, "worker1/2", 1000);
    expect_log(&t, "worker 1 killed: its message to the supervisor: flip", 100);
    kill(pid_of(&t, "keeper/1"), SIGUSR2);
    expect(&t, "keeper/2", 1000);
    drain_and_clear(&t);
}

static void deaths_that_go_on_are_slowed_down(void **state)
{
    struct stage t;
    int64_t start;
    char who[16];

    raise_curtain(&t, 1, "127.0.0.1:0");
    expect_log(&t, "serving", 5000);
    for (int i = 1; i <= 4; i++) {
        snprintf(who, sizeof(who), "worker0/%d", i);
        kill(pid_of(&t, who), SIGVTALRM);
    }
    start = now_ms();
    expect(&t, "worker0/5", 2000);
    assert_true(now_ms() - start >= 70); /* 100 ms after the fourth death, which comes up to 20 ms after its signal */
    drain_and_clear(&t);
}

static void a_start_that_cannot_work_is_given_up(void **state)
{
    struct stage t;

    setenv("STILLBORN", "1", 1);
    raise_curtain(&t, 2, "127.0.0.1:0");
    unsetenv("STILLBORN");
    assert_int_equal(WEXITSTATUS(leave(&t, 5000)), 1);
    expect_log(&t, "cannot start: ", 100);
    clear_away(&t);
}

static void a_taken_port_is_one_clear_line(void **state)
{
    struct stage t, second;
    char listen_on[32], line[96];

    raise_curtain(&t, 2, "127.0.0.1:0");
    snprintf(listen_on, sizeof(listen_on), "127.0.0.1:%d", port_of(&t));
    raise_curtain(&second, 2, listen_on);
    assert_int_equal(WEXITSTATUS(leave(&second, 5000)), 1);
    snprintf(line, sizeof(line), "crescent: cannot listen on %s: Address already in use", listen_on);
    expect_log(&second, line, 100);
    assert_false(reported(&second, "born"));
    clear_away(&second);
    drain_and_clear(&t);
}

static void ipv6_and_host_names_listen_too(void **state)
{
    struct stage t;

    raise_curtain(&t, 1, "[::1]:0");
    expect_log(&t, "\"listen\":[\"http://[::1]:", 5000);
    drain_and_clear(&t);
    raise_curtain(&t, 1, "localhost:0");
    expect_log(&t, "\"http://127.0.0.1:", 5000);
    drain_and_clear(&t);
    raise_curtain(&t, 1, "no-such-host.invalid:0");
    assert_int_equal(WEXITSTATUS(leave(&t, 20000)), 1);
    expect_log(&t, "cannot listen on no-such-host.invalid:0: ", 100);
    clear_away(&t);
}

static void the_supervisors_sudden_death_ends_all_and_frees_the_port(void **state)
{
    struct stage t, next;
    char listen_on[32];
    pid_t keeper, worker;

    raise_curtain(&t, 2, "127.0.0.1:0");
    snprintf(listen_on, sizeof(listen_on), "127.0.0.1:%d", port_of(&t));
    keeper = pid_of(&t, "keeper/1");
    worker = pid_of(&t, "worker0/1");
    kill(t.supervisor, SIGKILL);
    assert_true(WIFSIGNALED(leave(&t, 2000)));
    raise_curtain(&next, 2, listen_on);
    assert_true(gone_soon(keeper));
    assert_true(gone_soon(worker));
    expect_log(&next, "serving", 5000);
    clear_away(&t);
    drain_and_clear(&next);
}

static void term_drains_workers_first_and_ignores_what_a_terminal_sends_to_children(void **state)
{
    struct stage t;
    char *all;

    raise_curtain(&t, 2, "127.0.0.1:0");
    expect_log(&t, "serving", 5000);
    kill(pid_of(&t, "worker0/1"), SIGINT); /* as a terminal does, to the whole group */
    kill(t.supervisor, SIGHUP);
    expect_log(&t, "not supported yet", 1000);
    kill(t.supervisor, SIGUSR1);
    expect_log(&t, "USR1 is ignored", 1000);
    assert_false(reported(&t, "worker0/2"));
    kill(t.supervisor, SIGTERM);
    assert_int_equal(leave(&t, 5000), 0);
    all = slurp(t.report);
    assert_non_null(strstr(all, "drains within 1000"));
    assert_true(strstr(strstr(all, "drains within 1000"), "drains within 0") != NULL); /* the keeper, last */
    free(all);
    clear_away(&t);
}

static void who_does_not_leave_is_killed_at_the_deadline_or_by_a_second_signal(void **state)
{
    struct stage t;
    int64_t start;
    pid_t worker;

    setenv("STUBBORN", "1", 1);
    raise_curtain(&t, 1, "127.0.0.1:0");
    expect_log(&t, "serving", 5000);
    worker = pid_of(&t, "worker0/1");
    start = now_ms();
    kill(t.supervisor, SIGTERM);
    assert_int_equal(leave(&t, 5000), 0);
    assert_in_range(now_ms() - start, 950, 3500);
    assert_true(gone_soon(worker));
    clear_away(&t);
    raise_curtain(&t, 1, "127.0.0.1:0");
    expect_log(&t, "serving", 5000);
    start = now_ms();
    kill(t.supervisor, SIGTERM);
    expect(&t, "drains", 1000);
    kill(t.supervisor, SIGINT);
    assert_int_equal(leave(&t, 5000), 0);
    assert_true(now_ms() - start < 900);
    unsetenv("STUBBORN");
    clear_away(&t);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(children_are_born_with_what_the_heritage_names_and_no_more),
        cmocka_unit_test(a_killed_worker_is_back_at_once_and_others_accept_for_it),
        cmocka_unit_test(a_killed_keeper_is_back_and_linked_with_every_worker),
        cmocka_unit_test(a_new_child_starts_from_the_live_snapshot),
        cmocka_unit_test(a_trial_runs_with_a_deep_stack_and_its_end_is_told),
        cmocka_unit_test(a_worker_stuck_in_a_script_is_killed_and_the_script_named),
        cmocka_unit_test(a_queue_that_stands_still_is_given_to_others),
        cmocka_unit_test(a_childs_bad_bytes_end_that_child_only),
        cmocka_unit_test(deaths_that_go_on_are_slowed_down),
        cmocka_unit_test(a_start_that_cannot_work_is_given_up),
        cmocka_unit_test(a_taken_port_is_one_clear_line),
        cmocka_unit_test(ipv6_and_host_names_listen_too),
        cmocka_unit_test(the_supervisors_sudden_death_ends_all_and_frees_the_port),
        cmocka_unit_test(term_drains_workers_first_and_ignores_what_a_terminal_sends_to_children),
        cmocka_unit_test(who_does_not_leave_is_killed_at_the_deadline_or_by_a_second_signal),
    };

    if (argc > 1)
        return fake_main(argv[1], argc > 2 ? argv[2] : NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
