/*
 * takeover.c: the state in bytes, the exec, and the state out of bytes; see takeover.h. What must keep its form between
 * versions is OFFER_STATE in offer.h: another form is another number, and no exec.
 */
#include "supervise/takeover.h"

#include "base/fd.h"
#include "base/panic.h"
#include "supervise/child.h"
#include "supervise/trials.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define STATE_ENV "CRESCENT_TAKEOVER" /* "17", or "17 rehearsal" */
#define STATE_MAGIC 0x316b6f74u       /* "tok1" */

/* --- a quiet moment --- */

static bool quiet(const struct child *c)
{
    return c->channel == NULL || channel_why(c->channel) != NULL || channel_quiet(c->channel);
}

bool takeover_quiet(const struct supervisor *s)
{
    if (!trials_none(s) || s->upgrade.candidate.pid != 0 || !quiet(&s->keeper))
        return false;
    for (uint32_t i = 0; i < s->places; i++)
        if (!quiet(&s->workers[i]))
            return false;
    return true;
}

/* --- the descriptors --- */

static int channel_of(const struct child *c)
{
    return c->channel != NULL && channel_why(c->channel) == NULL ? channel_fd(c->channel) : -1;
}

/* All that the state names: they stay open over the exec, or do so no more. */
static int inheritable(const struct supervisor *s, const struct edition *e, bool on)
{
    const int fds[] = {s->area_fd, s->logbook.wake,      s->command_line,      e->config_text,
                       e->binary,  e->snapshots.live.fd, e->snapshots.next.fd, channel_of(&s->keeper)};
    int done = sockets_inheritable(&e->sockets, on);

    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
        if (fds[i] >= 0 && fd_cloexec(fds[i], !on) != 0)
            done = -1;
    for (uint32_t i = 0; i < s->places; i++)
        if (channel_of(&s->workers[i]) >= 0 && fd_cloexec(channel_of(&s->workers[i]), !on) != 0)
            done = -1;
    return done;
}

/* --- the state as bytes --- */

static void add_time(struct buf *out, mono_t at)
{
    buf_add_u64(out, (uint64_t)at.ns);
}

static void write_child(struct buf *out, const struct supervisor *s, const struct child *c)
{
    buf_add_u32(out, c->edition == s->now);
    buf_add_u32(out, c->number);
    buf_add_u32(out, c->slot);
    buf_add_u32(out, c->member);
    buf_add_u32(out, c->incarnation);
    buf_add_u32(out, (uint32_t)c->pid);
    buf_add_u32(out, (uint32_t)channel_of(c));
    buf_add_u32(out, c->ready);
    buf_add_u32(out, c->doomed);
    buf_add_u32(out, c->orphaned);
    buf_add_u32(out, c->stillborn);
    add_time(out, c->born);
    add_time(out, c->died);
    add_time(out, c->start_at);
    add_time(out, c->leave_by);
    add_time(out, c->silent_since);
    buf_add_u32(out, c->restart.count);
    for (unsigned i = 0; i < RESTART_FREE; i++)
        add_time(out, c->restart.deaths[i]);
    buf_add_u64(out, (uint64_t)c->restart.wait.ns);
    buf_add_u32(out, c->pulse.owed);
    buf_add_u32(out, c->pulse.sequence);
    add_time(out, c->pulse.at);
}

static void write_held(struct buf *out, const struct snapshot_held *held)
{
    buf_add_u64(out, held->generation);
    buf_add_u32(out, (uint32_t)held->fd);
}

static void write_edition(struct buf *out, const struct edition *e)
{
    struct buf sockets = {0};

    buf_add_u32(out, e->number);
    buf_add_string(out, slice_of(e->version));
    buf_add_u32(out, (uint32_t)e->config_text);
    buf_add_u32(out, (uint32_t)e->binary);
    write_held(out, &e->snapshots.live);
    write_held(out, &e->snapshots.next);
    sockets_write(&e->sockets, &sockets);
    buf_add_string(out, buf_slice(&sockets));
    buf_free(&sockets);
}

static void write_state(struct buf *out, const struct supervisor *s, const struct edition *e)
{
    buf_add_u32(out, STATE_MAGIC);
    write_edition(out, e);
    buf_add_u32(out, (uint32_t)s->command_line);
    buf_add_string(out, slice_of(s->binary_path));
    buf_add_u32(out, (uint32_t)s->area_fd);
    buf_add_u32(out, (uint32_t)s->logbook.wake);
    buf_add_u32(out, s->upgrade.again);
    buf_add_string(out, slice_of(s->upgrade.before));
    add_time(out, s->upgrade.began);
    bound_write(&s->bound, out);
    write_child(out, s, &s->keeper);
    buf_add_u32(out, s->places);
    for (uint32_t i = 0; i < s->places; i++)
        write_child(out, s, &s->workers[i]);
}

