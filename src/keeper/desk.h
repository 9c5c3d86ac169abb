/*
 * keeper/desk.h: what workers ask of the store: each message checked, made an operation, and answered when it is
 * committed. A worker's calls are bounded by ipc/calls.h on its side; what passes that bound, or is none, ends its
 * link. Owns: the operations under way. Runs in: the keeper's loop. Fails: without a store every call is answered as
 * not done.
 */
#ifndef CRESCENT_KEEPER_DESK_H
#define CRESCENT_KEEPER_DESK_H

#include "ipc/messages.h"
#include "store/store.h"
#include <stdbool.h>

struct keeper_desk;

/* send: an answer to the worker in this slot. store: NULL, none. */
struct keeper_desk *keeper_desk_new(uint32_t places, struct store *store,
                                    void (*send)(void *cookie, uint32_t slot, const struct message *m), void *cookie);
/* All operations must have been told (store_free). Leaves NULL. */
void keeper_desk_free(struct keeper_desk **d);
/* False: no worker of ours says that. */
bool keeper_desk_kv(struct keeper_desk *d, uint32_t slot, const struct message_kv *m);
/* The worker has gone: what it asked is done all the same, and not answered. */
void keeper_desk_left(struct keeper_desk *d, uint32_t slot);

#endif
