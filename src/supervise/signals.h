/*
 * signals.h: TERM, INT, HUP, USR1 and CHLD as a readable descriptor, never as handlers that work; PIPE and USR2
 * are ignored.
 * Owns: the descriptor. Runs in: the supervisor. Fails: at creation, with words.
 */
#ifndef CRESCENT_SUPERVISE_SIGNALS_H
#define CRESCENT_SUPERVISE_SIGNALS_H

#include "base/error.h"

/* Blocks them, for as long as the process lives, and returns the descriptor (close-on-exec, non-blocking), or -1. */
int signals_open(struct error *err);
/* The next signal's number, or 0 when there is none. */
int signals_next(int fd);

#endif