static int make_state(const struct supervisor *s, const struct edition *e, struct error *err)
{
    struct buf bytes = {0};
    int fd;

    write_state(&bytes, s, e);
    fd = fd_sealed("crescent-takeover", buf_slice(&bytes), err);
    buf_free(&bytes);
    return fd;
}

/* --- the exec --- */

/* The process's arguments as they are, so that ps shows the same before and after; ends with NULL. */
static char **own_arguments(struct error *err)
{
    struct buf text = {0};
    struct slice rest, one;
    char **argv = NULL;
    size_t count = 0;

    if (fd_read_file("/proc/self/cmdline", 1u << 20, &text, err) != 0 || text.len == 0) {
        buf_free(&text);
        error_prefix(err, "the own command line");
        return NULL;
    }
    rest = (struct slice){text.at, text.len - 1}; /* each ends with a NUL, the last one, too */
    argv = need_zero(text.len + 1, sizeof(*argv));
    while (slice_cut(&rest, '\0', &one))
        argv[count++] = slice_dup(one);
    buf_free(&text);
    return argv;
}

static void free_arguments(char **argv)
{
    for (char **one = argv; one != NULL && *one != NULL; one++)
        free(*one);
    free(argv);
}

/* Becomes e's binary with the state; returns only when that failed, errno says why. */
static void become(struct supervisor *s, const struct edition *e, int state, char **argv, bool rehearsal)
{
    char value[32];
    int why;

    snprintf(value, sizeof(value), rehearsal ? "%d rehearsal" : "%d", state);
    setenv(STATE_ENV, value, 1);
    notify_restore(&s->notify);
    if (fd_cloexec(state, false) == 0 && inheritable(s, e, true) == 0)
        execveat(e->binary, "", argv, environ, AT_EMPTY_PATH);
    why = errno;
    inheritable(s, e, false);
    unsetenv(STATE_ENV);
    errno = why;
}

int takeover_rehearse(struct supervisor *s, const struct edition *e, pid_t *pid_out, struct error *err)
{
    int state = make_state(s, e, err);
    char **argv = state >= 0 ? own_arguments(err) : NULL;
    pid_t parent = getpid(), pid = -1;

    if (argv != NULL && (pid = fork()) < 0)
        error_errno(err, "fork");
    if (pid == 0) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent)
            become(s, e, state, argv, true);
        _exit(127);
    }
    free_arguments(argv);
    fd_close(&state);
    *pid_out = pid;
    return pid > 0 ? 0 : -1;
}

int takeover_exec(struct supervisor *s, struct error *err)
{
    struct notify again;
    int state = make_state(s, s->now, err);
    char **argv = state >= 0 ? own_arguments(err) : NULL;

    if (argv == NULL) {
        fd_close(&state);
        return -1;
    }
    become(s, s->now, state, argv, false);
    error_errno(err, "exec");
    free_arguments(argv);
    fd_close(&state);
    /* The variables are back in the environment: taken out again, so that no child sees them. */
    if (notify_open(&again, NULL) == 0) {
        notify_close(&s->notify);
        s->notify = again;
    }
    return -1;
}

/* --- in the new program --- */

int takeover_given(bool *rehearsal_out)
{
    const char *value = getenv(STATE_ENV);
    unsigned long long fd = 0;
    struct slice number, rest = slice_of(value);

    *rehearsal_out = false;
    if (value == NULL)
        return -1;
    slice_cut(&rest, ' ', &number);
    if (!slice_to_u64(number, 1u << 20, &fd))
        fd = 0;
    *rehearsal_out = slice_equal(rest, SLICE("rehearsal"));
    unsetenv(STATE_ENV);
    prctl(PR_SET_NAME, "crescent"); /* a program started by its descriptor is called by its number */
    return (int)fd;
}

static mono_t take_time(struct slice *from, bool *bad)
{
    return (mono_t){(int64_t)buf_take_u64(from, bad)};
}

/* A descriptor of the state: it must be open. */
static int take_fd(struct slice *from, bool *bad)
{
    int fd = (int)buf_take_u32(from, bad);

    if (fd >= 0 && !*bad && fd_cloexec(fd, true) != 0)
        *bad = true;
    return fd < 0 ? -1 : fd;
}

