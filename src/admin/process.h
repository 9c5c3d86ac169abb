/*
 * process.h: open descriptors of this server's processes, as /proc shows them.
 * Runs in: the keeper. Never fails: a process that has gone meanwhile is left out.
 */
#ifndef CRESCENT_ADMIN_PROCESS_H
#define CRESCENT_ADMIN_PROCESS_H

#include "base/buf.h"

enum admin_process { ADMIN_PROCESS_SUPERVISOR, ADMIN_PROCESS_KEEPER, ADMIN_PROCESS_WORKER, ADMIN_PROCESS_KINDS };

/* The sums for each kind; in an upgrade both its old and new ones. */
void admin_process_descriptors(uint64_t sums_out[ADMIN_PROCESS_KINDS]);

#endif
