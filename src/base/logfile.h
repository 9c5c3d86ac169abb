/*
 * logfile.h: the log's file is opened, and made where there is none. Root, where keeper and workers become another
 * user, does it as that user: so it reaches nothing that this user does not, wherever links lead. In a folder that the
 * user cannot write to, root makes the file and gives it to the user; but only where no folder on the way can be
 * changed by anybody but root, and by no link. A file that is there is never given away.
 * Owns nothing. Runs in: the supervisor and the config child; keeper and trial, as who they are. Fails: with words.
 */
#ifndef CRESCENT_BASE_LOGFILE_H
#define CRESCENT_BASE_LOGFILE_H

#include "base/error.h"
#include "base/jail.h"

/* Opens the file to append to, made with mode 0640 where there is none; a pipe without a reader is an error. path:
 * absolute. user: who shall write to it, too; NULL, or without a name: who we are. The caller closes it. -1 with words.
 */
int logfile_open(const char *path, const struct jail_user *user, struct error *err);

#endif
