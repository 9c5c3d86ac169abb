/*
 * patrol.h: a look at everything now and then, for what the kernel tells nobody: mounts, other machines' writes to a
 * network file system, writes through a memory map or another name of the file, and all of it where nothing more can
 * be watched. A mount calls it within half a second. Else it costs at most a hundredth of a core: the more there is to
 * look at, the more seldom it comes. Owns: its timer. Runs in: the keeper's loop. Fails: never; a folder that cannot be
 * read is a state like others.
 */
#ifndef CRESCENT_RELOAD_PATROL_H
#define CRESCENT_RELOAD_PATROL_H

#include "io/timeout.h"
#include "load/env_sources.h"
#include "load/scan.h"

struct patrol {
    struct loop *loop;
    const char *hooks;
    const struct env_sources *sources;
    struct timeout next;
    int mounts;                        /* the mount table */
    mono_t due;                        /* for the next look */
    bool blind;                        /* nothing else tells of changes */
    bool unsettled;                    /* what was read last must be read again */
    uint64_t seen;                     /* by the last look */
    uint64_t found;                    /* by the last patrol */
    unsigned tries;                    /* patrols that found it moving, one after the other */
    bool trusts;                       /* what the last look saw was found by events */
    void (*differs)(struct patrol *p); /* time for a look: what is there is not what was seen, and has come to rest */
    bool (*busy)(struct patrol *p);    /* a look will come anyway */
};

void patrol_begin(struct patrol *p);
void patrol_end(struct patrol *p);
/* What a look saw; NULL: it could not read the folder. */
void patrol_saw(struct patrol *p, const struct scan *scan);
/* Where events cannot be had it comes each second. */
void patrol_blind(struct patrol *p, bool blind);
/* Whether what is there has changed since the look that a patrol asked for: what events would tell of other looks. */
bool patrol_restless(struct patrol *p);

#endif
