/*
 * channel.h: framed messages and descriptors over a Unix stream socket pair. Knows no loop: the owner waits with poll.
 * Owns: its socket, queued bytes and the descriptors queued or not yet taken. Runs in: one thread.
 * Fails: a peer that ended, or sent what is no message, ends the channel; it never ends the process.
 */
#ifndef CRESCENT_IPC_CHANNEL_H
#define CRESCENT_IPC_CHANNEL_H

#include "ipc/messages.h"
#include <stdbool.h>

struct channel;

#define CHANNEL_QUEUE_MAX (64u << 20) /* bytes queued for a peer that does not read: beyond, the channel ends */

/* Both ends close-on-exec, non-blocking. 0 or -1 with errno. */
int channel_pair(int fds_out[2]);
/* Takes the descriptor. */
struct channel *channel_new(int fd);
void channel_free(struct channel **c);
int channel_fd(const struct channel *c);
/* Queues a message and tries to send. Descriptors in it are the channel's from now on, closed once sent (or on the
 * channel's end): pass a dup to keep one. On an ended channel: nothing but closing them. */
void channel_send(struct channel *c, const struct message *m);
/* The same without trying to send: the owner calls channel_write when it has gathered enough. */
void channel_queue(struct channel *c, const struct message *m);
/* The same of a message without descriptors that is written already (messages_write). */
void channel_queue_body(struct channel *c, enum message_type type, struct slice body);
/* Whether something waits for the socket to become writable. */
bool channel_wants_write(const struct channel *c);
/* Whether nothing is half done: all was sent, and all that was read was taken. */
bool channel_quiet(const struct channel *c);
/* Call when the socket is readable (writable). Returns 0, or -1 when the channel has ended. */
int channel_read(struct channel *c);
int channel_write(struct channel *c);
/*
 * The next whole message: 1; none yet: 0; the channel ended (peer gone, or malformed bytes: see channel_why): -1,
 * but only after all messages before the end were given. Texts are borrowed until the next call on the channel;
 * descriptors are the caller's.
 */
int channel_next(struct channel *c, struct message *m_out);
/* The owner wants no more of it: ends it, with all that has arrived and was not taken. why: static text. */
void channel_end(struct channel *c, const char *why);
#define CHANNEL_LOST "descriptors lost or too many at once"
/* Why it ended: "closed"; CHANNEL_LOST, which may be this side's fault (see spare.h); or what was malformed. Static
 * text. */
const char *channel_why(const struct channel *c);
/* Blocking convenience for processes without a loop (trial, config): send all / wait for the next one. */
int channel_flush(struct channel *c);
int channel_wait(struct channel *c, struct message *m_out);

#endif
