/*
 * listener.h: accepts: on the worker's own members and the shared sockets, and on the members of workers that are
 * dead, starting or stuck, as long as it is told so. Owns: the listening descriptors of this process.
 * Runs in: the worker's thread. Fails: out of descriptors or memory, it pauses for a moment and goes on.
 */
#ifndef CRESCENT_SERVER_LISTENER_H
#define CRESCENT_SERVER_LISTENER_H

#include "base/slice.h"
#include <stdbool.h>
#include <stdint.h>

struct server;

/* Takes the sockets of the heritage; accepts nothing yet. */
void listener_open(struct server *s);
void listener_start(struct server *s);
/*
 * Draining: accepts on every member, also those of workers that cannot, for no more come in (see supervise/sockets.h).
 * listener_close takes up what waits there still and lets go of the sockets; no other function is called after it.
 */
void listener_last_call(struct server *s);
void listener_close(struct server *s);
/* Replaced: lets go of all sockets but those of the groups in gone (u32 each: the index of its first socket in the
 * heritage): there it goes on as in the last call. */
void listener_leave(struct server *s, struct slice gone);
/* The members of another worker: accept there too, or no more. */
void listener_adopt(struct server *s, uint32_t member, bool on);

#endif
