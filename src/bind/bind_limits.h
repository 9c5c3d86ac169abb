/*
 * bind_limits.h: the limits of what is read out of bodies, as they are set in this process, and their counts.
 * Owns: nothing. Runs in: the state's thread. Never fails, runs no Lua.
 */
#ifndef CRESCENT_BIND_BIND_LIMITS_H
#define CRESCENT_BIND_BIND_LIMITS_H

#include "base/config.h"
#include "script/state.h"
#include "shm/counters.h"

/* Of them json_depth, form_fields and parts: the settings, or their defaults where the process has none. */
const struct config_limits *bind_limits_of(struct state *s);
/* A body has passed one. */
void bind_limits_passed(struct state *s, enum counter which);

#endif
