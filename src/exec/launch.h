/*
 * launch.h: one program is started: posix_spawn of a file, never of a shell's text.
 * It has a session and so a process group of its own (no terminal to ask for passwords at), default signals, three
 * descriptors and no other, and of the environment PATH HOME LANG TZ and what it is given.
 * Owns nothing. Runs in: the spawner. Fails: with a code and words.
 */
#ifndef CRESCENT_EXEC_LAUNCH_H
#define CRESCENT_EXEC_LAUNCH_H

#include "base/error.h"
#include "base/slice.h"

#include <stdbool.h>
#include <sys/types.h>

struct launch {
    const char *root;         /* where relative names begin */
    bool any;                 /* every program may run; else those of */
    struct slice allowed;     /* this list (exec/allowed.h) */
    struct slice arguments;   /* strings: the program's name, as written, and its arguments */
    struct slice environment; /* strings: NAME=value */
    struct slice cwd;         /* absolute; or empty, which is no folder */
    int standard[3];          /* its descriptors 0, 1, 2; the caller's, above 2 */
};

/* Its process id, which is also that of its group; the caller collects its end. -1 with words and a code:
 * not_allowed not_found not_executable bad_cwd bad_argument too_long no_resources. */
int launch_program(const struct launch *l, pid_t *pid_out, const char **code_out, struct error *err);

#endif
