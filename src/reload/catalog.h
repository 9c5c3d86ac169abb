/*
 * catalog.h: what the keeper knows of every script and module: the text that is live, the one that shall be live next,
 * the newest one with its error; with which modules and env values each was loaded. Written into snapshots, read back
 * from one by a new keeper.
 * Owns: all of it; texts, modules, env sets and loads are counted, because a script that is broken now keeps those of
 * its last good load. Runs in: the keeper's loop. Never fails but on a snapshot that is no snapshot.
 */
#ifndef CRESCENT_RELOAD_CATALOG_H
#define CRESCENT_RELOAD_CATALOG_H

#include "load/snapshot.h"
#include "reload/stamp.h"
#include "route/endpoint.h"

struct catalog_text { /* counted, immutable */
    unsigned holds;
    size_t len;
    char at[];
};

struct catalog_env { /* counted, immutable: one set of env values */
    unsigned holds;
    struct slice *names, *values;
    bool *faults; /* as in struct snapshot_env, never NULL */
    size_t count;
    char *bytes;
    uint64_t mark; /* catalog_snapshot: seen in this one, at `index` */
    uint32_t index;
};

struct catalog_module { /* counted; a text of _lib with what it was loaded with */
    unsigned holds;
    char *name, *file;
    struct catalog_text *text;
    uint64_t version;
    struct catalog_env *env;          /* NULL: not loaded yet */
    struct catalog_module **requires; /* a hold on each; by the last trial that loaded it */
    size_t require_count;
    uint64_t mark; /* as in catalog_env */
    uint32_t index;
};

struct catalog_loaded { /* counted, immutable: one successful load of a script */
    unsigned holds;
    struct catalog_text *text;
    uint64_t version;
    struct catalog_env *env;
    struct catalog_module **modules;
    size_t module_count;
    char *description;       /* JSON */
    struct endpoint *routes; /* made from it: for clash checks */
    bool is_public;          /* no verify */
};

struct catalog_script {
    char *name, *file;
    struct catalog_loaded *next;   /* what the next snapshot has; NULL: never loaded */
    struct catalog_loaded *live;   /* of the generation that was flipped last */
    struct catalog_loaded *before; /* of the one before that changed it: where to go back to */
    struct catalog_text *newer;    /* the newest text, when it is broken */
    char *error;                   /* its errors, one a line; NULL: the newest is in `next` */
    bool served, sound;            /* an upgrade: it had a live version before; and that was its newest text */
    bool clash;                    /* its error is about another script's route */
    bool env_fault;                /* its error is that of `env`, which could not be read */
    bool mended;                   /* its newest is in `next`, and error and newer are of before: until that is live */
    unsigned strikes;              /* workers that died while they loaded `next` */
    struct stamp stamp;            /* of its file when it was read last */
};

struct catalog_file { /* a module as it is in the folder now */
    char *path;
    struct stamp stamp;
    struct catalog_module *module; /* NULL: cannot be read */
};

struct catalog {
    struct catalog_script **scripts; /* sorted by name */
    size_t script_count;
    struct catalog_file *modules; /* sorted by path */
    size_t module_count;
    struct catalog_env *env; /* newest; NULL before the first trial */
    uint64_t next_version;
    uint64_t mark;
};

void catalog_free(struct catalog *c);

struct catalog_text *catalog_text_new(struct slice bytes);
struct catalog_text *catalog_text_hold(struct catalog_text *t);
void catalog_text_release(struct catalog_text **t);
static inline struct slice catalog_text_slice(const struct catalog_text *t)
{
    return t == NULL ? SLICE_NONE : (struct slice){t->at, t->len};
}
static inline bool catalog_text_is(const struct catalog_text *t, struct slice bytes)
{
    return t != NULL && slice_equal(catalog_text_slice(t), bytes);
}

/* Copies a set. */
struct catalog_env *catalog_env_new(const struct snapshot_env *set);
void catalog_env_release(struct catalog_env **e);
bool catalog_env_is(const struct catalog_env *e, const struct snapshot_env *set);

/* file: "_lib/x.lua", as in the snapshot. Holds text and env (may be NULL). */
struct catalog_module *catalog_module_new(const char *name, const char *file, struct catalog_text *text,
                                          uint64_t version, struct catalog_env *env);
struct catalog_module *catalog_module_hold(struct catalog_module *m);
void catalog_module_release(struct catalog_module **m);
/* Replaces what it requires; a hold is taken on each. */
void catalog_module_requires(struct catalog_module *m, struct catalog_module *const *requires, size_t count);

/* Holds text, env and modules, copies the description (JSON; words in err when it is none). One hold, or NULL. */
struct catalog_loaded *catalog_loaded_new(struct catalog_text *text, uint64_t version, struct catalog_env *env,
                                          struct catalog_module *const *modules, size_t module_count,
                                          struct slice description, struct error *err);
struct catalog_loaded *catalog_loaded_hold(struct catalog_loaded *l);
void catalog_loaded_release(struct catalog_loaded **l);
/* Sets *slot to l, with a hold; what was there is released. */
void catalog_loaded_set(struct catalog_loaded **slot, struct catalog_loaded *l);

/* By name, or NULL; place_out (may be NULL): where it is, or would be. */
struct catalog_script *catalog_find(const struct catalog *c, const char *name, size_t *place_out);
/* A new one with nothing loaded. The name must not be there. */
struct catalog_script *catalog_add(struct catalog *c, const char *name, const char *file);
void catalog_remove(struct catalog *c, size_t place);
/* Whether its newest text is not in `next`. */
static inline bool catalog_is_broken(const struct catalog_script *s)
{
    return s->error != NULL && !s->mended;
}
/* The newest text that is known: the broken one, else the one in `next`; or NULL. */
struct catalog_text *catalog_newest(const struct catalog_script *s);

/* The catalog as a snapshot (arrays owned by it: snapshot_free; texts borrowed from the catalog). */
void catalog_snapshot(struct catalog *c, uint64_t generation, struct snapshot *snap_out);
/* Fills an empty catalog from one: everything in it is live. -1 with words. */
int catalog_restore(struct catalog *c, const struct snapshot *snap, struct error *err);

#endif
