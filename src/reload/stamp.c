/*
 * stamp.c: see stamp.h.
 */
#include "reload/stamp.h"
#include <string.h>

#define TICK_FINE DUR_MS(50) /* longer than the tick of local file systems (10 ms at most) */
#define TICK_COARSE DUR_S(2) /* FAT; one second on ext3, HFS+, some NFS servers */

/* Whole milliseconds come from a clock that has no finer ones: by chance, once in a million. 0: there is no file. */
static dur_t tick_of(const uint64_t at[4])
{
    return at[2] != 0 && at[2] % 1000000 == 0 ? TICK_COARSE : TICK_FINE;
}

bool stamp_is_news(struct stamp *kept, const uint64_t at[4], mono_t now)
{
    if (!kept->known || memcmp(kept->at, at, sizeof(kept->at)) != 0) {
        *kept = (struct stamp){.since = now, .known = true};
        memcpy(kept->at, at, sizeof(kept->at));
        return true;
    }
    if (kept->settled)
        return false;
    kept->settled = mono_since(now, kept->since).ns > tick_of(at).ns;
    return true;
}
