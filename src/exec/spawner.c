/*
 * spawner.c: see spawner.h. In its order: the start, in the worker; the process's first steps; programs; the end.
 */
#include "exec/spawner.h"

#include "base/fd.h"
#include "base/list.h"
#include "base/log.h"
#include "base/panic.h"
#include "exec/descendants.h"
#include "exec/launch.h"
#include "ipc/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHANNEL_FD 3
#define KILL_GRACE DUR_MS(500)      /* after TERM: a git removes its lock files within it */
#define DESCRIPTORS 1024            /* a login's; the server's own limit is a trap for who closes them all */
#define STACK_BYTES (8ul << 20)     /* a login's; the worker's is for Lua */
#define HURRY 2000                  /* looks without a pause: what forks is to lose */
#define FORBIDDEN_PATIENCE DUR_S(5) /* for what runs as another user by now, and which nobody here may kill */

struct program {
    struct list link;
    uint64_t id;
    pid_t pid;      /* and its group's number */
    mono_t kill_at; /* it was told to end, and is killed then; MONO_NEVER: it was not told */
    bool collected; /* it has ended, others of its group may not have */
};

struct spawner {
    struct channel *channel;
    int signals;
    char *root; /* NULL: not told yet */
    bool any;
    struct buf allowed;
    struct list programs;
};

/* --- in the worker ------------------------------------------------------------------------------------------------ */

/* What its programs get, and what it takes to run the binary itself. */
static bool is_passed_on(const char *variable)
{
    static const char *const names[] = {"PATH=", "HOME=", "LANG=", "TZ=", "LD_"};
    struct slice name = {variable, strcspn(variable, "=")};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strncmp(variable, names[i], strlen(names[i])) == 0)
            return true;
    return slice_ends(name, SLICE("SAN_OPTIONS"));
}

static char **make_environment(void)
{
    size_t count = 0, kept = 0;

    while (environ[count] != NULL)
        count++;
    char **list = need_zero(count + 1, sizeof(*list));
    for (size_t i = 0; i < count; i++)
        if (is_passed_on(environ[i]))
            list[kept++] = environ[i];
    return list;
}

/* A session of its own: what is sent to the server's whole process group must not end it before its programs. */
static int spawn_self(const char *label, int channel, pid_t *pid_out)
{
    char *argv[] = {(char *)"crescent", (char *)"spawner", (char *)label, NULL};
    char **env = make_environment();
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int failed;

    NEED(posix_spawn_file_actions_init(&actions) == 0 && posix_spawnattr_init(&attributes) == 0);
    NEED(posix_spawn_file_actions_adddup2(&actions, channel, CHANNEL_FD) == 0);
    NEED(posix_spawn_file_actions_addclosefrom_np(&actions, CHANNEL_FD + 1) == 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
    failed = posix_spawn(pid_out, "/proc/self/exe", &actions, &attributes, argv, env);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    free(env);
    return failed;
}

int spawner_start(const char *label, pid_t *pid_out, int *channel_out, struct error *err)
{
    int ends[2], failed;

    if (channel_pair(ends) != 0)
        return error_errno(err, "cannot start a spawner: socketpair");
    failed = spawn_self(label, ends[1], pid_out);
    fd_close(&ends[1]);
    if (failed != 0) {
        fd_close(&ends[0]);
        errno = failed;
        return error_errno(err, "cannot start a spawner: /proc/self/exe");
    }
    *channel_out = ends[0];
    return 0;
}

/* --- its first steps ---------------------------------------------------------------------------------------------- */

static void limit_to(int which, rlim_t most)
{
    struct rlimit limit;

    if (getrlimit(which, &limit) != 0 || (limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur <= most))
        return;
    limit.rlim_cur = most;
    setrlimit(which, &limit);
}

/* Signals sent to servers by name or group are not for it; ends of programs arrive by a descriptor. */
static int open_signals(struct error *err)
{
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE, SIGXFSZ};
    sigset_t set;
    int fd;

    for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
        signal(ignored[i], SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd >= 0 ? fd : error_errno(err, "signalfd");
}

/* A number below 3 that is free would become a program's descriptor by the way. */
static int fill_standard(struct error *err)
{
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

    while (fd >= 0 && fd < CHANNEL_FD)
        fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return error_errno(err, "/dev/null");
    fd_close(&fd);
    return 0;
}

static int begin(struct spawner *x, struct error *err)
{
    struct stat st;

    if (fstat(CHANNEL_FD, &st) != 0 || !S_ISSOCK(st.st_mode))
        return error_set(err, "this command is run by crescent itself (descriptor %d)", CHANNEL_FD);
    fd_cloexec(CHANNEL_FD, true);
    prctl(PR_SET_NAME, "crescent spawner");                   /* run as /proc/self/exe it would be called `exe` */
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); /* what the server was given to bind a low port */
    descendants_adopt();
    limit_to(RLIMIT_NOFILE, DESCRIPTORS);
    limit_to(RLIMIT_STACK, STACK_BYTES);
    list_init(&x->programs);
    if (fill_standard(err) != 0 || (x->signals = open_signals(err)) < 0)
        return -1;
    x->channel = channel_new(CHANNEL_FD);
    return 0;
}

