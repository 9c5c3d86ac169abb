/*
 * renewal.c: see renewal.h.
 */
#include "supervise/renewal.h"

#include "supervise/child.h"
#include "supervise/members.h"

/* Another place for the same member of the same edition. */
static struct child *other_of(struct supervisor *s, const struct child *c)
{
    for (uint32_t i = 0; i < s->places; i++) {
        struct child *other = &s->workers[i];

        if (other != c && other->edition != NULL && other->edition == c->edition && other->member == c->member)
            return other;
    }
    return NULL;
}

static unsigned count_leaving(const struct supervisor *s, const struct child *c)
{
    unsigned count = 0;

    for (uint32_t i = 0; i < s->places; i++) {
        const struct child *other = &s->workers[i];

        count += other->edition == NULL && other->pid != 0 && other->number == c->number && other->member == c->member;
    }
    return count;
}

static struct child *free_place(struct supervisor *s)
{
    for (uint32_t slot = 0; slot < AREA_SLOTS; slot++)
        if (child_free(&s->workers[slot]))
            return &s->workers[slot];
    return NULL;
}

/*
 * One that fills up again and again is replaced as one that dies is started again, more and more slowly, unless it has
 * lasted: where what is loaded fills it already, another helps nobody.
 */
static void begin(struct supervisor *s, struct child *worn, mono_t now)
{
    struct child *next = free_place(s);

    if (next == NULL)
        return;
    uint32_t slot = (uint32_t)(next - s->workers);
    child_init(next, HERITAGE_WORKER, worn->edition, slot, worn->member);
    next->restart = worn->restart;
    next->start_at = mono_add(now, restart_after(&next->restart, mono_add(worn->born, RENEWAL_LASTED), now));
    s->places = slot >= s->places ? slot + 1 : s->places;
}

void renewal_go_on(struct supervisor *s, mono_t now)
{
    if (s->state != SUPERVISOR_RUNNING || s->upgrade.state != UPGRADE_NONE)
        return;
    for (uint32_t i = 0; i < s->places; i++) {
        struct child *c = &s->workers[i];

        if (c->worn && c->edition != NULL && other_of(s, c) == NULL && count_leaving(s, c) < RENEWAL_LEAVING)
            begin(s, c, now);
    }
}

void renewal_ready(struct supervisor *s, const struct child *c)
{
    struct child *worn = other_of(s, c);

    if (worn == NULL || !worn->worn)
        return;
    members_orphan(s, worn, false); /* its queue is c's now */
    child_leave(s, worn, worn->edition->config.drain, SLICE_NONE);
}

bool renewal_died(struct supervisor *s, struct child *c)
{
    struct child *next = c->edition != NULL && c->worn ? other_of(s, c) : NULL;

    c->worn = false;
    if (next == NULL)
        return false;
    c->edition = NULL;
    members_orphan(s, next, true);
    return true;
}
