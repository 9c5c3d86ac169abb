/*
 * asker.h: whether who asks the admin listener over TCP may be code that scripts or a worker that was taken over runs:
 * all that runs as the user of scripts. The kernel's table of sockets (sock_diag(7)) says whose the other end is. It
 * tells something only where that user is not the operator's: where the server became another user than it was
 * started as. Owns: the way to that table. Runs in: the keeper. Fails: closed, for a connection; with a log line at the
 * start, where the kernel has no such table.
 */
#ifndef CRESCENT_ADMIN_ASKER_H
#define CRESCENT_ADMIN_ASKER_H

#include "ipc/heritage.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct asker {
    int table; /* a netlink socket; below 0: everybody may ask */
    uint32_t sequence;
    uid_t user;
    /* A bit for each port where workers listen: they hold these sockets, which are the supervisor's, and can make
     * connections of them. */
    uint8_t ports[(UINT16_MAX + 1) / 8];
};

/* Everybody may ask. */
void asker_init(struct asker *a);
/*
 * From now on those of `user` may not. Must be called before the jail, which lets no process open such a socket.
 * heritage: its admin sockets are what is asked, `bound` where workers listen, or may still. Where none of them is of
 * TCP, everybody who can reach it may ask: the path of a unix socket has a mode.
 */
void asker_begin(struct asker *a, uid_t user, const struct heritage *heritage);
/*
 * Whether who is at the other end of this connection may ask: somebody else's socket on this machine, that is held by
 * somebody still. Who cannot be found may not, for it may be gone on purpose. To be called before each answer.
 */
bool asker_may(struct asker *a, int connection);

#endif
