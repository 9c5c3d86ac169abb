/*
 * snapshot.h: the folder as it shall be live, as one sealed memory file: writer and reader. Also the form of a trial's
 * candidate. A script that is broken now has its last good text here, and the newer text with its error beside it.
 * Owns: a reader's views are slices of the mapping. Runs in: keeper (writes), workers, trial, supervisor (passes on).
 * Fails: malformed bytes are an error with words (they come from another process).
 */
#ifndef CRESCENT_LOAD_SNAPSHOT_H
#define CRESCENT_LOAD_SNAPSHOT_H

#include "base/buf.h"
#include "base/error.h"
#include <stdbool.h>
#include <stdint.h>

/* A text of hooks/_lib, as one script (or more) was loaded with. */
struct snapshot_module {
    struct slice name; /* "_lib.orders" */
    struct slice file; /* "_lib/orders.lua" */
    struct slice text;
    uint64_t version;   /* grows with any change of text, of a module it requires, or of env */
    uint32_t env;       /* index of the env set it was loaded with */
    uint32_t *requires; /* indices of modules */
    size_t require_count;
};

/* One set of env values: pairs, as read at one time. */
struct snapshot_env {
    struct slice *names, *values;
    bool *faults; /* where true, there is no value: it says why; NULL: none is */
    size_t count;
};

struct snapshot_script {
    struct slice name; /* "billing/stripe" */
    struct slice file; /* "billing/stripe.lua" */
    struct slice text; /* live; at == NULL: it never loaded, requests get 503 */
    uint64_t version;  /* grows whenever text, its modules or env change: equal version, equal script */
    uint32_t env;
    uint32_t *modules; /* indices of every module it was loaded with, direct or not */
    size_t module_count;
    struct slice description; /* JSON (load/describe.h); empty when it never loaded */
    struct slice error;       /* the newer text's errors, one a line; at == NULL: the live one is the newest */
    struct slice newer;       /* that newer text; at == NULL: none */
    bool clash;               /* the error is about another script's route: it may end without a change of this one */
    bool env_fault;           /* likewise: it is that of `env` */
};

struct snapshot {
    uint64_t generation;
    uint64_t next_version; /* versions from here on are free */
    struct snapshot_module *modules;
    size_t module_count;
    struct snapshot_env *envs;
    size_t env_count;
    struct snapshot_script *scripts; /* sorted by name */
    size_t script_count;
    struct slice mapping; /* a reader's: unmapped by snapshot_free */
};

void snapshot_write(const struct snapshot *s, struct buf *out);
/* Parses bytes that outlive s. */
int snapshot_parse(struct slice bytes, struct snapshot *s_out, struct error *err);
/* Maps a sealed file and parses it. */
int snapshot_map(int fd, struct snapshot *s_out, struct error *err);
/* Frees the arrays (and a reader's mapping), not the texts. */
void snapshot_free(struct snapshot *s);

/* One env set by itself: how a trial tells what it read (load/trial.h). Parses bytes that outlive e; 0 or -1. */
void snapshot_env_write(const struct snapshot_env *e, struct buf *out);
int snapshot_env_parse(struct slice bytes, struct snapshot_env *e_out, struct error *err);
/* Frees the arrays, not the texts. */
void snapshot_env_free(struct snapshot_env *e);

#endif
