/*
 * config_tls_files.h: from the drafted TLS entries to those of the configuration: files read, and all of it tried as
 * the workers will use it.
 * Runs in: the config child of serve. Fails: one line that names file and cause.
 */
#ifndef CRESCENT_CLI_CONFIG_TLS_FILES_H
#define CRESCENT_CLI_CONFIG_TLS_FILES_H

#include "cli/config_load.h"

int config_tls_files_finish(struct config_draft *d, struct error *err);
/* Logs what can serve and yet is not as it should be: certificates and OCSP responses out of date. */
void config_tls_files_warn(const struct config *c);

#endif
