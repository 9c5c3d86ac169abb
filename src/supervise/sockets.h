/*
 * sockets.h: the listening sockets: per TCP address a SO_REUSEPORT group with one member per worker, and one socket
 * for the admin listener. All are opened before any child starts, and none is closed while serving: connections that
 * wait in a member's queue would be lost with it.
 * Owns: the descriptors (non-blocking, close-on-exec). Runs in: the supervisor. Fails: at start, naming the address.
 */
#ifndef CRESCENT_SUPERVISE_SOCKETS_H
#define CRESCENT_SUPERVISE_SOCKETS_H

#include "base/buf.h"
#include "base/config.h"
#include "ipc/heritage.h"

struct sockets {                 /* born as {0} */
    struct heritage_socket *tcp; /* the groups' members */
    size_t tcp_count, tcp_room;
    struct heritage_socket *admin; /* one, or several where a name has several addresses */
    size_t admin_count, admin_room;
    struct buf listen_urls, admin_urls; /* JSON array; JSON string or null: the addresses bound, ports chosen */
};

/* Opens all of config's listeners, or none. 0, or -1: "cannot listen on 127.0.0.1:8080: Address already in use". */
int sockets_open(struct sockets *s, const struct config *config, struct error *err);
/*
 * From now on the kernel answers nobody who knocks at the groups: whoever is in is in their queues, or gets there
 * within a round trip, and no more come. So the last to close can take up all of them, and nobody who got in is reset.
 * Who knocks is not told: he knocks again a second later, and is refused then. Where the kernel cannot, newcomers come
 * in until the last close.
 */
void sockets_shut(const struct sockets *s);
void sockets_close(struct sockets *s);
/* Whether a connection waits to be accepted on one of this worker's members. */
bool sockets_waiting(const struct sockets *s, uint32_t member);

#endif
