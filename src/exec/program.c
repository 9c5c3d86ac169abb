/*
 * program.c: one program on the worker's side, in the order of its life: asked for, run, read, killed, ended, told.
 * See exec/internal.h. Fails: a pipe that cannot be made is the program's failure.
 */
#include "exec/internal.h"

#include "base/fd.h"
#include "base/log.h"
#include "base/panic.h"
#include "base/path.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define READ_CHUNK (64u << 10)
#define READ_PASS (256u << 10) /* of one pipe; then others have a turn */
#define KILLED_WITHIN DUR_S(3) /* TERM, its grace and KILL: past that it hangs in the system, and is not waited for */
#define LINE_SHOWN 156         /* bytes of its last line */
#define LINGER DUR_S(1)        /* for the last words of what a program has left behind */

static void on_time(struct timeout *t);
static void on_out(struct loop_watch *w, unsigned events);
static void on_err(struct loop_watch *w, unsigned events);

/* --- memory ------------------------------------------------------------------------------------------------------- */

/* An eighth of it is left to what they write: without that none could say why it failed. */
static bool hold(struct exec_program *p, size_t bytes, struct error *err)
{
    struct exec *e = p->exec;
    size_t most = e->config->limits.lua_memory - e->config->limits.lua_memory / 8;

    if (e->memory > most || bytes > most - e->memory) {
        error_set(err,
                  "%s: no memory for its arguments and its stdin: what programs of a worker are given takes %zu bytes "
                  "at most (lua_memory)",
                  p->name, most);
        return false;
    }
    e->memory += bytes;
    p->held += bytes;
    return true;
}

static void let_go(struct exec_program *p, size_t bytes)
{
    CHECK(p->held >= bytes && p->exec->memory >= bytes);
    p->held -= bytes;
    p->exec->memory -= bytes;
}

static void drop_bytes(struct exec_program *p, struct program_pipe *pipe)
{
    CHECK(p->exec->memory >= pipe->bytes.len);
    p->exec->memory -= pipe->bytes.len;
    buf_free(&pipe->bytes);
}

static void drop_output(struct exec_program *p)
{
    drop_bytes(p, &p->out);
    drop_bytes(p, &p->err);
}

/* --- asked for ---------------------------------------------------------------------------------------------------- */

static int make_input(struct exec_program *p, struct slice input, struct error *err)
{
    if (input.len == 0)
        return 0;
    p->input = fd_sealed("crescent-stdin", input, err);
    if (p->input >= 0 && lseek(p->input, 0, SEEK_SET) != 0)
        return error_errno(err, "memory file");
    return p->input >= 0 ? 0 : -1;
}

/* As it was written, without what a terminal or a log would stumble over. */
static void name_it(struct exec_program *p, struct slice arguments)
{
    bool bad = false;
    struct slice name = buf_take_string(&arguments, &bad);

    CHECK(!bad);
    snprintf(p->name, sizeof(p->name), "%.*s%s", SLICE_SHOWN(name, 60));
    for (char *c = p->name; *c != '\0'; c++)
        if (iscntrl((unsigned char)*c))
            *c = '?';
}

/* Joined to the configuration's folder it would be that one: it goes on as it is, and is refused as a folder. */
static bool is_empty(const char *cwd)
{
    return cwd != NULL && cwd[0] == '\0';
}

struct exec_program *program_new(struct exec *e, const struct exec_ask *ask, const char **code_out, struct error *err)
{
    struct exec_program *p = need_zero(1, sizeof(*p));

    p->exec = e;
    p->input = p->out.fd = p->err.fd = -1;
    list_init(&p->link);
    name_it(p, ask->arguments);
    *code_out = "busy";
    bool fits = hold(p, ask->arguments.len + ask->environment.len + ask->input.len, err);
    if (fits)
        *code_out = "no_resources";
    if (!fits || make_input(p, ask->input, err) != 0) {
        program_free(p);
        return NULL;
    }
    buf_add_slice(&p->arguments, ask->arguments);
    buf_add_slice(&p->environment, ask->environment);
    p->cwd = is_empty(ask->cwd) ? need_strdup("") : path_join(e->config->root, ask->cwd != NULL ? ask->cwd : "");
    p->timeout = ask->timeout;
    p->max_output = ask->max_output;
    timeout_set(e->loop, &p->time, mono_add(mono_now(), ask->timeout), on_time);
    return p;
}

static void forget_question(struct exec_program *p)
{
    let_go(p, p->arguments.len + p->environment.len);
    buf_free(&p->arguments);
    buf_free(&p->environment);
    free(p->cwd);
    p->cwd = NULL;
    fd_close(&p->input);
}

static void close_pipe(struct program_pipe *pipe)
{
    loop_unwatch(&pipe->watch);
    fd_close(&pipe->fd);
}

void program_free(struct exec_program *p)
{
    timeout_clear(&p->time);
    forget_question(p);
    close_pipe(&p->out);
    close_pipe(&p->err);
    drop_output(p);
    let_go(p, p->held);
    free(p);
}

