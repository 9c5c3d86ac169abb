/*
 * config_files.h: the setting files: whether scripts can work in its folder, as the user that they run as. One that was
 * named, and out of reach, is refused; one that can only be read is good for what is read there; the default is not
 * wanted by everybody. So the last two are warned of.
 * Owns: nothing. Runs in: config child. Fails: with words.
 */
#ifndef CRESCENT_CLI_CONFIG_FILES_H
#define CRESCENT_CLI_CONFIG_FILES_H

#include "base/config.h"

/* where: who named the folder. Whether it is, or would be made, in a file system that takes no files (/proc). -1 with
 * words. */
int config_files_place(const char *files, const char *where, struct error *err);
/* where: who named the folder; NULL: it is the default, and passes. A folder that is not there passes if it can be
 * made. -1 with words. */
int config_files_check(const struct config *c, const char *where, struct error *err);
/* Logs that scripts cannot save there, and why. */
void config_files_warn(const struct config *c);

#endif
