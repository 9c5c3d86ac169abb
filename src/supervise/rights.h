/*
 * rights.h: what the supervisor gives up of its own rights, by the configuration that serves.
 * Owns nothing. Runs in: the supervisor, at its start, with each edition that comes to serve, and after an exec in
 * place (which gives root all capabilities again). Fails: with words.
 */
#ifndef CRESCENT_SUPERVISE_RIGHTS_H
#define CRESCENT_SUPERVISE_RIGHTS_H

#include "base/config.h"

/* Where there is a user for its children to become, the supervisor keeps few capabilities (see jail_keep_few). */
int rights_give_up(const struct config *config, struct error *err);
/* A line of the log where scripts have all rights of root. */
void rights_warn(const struct config *config);

#endif
