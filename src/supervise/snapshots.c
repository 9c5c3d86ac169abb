/*
 * snapshots.c: see snapshots.h.
 */
#include "supervise/snapshots.h"

#include "base/fd.h"

static const struct snapshot_held none = {.generation = 0, .fd = -1};

void snapshots_init(struct snapshots *s)
{
    s->live = s->next = none;
}

static void settle(struct snapshots *s, uint64_t word)
{
    if (s->next.generation == 0 || s->next.generation != word)
        return;
    fd_close(&s->live.fd);
    s->live = s->next;
    s->next = none;
}

void snapshots_keep(struct snapshots *s, uint64_t word, uint64_t generation, int fd)
{
    settle(s, word);
    fd_close(&s->next.fd);
    s->next = (struct snapshot_held){generation, fd};
    settle(s, word);
}

struct snapshot_held snapshots_live(struct snapshots *s, uint64_t word)
{
    settle(s, word);
    return s->live;
}

void snapshots_close(struct snapshots *s)
{
    fd_close(&s->live.fd);
    fd_close(&s->next.fd);
    snapshots_init(s);
}
