/*
 * trial.h: evaluates scripts under limits of CPU time and memory: in the trial process for the keeper, in process for
 * check and routes. A top level that runs too long is interrupted with file:line; one stuck in a C function ends the
 * trial process, whose last `trying` names it.
 * Owns: nothing beyond a call. Runs in: a process that may die. Fails: per script, in its result.
 */
#ifndef CRESCENT_LOAD_TRIAL_H
#define CRESCENT_LOAD_TRIAL_H

#include "base/config.h"
#include "load/snapshot.h"

/* What became of one script. Its wire form is the `tried` message's sealed file. */
struct trial_result {
    bool good;
    struct slice errors;      /* one a line, when not good */
    struct slice description; /* JSON, when good */
    uint32_t *modules;        /* indices of the candidate's modules it used, direct or not */
    size_t module_count;
    /* for each module used: the modules it requires itself */
    uint32_t **requires;
    size_t *require_counts;
    bool is_public; /* no verify */
};

void trial_result_write(const struct trial_result *r, struct buf *out);
int trial_result_read(struct slice bytes, struct trial_result *r_out, struct error *err);
void trial_result_free(struct trial_result *r);

/* Evaluates every script of the candidate that has a text, in order; tells each result. Used in process by check. */
void trial_run(const struct snapshot *candidate, const struct config *config, bool no_secrets,
               void (*trying)(void *cookie, size_t script),
               void (*tried)(void *cookie, size_t script, const struct trial_result *r), void *cookie);

/* Reads the values of `env`: `.env` (NAME=value lines, quotes, #), over it the environment, credentials, and the files
 * of NAME_FILE variables. A fault of .env is -1 with file:line words, one of the others stands in the set. */
int trial_read_env(const char *env_file, struct buf *room, struct snapshot_env *env_out, struct error *err);

/* The hidden command `trial`: heritage, candidate, results, exit. Returns the exit code. */
int trial_main(void);

#endif
