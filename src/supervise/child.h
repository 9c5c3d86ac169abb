/*
 * child.h: one place for a keeper or worker: start, links, death, next start.
 * Owns: see supervisor.h. Runs in: the supervisor. Fails: a start that fails counts as a death, with its own words.
 */
#ifndef CRESCENT_SUPERVISE_CHILD_H
#define CRESCENT_SUPERVISE_CHILD_H

#include "supervise/supervisor.h"

/* slot, member: the worker's; 0 for the keeper. It may start at once, from e. The place must be free. */
void child_init(struct child *c, enum heritage_kind kind, struct edition *e, uint32_t slot, uint32_t member);
/* Nothing runs there, and nothing will. */
bool child_free(const struct child *c);
/* Starts it, and links it with its peers: each pair of keeper and worker has a channel of its own. */
void child_start(struct supervisor *s, struct child *c, mono_t now);
/* Sends, if it runs. Descriptors in m are taken. */
void child_send(struct child *c, const struct message *m);
/*
 * It shall leave, and its place is free when it has: finishes what is under way within that time, and is killed a
 * little later. gone: bytes of the groups (sockets_gone) that nobody else serves.
 */
void child_leave(struct supervisor *s, struct child *c, dur_t within, struct slice gone);
/* It shall leave without finishing anything: what it would still say is not heard. */
void child_end(struct child *c);
/* SIGKILL, and a log record that says why. */
void child_kill(struct child *c, const char *why);
/* It was reaped with this status: last words, tells the keeper, plans the next start. */
void child_died(struct supervisor *s, struct child *c, int status, mono_t now);
/* "exit status 1", "signal 11 (Segmentation fault)". Returns room. */
const char *child_status_text(int status, char room[64]);

#endif
