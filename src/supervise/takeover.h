/*
 * takeover.h: the supervisor's exec in place, the last step of an upgrade: the same process goes on as the new binary.
 * All that it holds goes along: descriptors by number, the rest as bytes in a sealed memory file, whose descriptor
 * stands in the environment, and is taken out of it at once. Clocks are monotonic and process ids stay, so times and
 * children mean the same before and after. It happens at a quiet moment: no trial runs, no message is half read or
 * unsent. A child of the new binary reads the same bytes before, as a rehearsal.
 * Owns nothing. Runs in: the supervisor. Fails: with words; then the old program goes on as if nothing had been.
 */
#ifndef CRESCENT_SUPERVISE_TAKEOVER_H
#define CRESCENT_SUPERVISE_TAKEOVER_H

#include "supervise/supervisor.h"

/* Whether this is a quiet moment. */
bool takeover_quiet(const struct supervisor *s);
/* Starts a child of e's binary that reads the state as it would be if e served now, at any moment, and exits with 0
 * when it could take over. The caller reaps it. 0, or -1 with words. */
int takeover_rehearse(struct supervisor *s, const struct edition *e, pid_t *pid_out, struct error *err);
/* Becomes s->now's binary. Returns only when that failed: -1 with words, and nothing is changed. */
int takeover_exec(struct supervisor *s, struct error *err);

/* In the new program. The descriptor of a state to take over, out of the environment; -1: there is none. */
int takeover_given(bool *rehearsal_out);
/* Fills the empty s with the state there, and closes it. 0, or -1 with words. */
int takeover_read(int fd, struct supervisor *s, struct error *err);

#endif
