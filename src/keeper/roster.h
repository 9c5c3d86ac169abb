/*
 * roster.h: the workers as they come and go: a link each, known by the supervisor's word, greeted by its own hello.
 * In an upgrade workers of the other edition are linked as well: they finish what they have, with this keeper's store.
 * They are guests: no reload concerns them. Owns: the links. Runs in: the keeper's loop. Fails: a worker whose hello is
 * not what the supervisor announced, or whose calls make no sense, loses its link.
 */
#ifndef CRESCENT_KEEPER_ROSTER_H
#define CRESCENT_KEEPER_ROSTER_H

#include "io/loop.h"
#include "ipc/messages.h"

struct roster;

struct roster_host {
    struct loop *loop;
    uint32_t places;  /* slots that there are */
    uint32_t edition; /* of this keeper */
    void (*joined)(void *cookie, uint32_t slot, uint32_t incarnation, uint64_t generation);
    void (*left)(void *cookie, uint32_t slot); /* only of one that joined */
    void (*prepared)(void *cookie, uint32_t slot, const struct message_prepared *m);
    /* Of guests, too. False: it makes no sense. */
    bool (*kv)(void *cookie, uint32_t slot, const struct message_kv *m);
    void (*gone)(void *cookie, uint32_t slot); /* its link has ended, or makes way for another */
    void *cookie;
};

struct roster *roster_new(const struct roster_host *host);
void roster_free(struct roster **r);
/* The supervisor links us with this worker; an earlier one in its place has gone. Takes the socket. */
void roster_peer(struct roster *r, const struct message_peer *m);
/* To all but guests. The snapshot's descriptor in m is duplicated for each; m keeps its own. */
void roster_send_all(struct roster *r, const struct message *m);
/* To a guest, too. Takes the descriptors in m. */
void roster_send(struct roster *r, uint32_t slot, const struct message *m);
/* Without guests. */
size_t roster_count(const struct roster *r);

#endif
