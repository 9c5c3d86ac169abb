/*
 * bound.h: where the workers of each edition listen, in words, for as long as one of them may hold such a socket: an
 * edition goes when another one serves, or when its upgrade is undone, but its workers finish what they have. The
 * keeper must know these addresses (admin/asker), whenever it starts, so they go over an exec in place, too.
 * Owns: the texts. Runs in: the supervisor. Never fails.
 */
#ifndef CRESCENT_SUPERVISE_BOUND_H
#define CRESCENT_SUPERVISE_BOUND_H

#include "supervise/edition.h"

struct supervisor;

struct bound { /* born as {0} */
    /* By an edition's number, as its generation word; stays until an edition of the same word comes. */
    char *at[AREA_EDITIONS];
};

/* The edition's sockets are open. Its number's word must be nobody else's any more. */
void bound_keep(struct bound *b, const struct edition *e);
/*
 * Appends "127.0.0.1:8080 [::1]:8080": the addresses of what serves, of `e`, which may be the next one, and of every
 * edition that a worker is left of.
 */
void bound_find(const struct supervisor *s, const struct edition *e, struct buf *out);
/* For an exec in place: as bytes, and from them into the empty b. */
void bound_write(const struct bound *b, struct buf *out);
void bound_read(struct slice *from, struct bound *b, bool *bad_out);
void bound_free(struct bound *b);

#endif
