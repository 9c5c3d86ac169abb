/*
 * exec.c: who runs when, and the spawner: started, listened to, replaced. See exec.h; program.c has one program's life.
 */
#include "exec/exec.h"

#include "base/fd.h"
#include "base/log.h"
#include "base/panic.h"
#include "exec/allowed.h"
#include "exec/descendants.h"
#include "exec/internal.h"
#include "exec/spawner.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define RESTART_AFTER DUR_S(1) /* between two starts of a spawner; the first death waits for nothing */
#define HUNT_EACH DUR_MS(10)
#define PONG_WITHIN DUR_S(5) /* else the spawner is killed, and replaced */

static void on_program_ended(struct link *l, const struct message *m, void *cookie);
static void on_pong(struct link *l, const struct message *m, void *cookie);
static void on_spawner_gone(struct link *l, const char *why, void *cookie);
static void on_restart(struct timeout *t);
static void on_hunt(struct timeout *t);

static const struct link_handlers handlers = {
    .on = {[MESSAGE_program_ended] = on_program_ended, [MESSAGE_pong] = on_pong},
    .ended = on_spawner_gone,
};

/* --- the spawner -------------------------------------------------------------------------------------------------- */

static int start_spawner(struct exec *e, struct error *err)
{
    int channel;

    e->started = mono_now();
    if (spawner_start(e->label, &e->pid, &channel, err) != 0) {
        e->pid = 0;
        return -1;
    }
    e->spawner = link_new(e->loop, channel, &handlers, e);
    link_send(e->spawner, &(struct message){.type = MESSAGE_spawner,
                                            .spawner = {.root = slice_of(e->config->root),
                                                        .any = e->config->exec_any,
                                                        .allowed = buf_slice(&e->allowed)}});
    return 0;
}

static struct exec_program *find(struct exec *e, uint64_t id)
{
    for (struct list *l = e->running.next; l != &e->running; l = l->next) {
        struct exec_program *p = CONTAINER_OF(l, struct exec_program, link);

        if (p->id == id)
            return p;
    }
    return NULL;
}

static void on_program_ended(struct link *l, const struct message *m, void *cookie)
{
    struct exec *e = cookie;
    struct exec_program *p = find(e, m->program_ended.id);

    if (p != NULL)
        program_ended(p, &m->program_ended);
}

/* It may have been stopped, by a program of its own, or hang in the start of one. */
static void on_pulse(struct timeout *t)
{
    struct exec *e = CONTAINER_OF(t, struct exec, pulse);

    log_at(LOG_ERROR, "the spawner is killed: no sign of life", LOG_INT("child", e->pid));
    kill(e->pid, SIGKILL);
}

static void on_pong(struct link *l, const struct message *m, void *cookie)
{
    struct exec *e = cookie;

    timeout_clear(&e->pulse);
}

void exec_doubt(struct exec *e)
{
    if (e->spawner == NULL || timeout_is_set(&e->pulse))
        return;
    link_send(e->spawner, &(struct message){.type = MESSAGE_ping});
    timeout_set(e->loop, &e->pulse, mono_add(mono_now(), PONG_WITHIN), on_pulse);
}

static bool is_spawner(pid_t child, void *cookie)
{
    const struct exec *e = cookie;

    return child == e->pid;
}

/* What a dead spawner leaves becomes ours, level by level: looked for until a look finds nothing. */
static void on_hunt(struct timeout *t)
{
    struct exec *e = CONTAINER_OF(t, struct exec, hunt);

    if (descendants_kill(is_spawner, e) != DESCENDANTS_NONE)
        timeout_set(e->loop, &e->hunt, mono_add(mono_now(), HUNT_EACH), on_hunt);
}

static void on_restart(struct timeout *t)
{
    struct exec *e = CONTAINER_OF(t, struct exec, restart);
    struct error err;

    if (start_spawner(e, &err) == 0) {
        exec_advance(e);
        return;
    }
    log_at(LOG_ERROR, "no program can be started", LOG_STR("error", err.text));
    timeout_set(e->loop, &e->restart, mono_add(mono_now(), RESTART_AFTER), on_restart);
}

/* Those that wait in line wait on; what ran is killed before it is told as ended, but for what hangs in the system. */
static void on_spawner_gone(struct link *l, const char *why, void *cookie)
{
    struct exec *e = cookie;

    log_at(LOG_ERROR, "the spawner has died, and what it had started is killed", LOG_INT("child", e->pid),
           LOG_INT("programs", (int64_t)e->run_count), LOG_STR("why", why));
    link_free(&e->spawner);
    e->pid = 0;
    timeout_clear(&e->pulse);
    on_hunt(&e->hunt);
    while (!list_empty(&e->running))
        program_lose(CONTAINER_OF(e->running.next, struct exec_program, link));
    if (e->lost == NULL) {
        timeout_set(e->loop, &e->restart, mono_add(e->started, RESTART_AFTER), on_restart);
        return;
    }
    while (!list_empty(&e->line))
        program_lose(CONTAINER_OF(e->line.next, struct exec_program, link));
    e->lost(e->lost_cookie);
}

