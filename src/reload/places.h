/*
 * places.h: the inodes that inotify watches, each with what it is watched for.
 * Owns: the inotify descriptor and its watches. Runs in: the keeper's loop. Fails: where the kernel watches no more,
 * that is told at the end of a pass; a path that is not there is no fault.
 */
#ifndef CRESCENT_RELOAD_PLACES_H
#define CRESCENT_RELOAD_PLACES_H

#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>

enum place_kind { /* one inode may be of several */
                  PLACE_NONE = 0,
                  PLACE_SCANNED = 1,     /* a folder of scripts */
                  PLACE_ENV = 2,         /* the folder of .env, for that name */
                  PLACE_PARENT = 4,      /* the folder above the hooks folder, for that name */
                  PLACE_WAY = 8,         /* a link or a folder that something else is reached through */
                  PLACE_FILE = 16,       /* a file reached through a link */
                  PLACE_CREDENTIALS = 32 /* a folder of env values */
};

struct place {
    int wd;
    unsigned kinds, before; /* in this pass, and in the one before */
    char *path;             /* as it was added in the latest pass: to look at what an event names */
};

struct places;

struct places *places_new(void);
void places_free(struct places **p);
/* The inotify descriptor, or -1 where there is none. */
int places_fd(const struct places *p);

/* A pass: begin, add all that shall be watched, end. What was not added is watched no more. */
void places_begin(struct places *p);
/* True when this inode was not watched as that before. */
bool places_add(struct places *p, const char *path, enum place_kind kind);
/* Every link and folder that an absolute path leads through, and what is at its end as `end` (PLACE_NONE: not that).
 * True when one of them was not watched as that before. */
bool places_add_way(struct places *p, const char *path, enum place_kind end);
/* 0, or -1 when something could not be watched: why, in words. */
int places_end(struct places *p, struct error *err);

/* By an event's watch descriptor; NULL: not watched any more. */
const struct place *places_find(const struct places *p, int wd);
/* The kernel has dropped it (IN_IGNORED). */
void places_forget(struct places *p, int wd);

#endif
