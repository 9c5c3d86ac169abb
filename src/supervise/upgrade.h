/*
 * upgrade.h: HUP: another configuration, another binary, without a failed request. The binary at its path reads the
 * configuration, and rehearses to take over; addresses are opened; a new keeper takes the old one's place; new workers
 * start, and when all serve, the old ones finish and leave. Until those are told to, any failure leads back: they have
 * served throughout. One record says how it ended.
 * Owns: struct upgrade of the supervisor. Runs in: the supervisor; waits for nothing. Fails: into the log.
 */
#ifndef CRESCENT_SUPERVISE_UPGRADE_H
#define CRESCENT_SUPERVISE_UPGRADE_H

#include "supervise/supervisor.h"

/* HUP has come: begins, or remembers it while another one is under way or the server still starts. */
void upgrade_ask(struct supervisor *s);
/* Does what can be done now; call it with each pass of the loop while the server runs. */
void upgrade_go_on(struct supervisor *s, mono_t now);
/* In the new program, which has taken over: the upgrade is over. */
void upgrade_done(struct supervisor *s);
/* A keeper says that under it something would not be served that is now, or that its store cannot be opened. */
void upgrade_object(struct supervisor *s, const struct child *keeper, struct slice words);
/* A child has ended: perhaps the candidate. */
void upgrade_reap(struct supervisor *s);
/* The server stops: whatever is under way is dropped; children of both editions are the caller's to end. */
void upgrade_drop(struct supervisor *s);

#endif
