/*
 * members.c: see members.h.
 */
#include "supervise/members.h"

#include "supervise/child.h"

static void tell(struct child *to, uint32_t member, bool orphaned)
{
    struct message m = {.type = MESSAGE_release, .release = {.member = member}};

    if (orphaned)
        m = (struct message){.type = MESSAGE_adopt, .adopt = {.member = member}};
    child_send(to, &m);
}

/* Numbers of members mean the same within an edition only. */
static bool may_help(const struct child *helper, const struct child *c)
{
    return helper->edition != NULL && helper->edition == c->edition && helper->member != c->member;
}

void members_orphan(struct supervisor *s, struct child *c, bool orphaned)
{
    if (c->orphaned == orphaned)
        return;
    c->orphaned = orphaned;
    for (uint32_t i = 0; i < s->places; i++)
        if (may_help(&s->workers[i], c) && s->workers[i].ready)
            tell(&s->workers[i], c->member, orphaned);
}

void members_welcome(struct supervisor *s, struct child *c)
{
    for (uint32_t i = 0; i < s->places; i++)
        if (may_help(c, &s->workers[i]) && s->workers[i].orphaned)
            tell(c, s->workers[i].member, true);
}