void program_blame(struct exec_program *p, const char *code, const char *format, ...)
{
    va_list args;

    if (p->code[0] != '\0')
        return;
    snprintf(p->code, sizeof(p->code), "%s", code);
    va_start(args, format);
    error_words(p->why.text, sizeof(p->why.text), format, args);
    va_end(args);
}

/* --- run ---------------------------------------------------------------------------------------------------------- */

/* Our end does not block, the program's does: it is written for that. */
static int make_pipe(int *ours_out, int *theirs_out)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    *ours_out = ends[0];
    *theirs_out = ends[1];
    return 0;
}

static int fail_to_run(struct exec_program *p, int *out)
{
    program_blame(p, "no_resources", "%s: cannot make its pipes: %s", p->name, strerror(errno));
    fd_close(out);
    close_pipe(&p->out);
    p->state = PROGRAM_FAILED;
    timeout_set(p->exec->loop, &p->time, mono_now(), on_time);
    return -1;
}

int program_run(struct exec_program *p)
{
    struct exec *e = p->exec;
    int out = -1, err = -1, in = p->input;

    if (in < 0)
        in = fcntl(e->null, F_DUPFD_CLOEXEC, 0);
    p->input = -1;
    if (in < 0 || make_pipe(&p->out.fd, &out) != 0 || make_pipe(&p->err.fd, &err) != 0) {
        fail_to_run(p, &out);
        fd_close(&in);
        return -1;
    }
    p->id = ++e->last_id;
    p->state = PROGRAM_RUNS;
    loop_watch(e->loop, &p->out.watch, p->out.fd, LOOP_READ, on_out);
    loop_watch(e->loop, &p->err.watch, p->err.fd, LOOP_READ, on_err);
    link_send(e->spawner, &(struct message){.type = MESSAGE_program,
                                            .program = {.id = p->id,
                                                        .arguments = buf_slice(&p->arguments),
                                                        .environment = buf_slice(&p->environment),
                                                        .cwd = slice_of(p->cwd),
                                                        .in = in,
                                                        .out = out,
                                                        .err = err}});
    forget_question(p);
    return 0;
}

/* --- read --------------------------------------------------------------------------------------------------------- */

/* Of so many bytes that are in the room behind the others: false, where not all are kept, and why is said. */
static bool keep(struct exec_program *p, struct program_pipe *pipe, size_t bytes)
{
    struct exec *e = p->exec;
    size_t most = e->config->limits.lua_memory, room = e->memory < most ? most - e->memory : 0;
    size_t wanted = p->max_output - pipe->bytes.len, kept = bytes;

    if (kept > wanted) {
        program_blame(p, "too_much_output", "%s: it wrote more than %zu bytes to %s (max_output)", p->name,
                      p->max_output, pipe == &p->out ? "stdout" : "stderr");
        kept = wanted;
    }
    if (kept > room) {
        program_blame(p, "busy",
                      "%s: no memory for what it writes: what programs of a worker are given and write takes %zu bytes "
                      "at most (lua_memory)",
                      p->name, most);
        kept = room;
    }
    pipe->bytes.len += kept;
    e->memory += kept;
    return kept == bytes;
}

/* What is there now, of one pipe; closes it at its end. False: it is over a limit. */
static bool take(struct exec_program *p, struct program_pipe *pipe)
{
    for (size_t total = 0; pipe->fd >= 0 && total < READ_PASS;) {
        ssize_t n = read(pipe->fd, buf_reserve(&pipe->bytes, READ_CHUNK), READ_CHUNK);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n <= 0) {
            close_pipe(pipe);
            break;
        }
        total += (size_t)n;
        if (!keep(p, pipe, (size_t)n)) {
            close_pipe(pipe);
            return false;
        }
    }
    return true;
}

static void read_pipe(struct exec_program *p, struct program_pipe *pipe)
{
    if (!take(p, pipe) && p->state == PROGRAM_RUNS)
        program_kill(p);
    if (p->state == PROGRAM_LINGERS && p->out.fd < 0 && p->err.fd < 0)
        program_tell(p);
}

static void on_out(struct loop_watch *w, unsigned events)
{
    struct exec_program *p = CONTAINER_OF(w, struct exec_program, out.watch);

    read_pipe(p, &p->out);
}

static void on_err(struct loop_watch *w, unsigned events)
{
    struct exec_program *p = CONTAINER_OF(w, struct exec_program, err.watch);

    read_pipe(p, &p->err);
}

/* --- killed, ended ------------------------------------------------------------------------------------------------ */

void program_kill(struct exec_program *p)
{
    struct exec *e = p->exec;

    p->state = PROGRAM_KILLED;
    if (p->done != NULL)
        timeout_set(e->loop, &p->time, mono_add(mono_now(), KILLED_WITHIN), on_time);
    else
        timeout_clear(&p->time);
    link_send(e->spawner, &(struct message){.type = MESSAGE_program_kill, .program_kill = {.id = p->id}});
}

