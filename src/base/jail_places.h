/*
 * jail_places.h: the files that keeper, worker and trial need, out of the configuration: what jail_enter leaves them.
 * A worker writes beneath `files` alone. It reads what its user may, but not the server's secrets (the store, `.env`,
 * `crescent.lua` or what `--config` names, the private keys of `tls`), nor /dev and /etc/shadow. In the folders that
 * lead to one of these that the user could read, it reads what is there when it starts (jail_libraries.h: what of that
 * is replaced). A trial reads the same and writes nothing. A keeper reads everything that its user may, and writes
 * where the store and the log are. Owns: its list. Runs in: the process that will be jailed, as its user, at its start.
 * Fails: never; what is not there is left out.
 */
#ifndef CRESCENT_BASE_JAIL_PLACES_H
#define CRESCENT_BASE_JAIL_PLACES_H

#include "base/config.h"
#include "base/jail.h"

/*
 * jail_enter with these files. With the setting `sandbox` off a worker's and a trial's scripts have Lua's own libraries
 * whole, so that they may reach any file and start programs. Where the kernel has no rules for files, a log line says
 * so. -1 with words.
 */
int jail_places_enter(const struct config *c, enum jail_role role, struct error *err);

#endif
