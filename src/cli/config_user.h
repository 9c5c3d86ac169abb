/*
 * config_user.h: the setting `user`: who keeper, workers and trials run as.
 * Runs in: the config child. Fails: with words.
 */
#ifndef CRESCENT_CLI_CONFIG_USER_H
#define CRESCENT_CLI_CONFIG_USER_H

#include "base/config.h"

/* "NAME" or "NAME:GROUP", each a name or a number, looked up now: its ids and supplementary groups. */
int config_user_find(const char *text, struct jail_user *user_out, struct error *err);
/*
 * Whether the user, if there is one, can do its work: read hooks and `.env`, write where store and log are. To be asked
 * last: the process is that user meanwhile, and itself again afterwards.
 */
int config_user_check(const struct config *c, struct error *err);

#endif
