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
void sockets_close(struct sockets *s);
/* Whether a connection waits to be accepted on one of this worker's members. */
bool sockets_waiting(const struct sockets *s, uint32_t member);

#endif
