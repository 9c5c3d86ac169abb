/*
 * stamp.c: see stamp.h.
 */
#include "reload/stamp.h"
#include <string.h>

#define TICK_FINE DUR_MS(50) /* longer than the tick of local file systems (10 ms at most) */
#define TICK_COARSE DUR_S(2) /* FAT; one second on ext3, HFS+, some NFS servers */

/* Whole milliseconds come from a clock that has no finer ones: by chance, once in a million. 0: it has none. */
static dur_t tick_of(const uint64_t at[4])
{
    return at[2] != 0 && at[2] % 1000000 == 0 ? TICK_COARSE : TICK_FINE;
}

/* Nothing that could be written to unseen. The first number may say more than the device: of which paths it is. */
static bool is_no_file(const uint64_t at[4])
{
    return at[1] == 0 && at[2] == 0 && at[3] == 0;
}

bool stamp_is_news(struct stamp *kept, const uint64_t at[4], mono_t now)
{
    if (!kept->known || memcmp(kept->at, at, sizeof(kept->at)) != 0) {
        *kept = (struct stamp){.since = now, .known = true, .settled = is_no_file(at)};
        memcpy(kept->at, at, sizeof(kept->at));
        return true;
    }
    if (kept->settled)
        return false;
    kept->settled = mono_since(now, kept->since).ns > tick_of(at).ns;
    return true;
}