/* --- programs ----------------------------------------------------------------------------------------------------- */

static void tell_ended(struct spawner *x, uint64_t id, int status, const char *code, const char *words)
{
    channel_queue(
        x->channel,
        &(struct message){
            .type = MESSAGE_program_ended,
            .program_ended = {.id = id, .status = (uint32_t)status, .code = slice_of(code), .words = slice_of(words)}});
}

static struct program *find(struct spawner *x, uint64_t id, pid_t pid)
{
    for (struct list *l = x->programs.next; l != &x->programs; l = l->next) {
        struct program *p = CONTAINER_OF(l, struct program, link);

        if (pid != 0 ? p->pid == pid && !p->collected : p->id == id)
            return p;
    }
    return NULL;
}

static bool on_spawner(struct spawner *x, const struct message *m)
{
    if (x->root != NULL || slice_find(m->spawner.root, '\0') != SIZE_MAX)
        return false;
    x->root = slice_dup(m->spawner.root);
    x->any = m->spawner.any != 0;
    buf_add_slice(&x->allowed, m->spawner.allowed);
    return true;
}

static bool on_program(struct spawner *x, const struct message *m)
{
    const struct message_program *f = &m->program;
    const struct launch launch = {.root = x->root,
                                  .any = x->any,
                                  .allowed = buf_slice(&x->allowed),
                                  .arguments = f->arguments,
                                  .environment = f->environment,
                                  .cwd = f->cwd,
                                  .standard = {f->in, f->out, f->err}};
    const char *code = "";
    struct error err;
    pid_t pid;

    if (x->root == NULL)
        return false;
    if (launch_program(&launch, &pid, &code, &err) != 0) {
        tell_ended(x, f->id, 0, code, err.text);
        return true;
    }
    struct program *p = need_zero(1, sizeof(*p));
    *p = (struct program){.id = f->id, .pid = pid, .kill_at = MONO_NEVER};
    list_init(&p->link);
    list_add(&x->programs, &p->link);
    return true;
}

/* One that has ended meanwhile is no error: the two messages have met. */
static bool on_program_kill(struct spawner *x, const struct message *m)
{
    struct program *p = find(x, m->program_kill.id, 0);

    if (p == NULL || p->kill_at.ns != MONO_NEVER.ns)
        return true;
    kill(-p->pid, SIGTERM);
    p->kill_at = mono_add(mono_now(), KILL_GRACE);
    return true;
}

static bool handle(struct spawner *x, struct message *m)
{
    bool sense = false;

    switch (m->type) {
    case MESSAGE_spawner:
        sense = on_spawner(x, m);
        break;
    case MESSAGE_program:
        sense = on_program(x, m);
        break;
    case MESSAGE_program_kill:
        sense = on_program_kill(x, m);
        break;
    case MESSAGE_ping:
        channel_queue(x->channel, &(struct message){.type = MESSAGE_pong});
        sense = true;
        break;
    default:
        break;
    }
    messages_close(m);
    return sense;
}

/* False: the worker has gone, or is not to be trusted any more. */
static bool hear(struct spawner *x)
{
    struct message m;
    int got;

    channel_read(x->channel);
    while ((got = channel_next(x->channel, &m)) > 0)
        if (!handle(x, &m))
            return false;
    return got == 0;
}

/* Every end, also of orphans: they are nobody else's to collect. */
static void collect(struct spawner *x)
{
    struct signalfd_siginfo info;
    int status;
    pid_t pid;

    while (read(x->signals, &info, sizeof(info)) > 0)
        continue;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        struct program *p = find(x, 0, pid);

        if (p == NULL)
            continue;
        tell_ended(x, p->id, status, "", "");
        p->collected = true;
        if (p->kill_at.ns != MONO_NEVER.ns) /* the rest of its group has the same time */
            continue;
        list_remove(&p->link);
        free(p);
    }
}

