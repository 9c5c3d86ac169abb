/*
 * spawner.h: PROCESS spawner: starts the programs that its worker asks for, tells their ends, and never outlives its
 * worker by more than it takes to kill everything that descends from it. It is a subreaper: what loses its parent below
 * it becomes its child, also what has called setsid.
 * The worker makes it before there are threads, as a program of its own (the worker's binary, run anew): nothing of the
 * worker's memory is in it, of its environment only what programs get, of its descriptors none but the channel.
 * Owns: the channel, the programs that have not ended. Runs in: its one thread, with poll. Fails: at start with words;
 * then only its own death, which ends no worker: see exec/exec.h.
 */
#ifndef CRESCENT_EXEC_SPAWNER_H
#define CRESCENT_EXEC_SPAWNER_H

#include "base/error.h"

#include <sys/types.h>

/*
 * In the worker: starts one; label: shown by ps. The channel's other end is the caller's. It must be told
 * MESSAGE_spawner first. The caller collects its end. -1 with words.
 */
int spawner_start(const char *label, pid_t *pid_out, int *channel_out, struct error *err);
/* The hidden command `spawner [LABEL]`. Returns only when it could not begin, with an exit code. */
int spawner_main(const char *label);

#endif
