/*
 * expiry.h: while the server runs, certificates expire and OCSP responses grow old: one warning for each, when it does.
 * (What was so when the configuration was read, the config child has said.)
 * Owns: the certificates, read once more, and a timer. Runs in: the keeper, so that it is said once and not by every
 * worker. Never fails.
 */
#ifndef CRESCENT_KEEPER_EXPIRY_H
#define CRESCENT_KEEPER_EXPIRY_H

#include "base/config.h"

struct expiry;
struct loop;

/* Lives as long as the process, as both must. */
struct expiry *expiry_new(struct loop *loop, const struct config *config);
/* When the first of the certificates expires, in seconds since 1970; 0: there is none. */
int64_t expiry_first(const struct expiry *e);

#endif
