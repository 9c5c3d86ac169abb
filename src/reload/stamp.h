/*
 * stamp.h: whether a file must be read again, by what stat says of it. The clock of file times ticks slower than files
 * change (10 ms here, a second or two on some file systems), and need not be ours: so a stamp is believed only when it
 * has stood for longer than a tick, by our monotonic clock, and the file was read after that. Where there is no file it
 * is believed at once.
 * Owns nothing. Runs in: the keeper's loop. Never fails.
 */
#ifndef CRESCENT_RELOAD_STAMP_H
#define CRESCENT_RELOAD_STAMP_H

#include "base/time.h"

struct stamp {
    uint64_t at[4]; /* device, inode, change time in ns, size; no file: 0 but for the first */
    mono_t since;   /* first seen as that */
    bool known, settled;
};

/* What a file looks like now. True: read it (again); false: it is what was read last. */
bool stamp_is_news(struct stamp *kept, const uint64_t at[4], mono_t now);

#endif
