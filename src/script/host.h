/*
 * host.h: what the process gives a Lua state to live on. Loading processes (trial, check) give no loop: there,
 * whatever waits says that it cannot be used while a script loads.
 * Plain data; all of it outlives the state.
 */
#ifndef CRESCENT_SCRIPT_HOST_H
#define CRESCENT_SCRIPT_HOST_H

#include "base/slice.h"
#include "base/time.h"
#include <stdbool.h>
#include <stddef.h>

struct loop;
struct progress;
struct counters;
struct pool;

struct script_host {
    struct loop *loop;         /* NULL: nothing may wait */
    struct progress *progress; /* NULL: nobody watches */
    struct counters *counters; /* NULL: not counted */
    struct pool *pool;         /* NULL: no files */
    const char *files;         /* the folder of req:save; NULL with pool */
    size_t memory;             /* ceiling of the state, bytes */
    bool sandbox;              /* false: Lua's own libraries whole */
    bool jit;                  /* false while loading: then a stuck top level can be interrupted anywhere */
};

#endif
