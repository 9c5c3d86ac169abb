/*
 * config_log.h: the setting log.file: that it is nothing else of the server's, and can be written.
 * Owns: nothing. Runs in: config child, check, routes. Fails: one line, naming who named the log, and what it is.
 */
#ifndef CRESCENT_CLI_CONFIG_LOG_H
#define CRESCENT_CLI_CONFIG_LOG_H

#include "cli/config_load.h"

/*
 * Whether the log would be written into what is something else: the store, a script, `.env`, the configuration, a file
 * of `tls`, or where scripts write. The paths of the configuration are set. -1 with words.
 */
int config_log_place(const struct config_draft *d, struct error *err);
/* Opens it, as the user that it will be written as; so it may make it. -1 with words. */
int config_log_try(const struct config_draft *d, struct error *err);

#endif
