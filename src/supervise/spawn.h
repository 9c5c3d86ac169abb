/*
 * spawn.h: the birth of every child: fork and exec of a binary given by its descriptor (what happens at its path
 * changes nothing), with a heritage at descriptor 3 and nothing else open but what it names and 0, 1, 2. The child dies
 * with its parent (SIGKILL), also when the parent is killed. Owns nothing. Runs in: a process with one thread
 * (supervisor, commands).
 */
#ifndef CRESCENT_SUPERVISE_SPAWN_H
#define CRESCENT_SUPERVISE_SPAWN_H

#include "ipc/heritage.h"

#include <sys/types.h>

struct spawn {
    const struct heritage *heritage; /* its descriptors stay the caller's; the child finds them under other numbers */
    const char *label;               /* shown by ps, such as a worker's number, or NULL */
    int binary;                      /* binary_running, binary_open */
    int words;                       /* becomes the child's descriptor 2; -1: it has ours */
};

/*
 * Starts a child of that heritage's kind as `crescent KIND [LABEL]`. Close your copies of what only the child needs.
 * Signals: all default, none blocked; keeper and worker ignore INT, TERM and HUP (a terminal or service manager sends
 * them to the whole group; the supervisor alone drains). Stack: 64 MiB, but for the keeper.
 * The caller reaps it. 0, or -1 with words; a failing exec is the child's exit status 127.
 */
int spawn_child(const struct spawn *what, pid_t *pid_out, struct error *err);

#endif
