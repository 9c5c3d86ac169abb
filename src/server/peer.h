/*
 * peer.h: what the kernel knows of the other end of a connection that libh2o does not poll just now: whether it is
 * still there, and how much of what was written it has taken in. TCP and unix sockets.
 * Owns nothing. Runs in: the worker's thread. Never fails: where the kernel cannot tell, the peer is taken to be there,
 * and to take in what was written.
 */
#ifndef CRESCENT_SERVER_PEER_H
#define CRESCENT_SERVER_PEER_H

#include <stdbool.h>
#include <stdint.h>

enum peer {
    PEER_THERE,
    PEER_SAID_ALL, /* it will send no more: it may have gone, or only have shut down its sending side */
    PEER_GONE,
};
enum peer peer_look(int fd);
/* A number that changes when the peer takes something in; written: bytes given to the kernel so far. */
uint64_t peer_progress(int fd, uint64_t written);
/* Bytes that it has taken in; where the kernel does not say, those that the kernel has. written: as above. */
uint64_t peer_taken(int fd, uint64_t written);
/* Whether there is something that it has not taken in. */
bool peer_owes(int fd);

#endif
