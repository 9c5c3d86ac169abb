/*
 * candidate.h: the trial of a new binary and configuration: its config child, started from the file that stands at the
 * binary's path now, with the command line of the start; what it says, and what it says on stderr.
 * Owns: the child until it is judged or dropped, and the files it writes. Runs in: the supervisor; waits for nothing.
 * Fails: with words: the child's own where it has some.
 */
#ifndef CRESCENT_SUPERVISE_CANDIDATE_H
#define CRESCENT_SUPERVISE_CANDIDATE_H

#include "base/error.h"
#include "base/time.h"
#include "supervise/edition.h"

#include <sys/types.h>

struct candidate { /* born as {0} */
    pid_t pid;     /* 0: none is being tried */
    mono_t deadline;
    bool late; /* killed for it */
    int binary, answer, words;
};

/* command_line: the sealed file of the start's. 0, or -1: nothing was started. */
int candidate_start(struct candidate *c, const char *path, int command_line, mono_t now, struct error *err);
/* Kills what takes too long. */
void candidate_tick(struct candidate *c, mono_t now);
/* It was reaped with this status: the edition it offers, without a number, nothing opened yet; or NULL with words. */
struct edition *candidate_judge(struct candidate *c, int status, struct error *err);
/* The server stops: kills and reaps it. */
void candidate_drop(struct candidate *c);

#endif
