/*
 * jail_sockets.h: the filter's rules for sockets: which there may be, their options, and what is sent over them. Whom
 * they connect to a filter cannot see: that is Landlock's part.
 * Owns: nothing. Runs in: the process itself, before it has threads. Fails: with libseccomp's negative errno; 0 else.
 */
#ifndef CRESCENT_BASE_JAIL_SOCKETS_H
#define CRESCENT_BASE_JAIL_SOCKETS_H

#include "base/jail.h"

#include <seccomp.h>

int jail_sockets(scmp_filter_ctx filter, const struct jail_rules *rules);

#endif
