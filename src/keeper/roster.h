/*
 * roster.h: the workers as they come and go: a link each, known by the supervisor's word, greeted by its own hello.
 * Owns: the links. Runs in: the keeper's loop. Fails: a worker whose hello is not what the supervisor announced loses
 * its link.
 */
#ifndef CRESCENT_KEEPER_ROSTER_H
#define CRESCENT_KEEPER_ROSTER_H

#include "io/loop.h"
#include "ipc/messages.h"

struct roster;

struct roster_host {
    struct loop *loop;
    uint32_t places; /* slots that there are */
    void (*joined)(void *cookie, uint32_t slot, uint32_t incarnation, uint64_t generation);
    void (*left)(void *cookie, uint32_t slot); /* only of one that joined */
    void (*prepared)(void *cookie, uint32_t slot, const struct message_prepared *m);
    void *cookie;
};

struct roster *roster_new(const struct roster_host *host);
void roster_free(struct roster **r);
/* The supervisor links us with this worker; an earlier one in its place has gone. Takes the socket. */
void roster_peer(struct roster *r, const struct message_peer *m);
/* The snapshot's descriptor in m is duplicated for each; m keeps its own. */
void roster_send_all(struct roster *r, const struct message *m);
/* Takes the descriptors in m. */
void roster_send(struct roster *r, uint32_t slot, const struct message *m);
size_t roster_count(const struct roster *r);

#endif
