/*
 * spawn.h: the birth of every child: fork and exec of the running binary (by its descriptor: an upgrade on disk changes
 * nothing), with a heritage at descriptor 3 and nothing else open but what it names and 0, 1, 2. The child dies with
 * its parent (SIGKILL), also when the parent is killed.
 * Owns: the binary's descriptor, opened at first use. Runs in: a process with one thread (supervisor, commands).
 */
#ifndef CRESCENT_SUPERVISE_SPAWN_H
#define CRESCENT_SUPERVISE_SPAWN_H

#include "ipc/heritage.h"

#include <sys/types.h>

/*
 * Starts a child of h->kind as `crescent KIND [LABEL]`. The descriptors named in h stay the caller's (close your copies
 * of what only the child needs); the child finds them under other numbers, those of its own heritage.
 * label: shown by ps, such as a worker's number, or NULL. Signals: all default, none blocked; keeper and worker ignore
 * INT, TERM and HUP (a terminal or service manager sends them to the whole group; the supervisor alone drains).
 * Stack: 64 MiB, but for the keeper. pidfd_out (may be NULL): close-on-exec, readable when the child has ended.
 * The caller reaps it. 0, or -1 with words; a failing exec is the child's exit status 127.
 */
int spawn_self(const struct heritage *h, const char *label, pid_t *pid_out, int *pidfd_out, struct error *err);

#endif
