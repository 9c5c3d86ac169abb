/*
 * link.h: a channel on a loop, with a table of handlers. Writes are gathered and sent once at the end of a pass.
 * Owns: its channel. Runs in: the loop's thread. Fails: the other side's end is told once, through `ended`.
 */
#ifndef CRESCENT_IPC_LINK_H
#define CRESCENT_IPC_LINK_H

#include "io/loop.h"
#include "ipc/channel.h"

struct link;

/* A message without a handler ends the link ("unexpected message"). Handlers may free the link. */
struct link_handlers {
    void (*on[MESSAGE_COUNT])(struct link *l, const struct message *m, void *cookie);
    void (*ended)(struct link *l, const char *why, void *cookie); /* once; free the link in it or later */
};

/* Takes the descriptor. handlers must stay valid. */
struct link *link_new(struct loop *loop, int fd, const struct link_handlers *handlers, void *cookie);
void link_free(struct link **l);
void link_send(struct link *l, const struct message *m);
/* Of a message without descriptors that is written already. */
void link_send_body(struct link *l, enum message_type type, struct slice body);
/* Handles what has arrived now, without waiting for the loop (a worker that must prepare before its next request). */
void link_drain(struct link *l);

#endif
