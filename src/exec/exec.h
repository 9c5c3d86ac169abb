/*
 * exec.h: programs on a worker's loop: asked for, started by the worker's spawner, their output read within bounds,
 * their ends told once. At most EXEC_AT_ONCE run; others wait in line, within their own time. What they are
 * given (arguments until they run, the input until they end) and what they wrote, until that is told, takes
 * `limits.lua_memory` together.
 * The worker makes pipes and a memory file and gives them away; it never starts a program itself, but for its spawner:
 * when that dies, what it ran is killed and told as ended (spawner_gone), and another one is started, where this
 * process may do that still. Owns: the spawner's link, the programs until their ends were told. Runs in: the worker's
 * loop. Fails: exec_new with words; a program with a code and words.
 */
#ifndef CRESCENT_EXEC_EXEC_H
#define CRESCENT_EXEC_EXEC_H

#include "base/config.h"
#include "io/loop.h"

#include <sys/types.h>

#define EXEC_AT_ONCE 64
#define EXEC_IN_LINE 1024
#define EXEC_ARGUMENTS_MAX (4u << 20) /* bytes of arguments and environment; the kernel takes less */

struct exec;
struct exec_program;

/*
 * Starts the spawner; call it before the process has threads. From here on this process is a subreaper: what becomes
 * its child without being its spawner is killed when a spawner dies. label: the worker's number. config must stay
 * valid. NULL with words.
 */
struct exec *exec_new(struct loop *l, const struct config *config, const char *label, struct error *err);
/*
 * From now on this process cannot start another spawner (base/jail): when the one it has dies, what runs and what waits
 * in line ends with spawner_gone, as all that is asked for later; and `lost` is called, once.
 */
void exec_on_lost(struct exec *e, void (*lost)(void *cookie), void *cookie);
/* Ends the spawner and waits until it has gone, and what an earlier one left. Every program must have been told or
 * cancelled. Leaves NULL. */
void exec_free(struct exec **e);

struct exec_ask {             /* all borrowed for the call */
    struct slice arguments;   /* strings (buf_add_string): name and arguments; no NUL in any */
    struct slice environment; /* strings: NAME=value; the same */
    const char *cwd;          /* NULL: the configuration's folder, where relative ones begin; "": none */
    struct slice input;       /* its standard input; empty: /dev/null */
    dur_t timeout;            /* from now on; waiting in line counts */
    size_t max_output;        /* of stdout, and of stderr */
};

struct exec_result { /* borrowed for the call */
    /*
     * Why it is no success, or NULL: "exit" (a status other than 0), "signal", "timeout", "too_much_output",
     * "busy" (no memory for what it writes), "spawner_gone", "no_resources"; or it never ran: those of exec/launch.h.
     */
    const char *code;
    const char *words; /* with a code: which program, and why */
    bool ended;        /* it ran and its end is known: */
    int status;        /* as of waitpid */
    struct slice out, err;
};

/*
 * Asks for a program. done comes once, from the loop, unless it is cancelled; the program is gone then. NULL, with the
 * code and words, where it is refused at once: not_allowed, busy, no_resources.
 */
struct exec_program *exec_start(struct exec *e, const struct exec_ask *ask,
                                void (*done)(const struct exec_result *r, void *cookie), void *cookie,
                                const char **code_out, struct error *err);
/* Nobody waits for it any more: it is ended as by its timeout. Leaves NULL. */
void exec_cancel(struct exec_program **p);
/* Its spawner's process id; 0: none just now (tests). */
pid_t exec_spawner(const struct exec *e);

#endif
