/*
 * supervisor.h: the supervisor's state: what it holds, and each child as it knows it. Only for the files of this
 * folder. Owns: everything named here. Runs in: the supervisor's one thread.
 */
#ifndef CRESCENT_SUPERVISE_SUPERVISOR_H
#define CRESCENT_SUPERVISE_SUPERVISOR_H

#include "base/config.h"
#include "ipc/channel.h"
#include "ipc/heritage.h"
#include "shm/area.h"
#include "supervise/bound.h"
#include "supervise/candidate.h"
#include "supervise/edition.h"
#include "supervise/logbook.h"
#include "supervise/notify.h"
#include "supervise/orphans.h"
#include "supervise/restart.h"
#include "supervise/watchdog.h"

#include <sys/types.h>

#define SUPERVISOR_TRIALS 4    /* at once; the keeper asks for one at a time */
#define SUPERVISOR_STILLBORN 3 /* so many deaths before the first sign of service, and it is not worth trying */

struct child { /* the keeper, or a worker; its place outlives its processes, but for a replaced one's */
    enum heritage_kind kind;
    struct edition *edition; /* started from it, again and again; NULL: the place is free once its process has gone */
    uint32_t number;         /* of that edition, also when it is NULL */
    uint32_t slot;           /* worker: its place in shared memory */
    uint32_t member;         /* worker: its number, and the listening sockets that are its own */
    uint32_t incarnation;
    char name[24]; /* "worker 1" */
    pid_t pid;     /* 0: not running, nothing may be killed */
    struct channel *channel;
    bool ready;
    bool served;        /* was ready once, in this life or an earlier one; only upgrades look at it */
    bool doomed;        /* killed, not yet reaped */
    bool orphaned;      /* worker: others accept from its members */
    bool worn;          /* worker: it has asked for a successor (renewal.h); asks again after an upgrade */
    unsigned stillborn; /* lives that ended before `ready`, in a row */
    mono_t born;
    mono_t died;         /* its last life, while a next one is owed; MONO_NEVER: none */
    mono_t start_at;     /* when not running: its next start, or MONO_NEVER */
    mono_t leave_by;     /* without an edition: killed if it is still here then */
    mono_t silent_since; /* it closed its channel then, and should be gone soon; MONO_NEVER: no */
    struct restart restart;
    struct watchdog_stretch stretch;
    struct watchdog_queue queue;
    struct watchdog_pulse pulse;
};

struct supervisor_trial {
    pid_t pid; /* 0: free */
    uint32_t id;
    mono_t deadline;
    bool late;      /* killed for it */
    bool abandoned; /* whoever asked for it has died */
};

enum upgrade_state {
    UPGRADE_NONE,
    UPGRADE_TRYING,  /* the config child of the binary that stands at the path now; a rehearsal of the exec */
    UPGRADE_ROOM,    /* workers of earlier upgrades leave, where not all new ones would fit */
    UPGRADE_KEEPER,  /* the old keeper leaves, the new one starts */
    UPGRADE_WORKERS, /* all new workers start, the old ones serve on */
    UPGRADE_EXEC,    /* all others are of the new one: the supervisor itself, at a quiet moment */
    UPGRADE_BACK     /* it failed: the new keeper leaves, the old one starts */
};

struct upgrade { /* see upgrade.h */
    enum upgrade_state state;
    bool again; /* another one was asked for meanwhile */
    bool waits; /* for room, and has said so */
    struct candidate candidate;
    struct edition *next;
    uint32_t keeper_before; /* the incarnation before the new keeper's first */
    mono_t began;
    char before[32];     /* the version that served until now */
    pid_t rehearsal;     /* of the exec; 0: none is under way */
    mono_t rehearsal_by; /* killed if it is still here then */
    bool rehearsed;      /* with all that is to be handed over */
    mono_t deadline;     /* of the state */
    struct error why;    /* it failed, or is about to: the new keeper objects; empty: no */
};

enum supervisor_state { SUPERVISOR_STARTING, SUPERVISOR_RUNNING, SUPERVISOR_DRAINING, SUPERVISOR_STOPPED };

struct supervisor {
    struct edition *now; /* what serves */
    struct bound bound;
    int command_line;
    char *binary_path;
    enum supervisor_state state;
    int exit_code;
    int signals;
    struct area *area;
    int area_fd;
    struct logbook logbook;
    struct notify notify;
    struct child keeper;
    struct child workers[AREA_SLOTS]; /* by slot */
    uint32_t places;                  /* of them, those that were ever used are below it */
    struct supervisor_trial trials[SUPERVISOR_TRIALS];
    struct upgrade upgrade;
    struct orphans orphans;
    mono_t next_tick;
    mono_t deadline;    /* draining: who is still here then is killed */
    bool keeper_leaves; /* draining: the workers have gone, the keeper was told to */
};

#endif
