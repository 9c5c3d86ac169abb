/*
 * supervise.h: PROCESS supervisor: listening sockets, shared memory, children, watchdog. No Lua, no HTTP, no disk.
 */
#ifndef CRESCENT_SUPERVISE_SUPERVISE_H
#define CRESCENT_SUPERVISE_SUPERVISE_H

#include "base/config.h"
#include "supervise/notify.h"
#include "supervise/sockets.h"

struct supervise_given { /* by whoever has started the server; it was taken from the environment */
    struct notify notify;
    struct sockets sockets; /* inherited ones */
};
void supervise_given_free(struct supervise_given *given);

/* Serves until TERM or INT. config_text: the sealed file of `config` for the children. given: taken, and left empty.
 * Returns the exit code: 0 after a drain, 1 when it could not start (one line on stderr said why; nothing is left
 * running). */
int supervise_run(const struct config *config, int config_text, struct supervise_given *given);

#endif
