/*
 * internal.h: a program as the worker sees it, shared by exec.c (who runs when) and program.c (its pipes and its time).
 */
#ifndef CRESCENT_EXEC_INTERNAL_H
#define CRESCENT_EXEC_INTERNAL_H

#include "base/list.h"
#include "exec/exec.h"
#include "io/timeout.h"
#include "ipc/link.h"

struct program_pipe {
    int fd; /* -1: closed */
    struct loop_watch watch;
    struct buf bytes;
};

enum program_state {
    PROGRAM_IN_LINE,
    PROGRAM_RUNS,    /* handed to the spawner */
    PROGRAM_KILLED,  /* the spawner was told to end it */
    PROGRAM_LINGERS, /* it has ended; something that it has left behind still holds a pipe */
    PROGRAM_FAILED   /* it will not run; to be told from the loop */
};

struct exec_program {
    struct list link; /* of exec's line, or of those that run */
    struct exec *exec;
    uint64_t id;
    enum program_state state;
    char name[64]; /* for words */
    /* what was asked for; until it runs */
    struct buf arguments, environment;
    char *cwd;
    int input;
    size_t held; /* bytes of these that are counted: arguments and environment until it runs, the input until its end */
    dur_t timeout;
    size_t max_output;
    struct timeout time; /* its timeout; then how long what follows may take */
    struct program_pipe out, err;
    /* what came of it */
    char code[24]; /* empty: nothing went wrong so far */
    struct error why;
    bool ended;
    int status;
    void (*done)(const struct exec_result *r, void *cookie); /* NULL: told, or nobody waits */
    void *cookie;
};

struct exec {
    struct loop *loop;
    const struct config *config;
    struct buf allowed;
    char label[16];
    int null; /* /dev/null, for reading */
    pid_t pid;
    struct link *spawner;       /* NULL: none just now */
    mono_t started;             /* the last one */
    struct timeout restart;     /* of the spawner */
    struct timeout hunt;        /* for what a dead one has left */
    struct timeout pulse;       /* it owes a pong */
    void (*lost)(void *cookie); /* NULL: this process starts the next one */
    void *lost_cookie;
    struct list line, running;
    size_t in_line, run_count;
    size_t memory; /* what programs are given, and what they wrote: bytes, config->limits.lua_memory at most */
    uint64_t last_id;
};

/* exec.c: out of its list, and the next in line may start. */
void exec_leave(struct exec_program *p);
void exec_advance(struct exec *e);
/* The spawner does not do as it is told: has it stopped, or does a program hang in the system? */
void exec_doubt(struct exec *e);

/* program.c. The input as a memory file; NULL with a code and words. */
struct exec_program *program_new(struct exec *e, const struct exec_ask *ask, const char **code_out, struct error *err);
void program_free(struct exec_program *p);
/* Makes its pipes and asks the spawner. -1: it has failed, which is told from the loop. */
int program_run(struct exec_program *p);
/* Sets why it is no success, unless that is set. */
void program_blame(struct exec_program *p, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void program_kill(struct exec_program *p);
/* The spawner says so. */
void program_ended(struct exec_program *p, const struct message_program_ended *m);
/* The spawner has died, and it with it. */
void program_lose(struct exec_program *p);
/* Nobody waits for it any more. p is gone then, or ends without a voice. */
void program_abandon(struct exec_program *p);
/* Tells what came of it; p is gone then, or kept without a voice until the spawner tells its end. */
void program_tell(struct exec_program *p);

#endif