/*
 * The group of a leader that was collected: its number may be another's by now, unless one of its members has become
 * ours, as all do whose parent has ended.
 */
static void kill_rest(const struct program *p)
{
    size_t count;
    pid_t *list = descendants_children(getpid(), &count);
    bool there = false;

    for (size_t i = 0; i < count; i++)
        there = there || getpgid(list[i]) == p->pid;
    free(list);
    if (there)
        kill(-p->pid, SIGKILL);
}

/* Kills who was to be gone by now. When is the next one due? */
static mono_t kill_due(struct spawner *x, mono_t now)
{
    mono_t next = MONO_NEVER;

    for (struct list *l = x->programs.next, *after; l != &x->programs; l = after) {
        struct program *p = CONTAINER_OF(l, struct program, link);

        after = l->next;
        if (!mono_before(now, p->kill_at) && p->collected) {
            kill_rest(p);
            list_remove(&p->link);
            free(p);
            continue;
        }
        if (!mono_before(now, p->kill_at)) {
            kill(-p->pid, SIGKILL);
            p->kill_at = mono_add(now, KILL_GRACE); /* until it is collected */
        }
        next = mono_before(p->kill_at, next) ? p->kill_at : next;
    }
    return next;
}

static void run(struct spawner *x)
{
    bool heard = true;

    while (heard) {
        mono_t now = mono_now(), next = kill_due(x, now);
        int wait = next.ns == MONO_NEVER.ns ? -1 : (int)dur_ms_up(mono_since(next, now));
        struct pollfd fds[] = {
            {.fd = channel_fd(x->channel), .events = (short)(POLLIN | (channel_wants_write(x->channel) ? POLLOUT : 0))},
            {.fd = x->signals, .events = POLLIN},
        };

        if (poll(fds, 2, wait) < 0)
            continue;
        if (fds[1].revents != 0)
            collect(x);
        if (fds[0].revents & ~POLLOUT)
            heard = hear(x);
        channel_write(x->channel);
    }
}

/* --- the end ------------------------------------------------------------------------------------------------------ */

/*
 * A signal to a group leaves no gap for a fork, so these go first. Each is of a session that a program of ours began
 * (nobody can join one from elsewhere), and its number is not given away while a member is not collected.
 */
static void kill_groups(void)
{
    size_t count;
    pid_t *list = descendants_children(getpid(), &count);

    for (size_t i = 0; i < count; i++) {
        pid_t group = getpgid(list[i]);

        if (group > 1 && group != getpgrp())
            kill(-group, SIGKILL);
    }
    free(list);
}

/* Until a look finds nobody, however far below. */
static void end_all(void)
{
    mono_t began = mono_now();
    enum descendants_left left;

    kill_groups();
    for (unsigned looks = 0; (left = descendants_kill(NULL, NULL)) != DESCENDANTS_NONE; looks++) {
        if (left == DESCENDANTS_FORBIDDEN && mono_since(mono_now(), began).ns > FORBIDDEN_PATIENCE.ns) {
            log_at(LOG_ERROR, "programs of another user outlive their worker: they cannot be killed");
            return;
        }
        if (looks < HURRY)
            sched_yield();
        else
            poll(NULL, 0, 5); /* it hangs in the system: a disk, a network file system */
    }
}

/* What programs expect, which our own processes have more of: the system's own stack, and as many descriptors as a
 * `select` can hold. */
static void usual_limits(void)
{
    static const struct {
        int what;
        rlim_t usual;
    } limits[] = {{RLIMIT_STACK, 8u << 20}, {RLIMIT_NOFILE, 1024}};
    struct rlimit limit;

    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
        if (getrlimit(limits[i].what, &limit) == 0 && limit.rlim_cur > limits[i].usual) {
            limit.rlim_cur = limits[i].usual;
            setrlimit(limits[i].what, &limit);
        }
}

int spawner_main(const char *label)
{
    static char name[32];
    struct spawner x = {.signals = -1};
    struct error err;

    snprintf(name, sizeof(name), "spawner%s%.12s", label != NULL ? " " : "", label != NULL ? label : "");
    log_open(STDERR_FILENO, LOG_INFO, name, isatty(STDERR_FILENO) == 1 ? LOG_COLOURED : LOG_JSON_LINES);
    panic_process(name);
    usual_limits();
    if (begin(&x, &err) != 0) {
        log_at(LOG_ERROR, "spawner cannot start", LOG_STR("error", err.text));
        return 1;
    }
    run(&x);
    end_all();
    _exit(0);
}
