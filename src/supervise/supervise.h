/*
 * supervise.h: PROCESS supervisor: listening sockets, shared memory, children, watchdog. No Lua, no HTTP, no disk.
 */
#ifndef CRESCENT_SUPERVISE_SUPERVISE_H
#define CRESCENT_SUPERVISE_SUPERVISE_H

#include "base/config.h"
#include "supervise/notify.h"
#include "supervise/sockets.h"

struct supervise_start {
    struct config config; /* what the processes of the binary below are to serve */
    int config_text;      /* its sealed file, for them */
    int command_line;     /* the sealed list of arguments that HUP evaluates again; -1: there is none, HUP is refused */
    int binary;           /* the running one */
    char *binary_path;    /* where HUP looks for the next one; NULL: nowhere */
    /* by whoever has started the server, taken from the environment: */
    struct notify notify;
    struct sockets sockets; /* inherited ones */
};
/* Of one that is not run: closes what is open in it (-1, {0}: is not). */
void supervise_start_free(struct supervise_start *start);

/* Takes all of it. Serves until TERM or INT. Returns the exit code: 0 after a drain, 1 when it could not start (one
 * line on stderr said why; nothing is left running). */
int supervise_run(struct supervise_start *start);
/* The descriptor of a state to take over, taken out of the environment; -1: there is none. */
int supervise_given_state(bool *rehearsal_out);
/*
 * The program was put in the place of an older one (see takeover.h), with its state in that file: goes on serving, and
 * returns as supervise_run. rehearsal: only reads it, and ends the process, 0 when it could go on.
 */
int supervise_take_over(int state, bool rehearsal);

#endif
