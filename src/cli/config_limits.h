/*
 * config_limits.h: limits that are set, and that another one always comes before; and a default that fits.
 * Owns: nothing. Runs in: config child. Never fails.
 */
#ifndef CRESCENT_CLI_CONFIG_LIMITS_H
#define CRESCENT_CLI_CONFIG_LIMITS_H

#include "base/config.h"

/* limits.connections at its default: what the hard limit of descriptors of each worker has room for, if that is less.
 * So idle ones make way for newcomers there too, as where the whole default is reached. */
void config_limits_fit(struct config *c);
/* Logs each one that somebody has set, with the one that comes first. */
void config_limits_warn(const struct config *c);

#endif
