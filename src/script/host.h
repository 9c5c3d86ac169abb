/*
 * host.h: what the process gives a Lua state to live on. Loading processes (trial, check) give no loop: there,
 * whatever waits says that it cannot be used while a script loads.
 * Plain data; all of it outlives the state.
 */
#ifndef CRESCENT_SCRIPT_HOST_H
#define CRESCENT_SCRIPT_HOST_H

#include "base/log.h"
#include "base/time.h"
#include <stdbool.h>
#include <stddef.h>

struct loop;
struct redact;
struct progress;
struct config_limits;
struct counters;
struct pool;
struct exec;
struct calls;
struct httpc;

#define HOST_LABELS_MAX 3
#define HOST_TRACE 55 /* the length of a traceparent */

struct host_labels { /* whose a log line is */
    char request[36], trace[32];
    struct log_field fields[HOST_LABELS_MAX];
};

struct host_full {    /* a state that what scripts keep has filled: script/fullness */
    size_t held;      /* bytes, when nothing is garbage */
    const char *most; /* the file whose variables hold most of it; NULL: it is not known. Borrowed for the call */
    size_t most_bytes;
};

struct script_host {
    struct loop *loop;         /* NULL: nothing may wait */
    struct progress *progress; /* NULL: nobody watches */
    struct counters *counters; /* NULL: not counted */
    struct pool *pool;         /* NULL: no files */
    const char *files;         /* the folder of req:save; NULL with pool */
    struct exec *exec;         /* NULL: no program may be started */
    struct calls *calls;       /* what is asked of the keeper; NULL with loop */
    struct httpc *http;        /* NULL: no requests go out */
    bool http_private;         /* false: none to private addresses */
    size_t memory;             /* ceiling of the state, bytes */
    dur_t max_run;             /* of a top level; 0: stretches are not interrupted (load/limit bounds a trial) */
    const struct config_limits *limits; /* of what peers send; NULL: the defaults */
    struct redact *redact;              /* learns the values of env; NULL: nothing is kept from the log */
    /* Fills the labels for the task with this cookie; how many fields. NULL: none. */
    size_t (*labels)(void *cookie, struct host_labels *labels);
    /* The W3C trace that the task with this cookie belongs to, as its callees are told; false: none was named. */
    bool (*trace)(void *cookie, char text_out[HOST_TRACE]);
    /* When the task with this cookie is cancelled for having taken too long; MONO_NEVER: it is not. NULL: never. */
    mono_t (*deadline)(void *cookie);
    /* Told between stretches. NULL: it is not looked for. */
    void (*full)(void *owner, const struct host_full *full);
    void *owner;
    bool sandbox; /* false: Lua's own libraries whole */
    bool jit;     /* false while loading: then a stuck top level can be interrupted anywhere */
};

#endif
