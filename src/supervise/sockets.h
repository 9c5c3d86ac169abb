/*
 * sockets.h: the listening sockets: per TCP address a SO_REUSEPORT group with one member per worker, per unix socket
 * one that all workers share, and those of the keeper (admin, health). All are opened before any child starts, and none
 * is closed while serving: connections that wait in a member's queue would be lost with it. A new configuration gets a
 * set of its own, in which an address that stays has the same sockets. Owns: the descriptors (non-blocking,
 * close-on-exec), and the files of unix sockets that it has made. Runs in: the supervisor. Fails: naming the address.
 */
#ifndef CRESCENT_SUPERVISE_SOCKETS_H
#define CRESCENT_SUPERVISE_SOCKETS_H

#include "base/buf.h"
#include "base/config.h"
#include "base/time.h"
#include "ipc/heritage.h"

/* For a start: the children of a server that was killed hold its sockets until they have ended. */
#define SOCKETS_PATIENCE DUR_MS(500)

struct sockets_place;

struct sockets {                    /* born as {0} */
    struct heritage_socket *worker; /* what workers accept from: the groups' members, shared ones */
    size_t worker_count, worker_room;
    struct heritage_socket *keeper; /* of admin and health: one for each address */
    size_t keeper_count, keeper_room;
    struct sockets_place *places; /* the addresses that these are of */
    size_t place_count, place_room;
    /* JSON array; JSON string or null: the addresses bound, ports chosen */
    struct buf listen_urls, admin_urls, health_urls;
};

/*
 * Takes the listening sockets that the environment names (LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES: socket activation by
 * systemd or inetd's like) out of it, and into the empty set s: they serve once sockets_open gets this set as `have`,
 * for a configuration that has them. 0, also where there are none; -1, naming the variable, or the descriptor that is
 * no listening stream socket. They are never closed to a peer, nor their files removed: who made them has them still.
 */
int sockets_inherit(struct sockets *s, struct error *err);
/* The inherited sockets of a set, for the configuration: their number, and each as config_parse_inherited reads it. */
void sockets_inherited(const struct sockets *s, struct buf *out);

/*
 * Opens all of config's listeners into the empty set s, or none: 0, or -1 and "cannot listen on 127.0.0.1:8080: Address
 * already in use". have (may be NULL): the set of the configuration that serves now. An address that stands in both
 * (in numbers, the same port; port 0, for the same spelling of the host; a path that still leads to the socket) gets
 * duplicates of its sockets, as many members as were opened first; others are bound. have stays as it is, whatever
 * happens, and is closed by itself. patience: how long what is taken is waited for; without any it waits for nothing.
 */
int sockets_open(struct sockets *s, const struct config *config, const struct sockets *have, dur_t patience,
                 struct error *err);
/*
 * From now on nobody who knocks at the workers' sockets gets in: whoever is in is in the queues, or gets there within a
 * round trip, and no more come. So the last to close can take up all of them, and nobody who got in is reset. At TCP
 * the kernel answers no SYN: who knocks is not told, knocks again a second later, and is refused then (where the kernel
 * cannot, newcomers come in until the last close). The file of a unix socket is removed: who comes then is refused at
 * once. keep: NULL, for a drain: the set lets go of the sockets; or the set that replaces this one: what stands in both
 * stays as it is, and the others are still held. The keeper's stay as they are.
 */
void sockets_shut(struct sockets *s, const struct sockets *keep);
/* Appends the workers' groups whose sockets the set `keep` has not: u32 each, the index of the first in a heritage. */
void sockets_gone(const struct sockets *s, const struct sockets *keep, struct buf *out);
/*
 * Closes the set, leaves it empty. The files of its unix sockets are removed, but those that `keep` (may be NULL) has
 * too, and those that are no longer ours: another server's at the same path.
 */
void sockets_close(struct sockets *s, const struct sockets *keep);
/* Appends where the admin listener is bound, "127.0.0.1:8081 [::1]:8081"; nothing where that is no address of TCP. */
void sockets_admin(const struct sockets *s, struct buf *out);
/* The same of what workers accept from. */
void sockets_workers(const struct sockets *s, struct buf *out);
/* Whether a connection waits in a group's member that this worker of so many owns (heritage_owns). */
bool sockets_waiting(const struct sockets *s, uint32_t worker, uint32_t workers);

/*
 * For an exec in place: the set as bytes, with the descriptors by number, and (in the program that comes) the set from
 * them, descriptors taken. Before the exec the descriptors are made inheritable, after a failed one no more; read makes
 * each close-on-exec. read: 0, or -1 with words: bytes of another version, a descriptor that is no listening socket;
 * the set is empty then, and no descriptor was closed.
 */
void sockets_write(const struct sockets *s, struct buf *out);
int sockets_read(struct slice bytes, struct sockets *s, struct error *err);
int sockets_inheritable(const struct sockets *s, bool on);

#endif
