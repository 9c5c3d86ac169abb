/*
 * sockets_internal.h: what the files of the listening sockets share: sockets.c, sockets_bind.c, sockets_inherited.c,
 * sockets_state.c.
 */
#ifndef CRESCENT_SUPERVISE_SOCKETS_INTERNAL_H
#define CRESCENT_SUPERVISE_SOCKETS_INTERNAL_H

#include "supervise/sockets.h"

#include <netinet/in.h>

/* One address, of a host with several one of them. Its sockets stand together in the set's array of workers or keeper.
 */
struct sockets_place {
    char *address;          /* without scheme: what it is recognised by in another configuration; owned */
    char *path;             /* the file of a unix socket that we have made; owned; NULL: none */
    uint64_t device, inode; /* that file, as it was made */
    bool keeper;            /* whose sockets: the keeper's, else the workers' */
    size_t first, count;
};

/* One address while its sockets are opened; port 0 is replaced by the one that the first socket got. */
struct sockets_target {
    struct sockaddr_storage at;
    socklen_t len;
};

in_port_t sockets_target_port(const struct sockets_target *t);
/* From numbers, such as "127.0.0.1", "fe80::1%eth0", and a port in the network's order. -1: it is none. */
int sockets_target_read(struct slice number, in_port_t port, struct sockets_target *t_out);
/*
 * sockets_bind.c: a group of `members` for one TCP address, after one bind without the group's flag has found it free;
 * a single TCP socket. A taken port is waited for as long as patience says. Descriptors are appended to `fds`. 0, or
 * -1 with errno; those opened before a failure stay in fds.
 */
int sockets_bind_group(struct sockets_target *t, uint32_t members, dur_t patience, int *fds, size_t *count);
int sockets_bind_one(struct sockets_target *t, dur_t patience, int *fd_out);
/* A listening unix socket at path, its file with `mode`. 0, or -1 with words. */
int sockets_bind_unix(const char *path, unsigned mode, dur_t patience, int *fd_out, struct error *err);
/* Whether a socket of the set is at that address and port, or one of both is at every address: who, in words. */
bool sockets_overlap(const struct sockets *s, const struct sockets_target *t, struct buf *who_out);
/* The file that stands at the path, if it is a socket; false: none is. */
bool sockets_file(const char *path, uint64_t *device_out, uint64_t *inode_out);

/* "127.0.0.1:8080", "[::1]:8080", "unix:/run/x.sock"; an abstract name's NUL as '@', control characters as '?'. */
void sockets_address(const struct sockaddr_storage *at, socklen_t len, struct buf *out);
/* sockets.c, for the others */
struct sockets_place *sockets_add_place(struct sockets *s);
void sockets_add(struct sockets *s, struct sockets_place *place, struct heritage_socket one);

#endif
