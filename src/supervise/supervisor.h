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
#include "supervise/logbook.h"
#include "supervise/notify.h"
#include "supervise/restart.h"
#include "supervise/snapshots.h"
#include "supervise/sockets.h"
#include "supervise/watchdog.h"

#include <sys/types.h>

#define SUPERVISOR_TRIALS 4    /* at once; the keeper asks for one at a time */
#define SUPERVISOR_STILLBORN 3 /* so many deaths before the first sign of service, and it is not worth trying */

struct child { /* the keeper, or a worker; its place outlives its processes */
    enum heritage_kind kind;
    uint32_t slot;   /* worker: its place in shared memory */
    uint32_t member; /* worker: its number, and the listening sockets that are its own */
    uint32_t incarnation;
    char name[24]; /* "worker 1" */
    pid_t pid;     /* 0: not running, nothing may be killed */
    struct channel *channel;
    bool ready;
    bool doomed;        /* killed, not yet reaped */
    bool orphaned;      /* worker: others accept from its members */
    unsigned stillborn; /* lives that ended before `ready`, in a row */
    mono_t born;
    mono_t died;         /* its last life, while a next one is owed; MONO_NEVER: none */
    mono_t start_at;     /* when not running: its next start, or MONO_NEVER */
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

enum supervisor_state { SUPERVISOR_STARTING, SUPERVISOR_RUNNING, SUPERVISOR_DRAINING, SUPERVISOR_STOPPED };

struct supervisor {
    const struct config *config;
    int config_text; /* borrowed */
    enum supervisor_state state;
    int exit_code;
    int signals;
    struct area *area;
    int area_fd;
    struct logbook logbook;
    struct sockets sockets;
    struct notify notify;
    struct snapshots snapshots;
    struct child keeper;
    struct child *workers; /* config->workers */
    struct supervisor_trial trials[SUPERVISOR_TRIALS];
    mono_t next_tick;
    mono_t deadline;    /* draining: who is still here then is killed */
    bool keeper_leaves; /* draining: the workers have gone, the keeper was told to */
};

#endif