static void on_time(struct timeout *t)
{
    struct exec_program *p = CONTAINER_OF(t, struct exec_program, time);
    double seconds = (double)p->timeout.ns / 1e9;

    switch (p->state) {
    case PROGRAM_IN_LINE:
        program_blame(p, "timeout", "%s: %g s are over, and others still run before it (timeout)", p->name, seconds);
        program_tell(p);
        break;
    case PROGRAM_RUNS:
        program_blame(p, "timeout", "%s: still running after %g s (timeout)", p->name, seconds);
        program_kill(p);
        break;
    case PROGRAM_KILLED:
        exec_doubt(p->exec);
        program_tell(p);
        break;
    case PROGRAM_LINGERS:
    case PROGRAM_FAILED:
        program_tell(p);
        break;
    }
}

/* The last line of what it said: most programs' reason. */
static struct slice last_line(struct slice text, char room[LINE_SHOWN + 3])
{
    struct slice line, last = SLICE_NONE;
    size_t len = 0;

    while (slice_cut(&text, '\n', &line))
        if (slice_trim(line).len > 0)
            last = slice_trim(line);
    for (; len < last.len && len < LINE_SHOWN; len++)
        room[len] = iscntrl((unsigned char)last.at[len]) ? ' ' : last.at[len];
    for (size_t dot = 0; last.len > LINE_SHOWN && dot < 3; dot++) /* see SLICE_SHOWN */
        room[len++] = '.';
    return (struct slice){room, len};
}

static void blame_status(struct exec_program *p)
{
    char room[LINE_SHOWN + 3];
    struct slice said = last_line(buf_slice(&p->err.bytes), room);
    const char *colon = said.len > 0 ? ": " : "";

    if (WIFSIGNALED(p->status))
        program_blame(p, "signal", "%s: ended by signal %d (%s)%s%.*s", p->name, WTERMSIG(p->status),
                      strsignal(WTERMSIG(p->status)), colon, SLICE_ARG(said));
    else if (WEXITSTATUS(p->status) != 0)
        program_blame(p, "exit", "%s: exit status %d%s%.*s", p->name, WEXITSTATUS(p->status), colon, SLICE_ARG(said));
}

void program_ended(struct exec_program *p, const struct message_program_ended *m)
{
    char code[sizeof(p->code)];

    exec_leave(p);
    p->ended = m->code.len == 0;
    p->status = (int)m->status;
    if (!p->ended) {
        snprintf(code, sizeof(code), "%.*s", SLICE_ARG(m->code));
        program_blame(p, code, "%.*s", SLICE_ARG(m->words));
    }
    if (p->done == NULL) {
        program_free(p);
        return;
    }
    p->state = PROGRAM_LINGERS;
    timeout_set(p->exec->loop, &p->time, mono_add(mono_now(), LINGER), on_time);
    if (p->code[0] != '\0') { /* what is in the pipes now is enough */
        take(p, &p->out);
        take(p, &p->err);
        close_pipe(&p->out);
        close_pipe(&p->err);
    }
    if (p->out.fd < 0 && p->err.fd < 0)
        program_tell(p);
}

void program_lose(struct exec_program *p)
{
    exec_leave(p);
    if (p->done == NULL) {
        program_free(p);
        return;
    }
    program_blame(p, "spawner_gone", "%s: the process that had started it died, so it was killed", p->name);
    p->state = PROGRAM_FAILED;
    timeout_set(p->exec->loop, &p->time, mono_now(), on_time);
}

void program_abandon(struct exec_program *p)
{
    p->done = NULL;
    close_pipe(&p->out);
    close_pipe(&p->err);
    drop_output(p);
    if (p->state == PROGRAM_RUNS)
        program_kill(p);
    else if (p->state == PROGRAM_KILLED)
        timeout_clear(&p->time);
    else {
        exec_leave(p);
        program_free(p);
    }
}

/* --- told --------------------------------------------------------------------------------------------------------- */

void program_tell(struct exec_program *p)
{
    void (*done)(const struct exec_result *, void *) = p->done;
    struct exec_result r;

    if (p->ended)
        blame_status(p);
    r = (struct exec_result){.code = p->code[0] != '\0' ? p->code : NULL,
                             .words = p->why.text,
                             .ended = p->ended,
                             .status = p->status,
                             .out = buf_slice(&p->out.bytes),
                             .err = buf_slice(&p->err.bytes)};
    timeout_clear(&p->time);
    close_pipe(&p->out);
    close_pipe(&p->err);
    p->done = NULL;
    log_at(LOG_DEBUG, "a program has ended", LOG_STR("program", p->name),
           LOG_STR("code", r.code != NULL ? r.code : ""));
    if (p->state == PROGRAM_KILLED) { /* its end is still to come, and counts until then */
        done(&r, p->cookie);
        drop_output(p);
        return;
    }
    exec_leave(p);
    done(&r, p->cookie);
    program_free(p);
}
