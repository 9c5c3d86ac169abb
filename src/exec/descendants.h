/*
 * descendants.h: what descends from this process, found in /proc, and killed. For a process that is a subreaper: what
 * has lost its parent becomes its child, so nothing that was started below it gets away.
 * Owns nothing. Runs in: spawner, worker, supervisor; one thread at a time. Fails: without /proc it sees nobody.
 */
#ifndef CRESCENT_EXEC_DESCENDANTS_H
#define CRESCENT_EXEC_DESCENDANTS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum descendants_left {
    DESCENDANTS_NONE,
    DESCENDANTS_LEFT,     /* some were there: look again */
    DESCENDANTS_FORBIDDEN /* the same, and the system lets us kill none of them: they run as another user */
};

/* Makes this process the one that orphans below it are given to. Exec keeps that. */
void descendants_adopt(void);
/* The children of that process, of all its threads, ended ones included; malloc'ed (NULL: none). */
pid_t *descendants_children(pid_t pid, size_t *count_out);
/*
 * One look: each of our children that is not spared, and all below it, down to the last, are stopped, then killed; ends
 * are collected. Who was born behind its back, or lost its parent meanwhile, is met by the next look: repeat until
 * NONE. spare may be NULL.
 */
enum descendants_left descendants_kill(bool (*spare)(pid_t child, void *cookie), void *cookie);

#endif