/* --- programs ----------------------------------------------------------------------------------------------------- */

void exec_leave(struct exec_program *p)
{
    struct exec *e = p->exec;

    if (list_empty(&p->link)) /* it has left already */
        return;
    list_remove(&p->link);
    if (p->state == PROGRAM_IN_LINE)
        e->in_line--;
    else
        e->run_count--;
    exec_advance(e);
}

void exec_advance(struct exec *e)
{
    while (e->spawner != NULL && e->run_count < EXEC_AT_ONCE && !list_empty(&e->line)) {
        struct exec_program *p = CONTAINER_OF(e->line.next, struct exec_program, link);

        list_remove(&p->link);
        e->in_line--;
        if (program_run(p) != 0)
            continue;
        list_add(&e->running, &p->link);
        e->run_count++;
    }
}

/* The spawner asks the same again. */
static bool is_allowed(const struct exec *e, struct slice arguments, struct error *err)
{
    bool bad = false;
    struct slice first = buf_take_string(&arguments, &bad);
    char *written = slice_dup(first), *name = allowed_name(e->config->root, written);
    bool allowed = e->config->exec_any || allowed_has(buf_slice(&e->allowed), name);

    CHECK(!bad);
    if (!allowed)
        error_set(err, "%.*s%s: the setting exec does not allow it", SLICE_SHOWN(first, 100));
    free(name);
    free(written);
    return allowed;
}

struct exec_program *exec_start(struct exec *e, const struct exec_ask *ask,
                                void (*done)(const struct exec_result *r, void *cookie), void *cookie,
                                const char **code_out, struct error *err)
{
    *code_out = "not_allowed";
    if (!is_allowed(e, ask->arguments, err))
        return NULL;
    *code_out = "spawner_gone";
    if (e->lost != NULL && e->spawner == NULL) {
        error_set(err, "the process that starts programs has died; another worker takes this one's place");
        return NULL;
    }
    *code_out = "busy";
    if (e->in_line >= EXEC_IN_LINE) {
        error_set(err, "too many programs are waiting for their turn");
        return NULL;
    }
    struct exec_program *p = program_new(e, ask, code_out, err);
    if (p == NULL)
        return NULL;
    p->done = done;
    p->cookie = cookie;
    list_add(&e->line, &p->link);
    e->in_line++;
    exec_advance(e);
    return p;
}

void exec_cancel(struct exec_program **p)
{
    if (*p != NULL)
        program_abandon(*p);
    *p = NULL;
}

void exec_on_lost(struct exec *e, void (*lost)(void *cookie), void *cookie)
{
    e->lost = lost;
    e->lost_cookie = cookie;
}

pid_t exec_spawner(const struct exec *e)
{
    return e->pid;
}

/* --- birth and death ---------------------------------------------------------------------------------------------- */

struct exec *exec_new(struct loop *l, const struct config *config, const char *label, struct error *err)
{
    struct exec *e = need_zero(1, sizeof(*e));

    e->loop = l;
    e->config = config;
    snprintf(e->label, sizeof(e->label), "%s", label);
    allowed_write(config, &e->allowed);
    list_init(&e->line);
    list_init(&e->running);
    descendants_adopt();
    e->null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (e->null < 0)
        error_errno(err, "/dev/null");
    if (e->null >= 0 && start_spawner(e, err) == 0)
        return e;
    exec_free(&e);
    return NULL;
}

void exec_free(struct exec **e)
{
    struct exec *gone = *e;

    *e = NULL;
    if (gone == NULL)
        return;
    CHECK(list_empty(&gone->line));
    while (!list_empty(&gone->running)) {
        struct exec_program *p = CONTAINER_OF(gone->running.next, struct exec_program, link);

        CHECK(p->done == NULL);
        list_remove(&p->link);
        program_free(p);
    }
    bool hunting = timeout_is_set(&gone->hunt);
    timeout_clear(&gone->restart);
    timeout_clear(&gone->hunt);
    timeout_clear(&gone->pulse);
    link_free(&gone->spawner);
    while (gone->pid != 0 && waitpid(gone->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    while (hunting && descendants_kill(NULL, NULL) == DESCENDANTS_LEFT)
        sched_yield();
    fd_close(&gone->null);
    buf_free(&gone->allowed);
    free(gone);
}
