/*
 * restart.c: see restart.h.
 */
#include "supervise/restart.h"

#include <string.h>

/* Remembers the death; whether there were RESTART_FREE others within the window before it. */
static bool too_many(struct restart *r, mono_t now)
{
    bool many = r->count == RESTART_FREE && mono_since(now, r->deaths[0]).ns < RESTART_WINDOW.ns;

    if (r->count == RESTART_FREE)
        memmove(r->deaths, r->deaths + 1, --r->count * sizeof(r->deaths[0]));
    r->deaths[r->count++] = now;
    return many;
}

dur_t restart_after(struct restart *r, mono_t born, mono_t now)
{
    if (mono_since(now, born).ns >= RESTART_GOOD_RUN.ns)
        *r = (struct restart){0};
    /* Once waits began, each further death without a good run doubles: the waits themselves empty the window. */
    if (!too_many(r, now) && r->wait.ns == 0)
        return (dur_t){0};
    r->wait.ns = r->wait.ns == 0 ? RESTART_FIRST.ns : r->wait.ns * 2;
    if (r->wait.ns > RESTART_MOST.ns)
        r->wait = RESTART_MOST;
    return r->wait;
}
