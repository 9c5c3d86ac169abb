/*
 * internal.h: what the parts of reload/ share: the state of the round under way. reload.c is the face, examine.c finds
 * what changed, round.c takes what the trial says, clash.c settles routes, publish.c makes it live.
 */
#ifndef CRESCENT_RELOAD_INTERNAL_H
#define CRESCENT_RELOAD_INTERNAL_H

#include "io/timeout.h"
#include "reload/attempt.h"
#include "reload/catalog.h"
#include "reload/reload.h"
#include "reload/unreadable.h"
#include "reload/watch.h"

enum reload_state { RELOAD_IDLE, RELOAD_TRYING, RELOAD_KEEPING, RELOAD_PREPARING };

struct reload_worker {
    bool linked, prepared;
    uint32_t incarnation;
    uint64_t sequence; /* of its progress, when last looked at */
    mono_t moved;      /* when that changed */
};

struct reload_try { /* one script of the round */
    struct catalog_script *script;
    struct catalog_text *text; /* a hold */
};

struct reload {
    struct reload_host host;
    struct catalog catalog;
    struct redact *redact; /* all values of env that any text of it was loaded with: routes hold them, too */
    struct watch *watch;
    struct attempt *attempt;
    enum reload_state state;
    mono_t began;    /* the round */
    mono_t patience; /* what is ready waits for what comes after it until then; MONO_NEVER: nothing waits */

    bool look;       /* something changed: look again when idle */
    bool all;        /* the env values changed: the next round tries every script */
    bool trying_all; /* this one does */
    bool ask_env;    /* a file of theirs changed, or may have (a new keeper): have a trial read them */
    bool relieves;   /* an upgrade: until the first flip, those of the edition before serve */
    bool owes;       /* and serve at least one script */
    bool changed;    /* the next snapshot differs from the live one */
    char *env_error; /* why they could not be read, as last logged; NULL: they could */
    struct env_sources sources;
    struct stamp env_stamp;
    char *scan_error;             /* why the folder could not be read, as last logged; NULL: it can */
    struct unreadable unreadable; /* below it, as last logged */

    struct reload_try *tries; /* as in the candidate */
    size_t try_count;
    size_t *module_places; /* of the candidate's modules in catalog.modules */

    uint64_t generation, next_generation; /* live, and on its way (or last used) */
    int snapshot, next_snapshot;          /* their descriptors, -1: none */
    struct reload_worker *workers;        /* AREA_SLOTS of them */
    mono_t prepare_began;
    bool desperate; /* what is live kills workers as they start: none may be left to prepare the next */
    struct timeout tick, retry;
};

#endif
