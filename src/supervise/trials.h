/*
 * trials.h: the short-lived processes that evaluate changed scripts for the keeper. The trial speaks to the keeper over
 * a channel of its own; the supervisor starts it, bounds its life and tells its end.
 * Owns: the processes. Runs in: the supervisor. Fails: a start that fails is told as an end, with words.
 */
#ifndef CRESCENT_SUPERVISE_TRIALS_H
#define CRESCENT_SUPERVISE_TRIALS_H

#include "supervise/supervisor.h"

/* The keeper asks for one. It has as long to wait for its candidate as it has to try it. */
void trials_start(struct supervisor *s, uint32_t id, mono_t now);
/* It is given its candidate. One that has ended meanwhile is passed over. */
void trials_begin(struct supervisor *s, uint32_t id, mono_t now);
/* Kills those past their time. */
void trials_tick(struct supervisor *s, mono_t now);
/* Reaps those that have ended. */
void trials_reap(struct supervisor *s);
/* Kills all: the keeper that asked has gone, or the server stops. */
void trials_abandon(struct supervisor *s);
/* Whether none is left to reap. */
bool trials_none(const struct supervisor *s);

#endif
