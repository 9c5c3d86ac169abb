/*
 * attempt.h: has scripts tried by trial processes: one after the other until each script has its result. A trial that
 * dies is the fault of the script it was trying; the next one tries the rest. The first may be started before it is
 * known what it shall try: to start a process takes about as long as a save takes to settle.
 * Owns: the link to the trial. Runs in: the keeper's loop. Fails: per script, in its result.
 */
#ifndef CRESCENT_RELOAD_ATTEMPT_H
#define CRESCENT_RELOAD_ATTEMPT_H

#include "io/loop.h"
#include "ipc/messages.h"
#include "load/trial.h"

struct attempt;

struct attempt_host {
    struct loop *loop;
    dur_t max_run; /* for words only */
    void (*to_supervisor)(void *supervisor, const struct message *m);
    void *supervisor;
    /* The env set that the trial read; NULL: it could not, for this reason (all scripts then fail with it). Comes
     * before the first result; again with each further trial. */
    void (*env)(void *cookie, const struct snapshot_env *set, const char *error);
    /* What became of one script (its index in the candidate). Once each. */
    void (*tried)(void *cookie, size_t script, const struct trial_result *r);
    void (*done)(void *cookie);
    void *cookie;
};

struct attempt *attempt_new(const struct attempt_host *host);
void attempt_free(struct attempt **a);
/* Scripts will probably be given soon: a trial is started that waits for them (30 s at most), unless one is there, or
 * one was started for nothing within the last second. */
void attempt_expect(struct attempt *a);
/* None came: it ends. */
void attempt_dismiss(struct attempt *a);
/* Begins; none may be under way. Takes the candidate's arrays; its texts must live until done. With no script in it
 * only the env set is read. */
void attempt_begin(struct attempt *a, struct snapshot *candidate);

/* From the supervisor; other ids than the one under way are passed over. Takes the socket. */
void attempt_started(struct attempt *a, uint32_t id, int socket);
void attempt_ended(struct attempt *a, uint32_t id, uint32_t status);

#endif