static void read_child(struct slice *from, struct supervisor *s, struct child *c, enum heritage_kind kind, bool *bad)
{
    bool stays = buf_take_u32(from, bad) != 0;
    uint32_t number = buf_take_u32(from, bad);
    uint32_t slot = buf_take_u32(from, bad), member = buf_take_u32(from, bad);
    int channel;

    child_init(c, kind, s->now, slot, member);
    c->number = number;
    if (!stays)
        c->edition = NULL;
    c->incarnation = buf_take_u32(from, bad);
    c->pid = (pid_t)buf_take_u32(from, bad);
    if ((channel = take_fd(from, bad)) >= 0 && !*bad)
        c->channel = channel_new(channel);
    c->ready = buf_take_u32(from, bad) != 0;
    c->doomed = buf_take_u32(from, bad) != 0;
    c->orphaned = buf_take_u32(from, bad) != 0;
    c->stillborn = buf_take_u32(from, bad);
    c->born = take_time(from, bad);
    c->died = take_time(from, bad);
    c->start_at = take_time(from, bad);
    c->leave_by = take_time(from, bad);
    c->silent_since = take_time(from, bad);
    c->restart.count = buf_take_u32(from, bad);
    *bad = *bad || c->restart.count > RESTART_FREE;
    for (unsigned i = 0; i < RESTART_FREE; i++)
        c->restart.deaths[i] = take_time(from, bad);
    c->restart.wait.ns = (int64_t)buf_take_u64(from, bad);
    c->pulse.owed = buf_take_u32(from, bad) != 0;
    c->pulse.sequence = buf_take_u32(from, bad);
    c->pulse.at = take_time(from, bad);
}

static struct snapshot_held take_held(struct slice *from, bool *bad)
{
    uint64_t generation = buf_take_u64(from, bad);

    return (struct snapshot_held){.generation = generation, .fd = take_fd(from, bad)};
}

static int read_config(int file, struct config *config, struct error *err)
{
    struct slice text;
    int done;

    if (fd_map_sealed(file, &text, err) != 0)
        return -1;
    done = config_read(text, config, err);
    munmap((void *)text.at, text.len);
    return done;
}

static int read_edition(struct slice *from, struct supervisor *s, struct error *err)
{
    struct config config;
    char version[32];
    bool bad = false;
    uint32_t number = buf_take_u32(from, &bad);
    struct slice text = buf_take_string(from, &bad);
    int config_text = take_fd(from, &bad), binary = take_fd(from, &bad);
    struct snapshot_held live = take_held(from, &bad), next = take_held(from, &bad);
    struct slice sockets = buf_take_string(from, &bad);

    if (bad || config_text < 0 || binary < 0)
        return error_set(err, "the state is cut, or names a descriptor that is not open");
    if (read_config(config_text, &config, err) != 0)
        return -1;
    snprintf(version, sizeof(version), "%.*s", SLICE_ARG(text));
    s->now = edition_new(number, version, &config, config_text, binary);
    s->now->snapshots = (struct snapshots){.live = live, .next = next};
    return sockets_read(sockets, &s->now->sockets, err);
}

static int read_state(struct slice bytes, struct supervisor *s, struct error *err)
{
    bool bad = false;
    struct slice path, before;

    if (buf_take_u32(&bytes, &bad) != STATE_MAGIC)
        return error_set(err, "this is no state of a supervisor");
    if (read_edition(&bytes, s, err) != 0)
        return -1;
    s->command_line = take_fd(&bytes, &bad);
    path = buf_take_string(&bytes, &bad);
    s->binary_path = path.len > 0 ? slice_dup(path) : NULL;
    s->area_fd = take_fd(&bytes, &bad);
    s->logbook.wake = take_fd(&bytes, &bad);
    s->upgrade.again = buf_take_u32(&bytes, &bad) != 0;
    before = buf_take_string(&bytes, &bad);
    snprintf(s->upgrade.before, sizeof(s->upgrade.before), "%.*s", SLICE_ARG(before));
    s->upgrade.began = take_time(&bytes, &bad);
    bound_read(&bytes, &s->bound, &bad);
    read_child(&bytes, s, &s->keeper, HERITAGE_KEEPER, &bad);
    s->places = buf_take_u32(&bytes, &bad);
    if (bad || s->places > AREA_SLOTS || s->area_fd < 0)
        return error_set(err, "the state is cut, or names a descriptor that is not open");
    for (uint32_t i = 0; i < s->places; i++)
        read_child(&bytes, s, &s->workers[i], HERITAGE_WORKER, &bad);
    if (bad || bytes.len != 0)
        return error_set(err, "the state is cut, or names a descriptor that is not open");
    return (s->area = area_map(s->area_fd, err)) != NULL ? 0 : -1;
}

int takeover_read(int fd, struct supervisor *s, struct error *err)
{
    struct slice bytes;
    int done;

    if (fd_map_sealed(fd, &bytes, err) != 0)
        return -1;
    done = read_state(bytes, s, err);
    if (bytes.len > 0)
        munmap((void *)bytes.at, bytes.len);
    fd_close(&fd);
    return done;
}
