/*
 * turns.c: see turns.h. A pass is told by the loop's time for it.
 */
#include "script/turns.h"

#include "base/panic.h"
#include "script/state_internal.h"

static bool time_is_left(struct state *s)
{
    struct turns *t = &s->turns;
    mono_t pass = loop_now(s->host->loop), now = mono_now();

    if (pass.ns != t->pass.ns) {
        t->pass = pass;
        t->until = mono_add(now, TURNS_PASS);
    }
    return mono_before(now, t->until);
}

static void run(struct loop_later *later)
{
    struct state *s = CONTAINER_OF(later, struct state, turns.next);
    struct list *line = &s->turns.line;

    bool left = time_is_left(s); /* what others have used of the pass is no reason for none to have its turn */

    for (bool first = true; !list_empty(line) && (first || left); first = false) {
        struct turn *t = CONTAINER_OF(line->next, struct turn, link);
        mono_t began = mono_now();
        list_remove(&t->link);
        t->run(t);
        dur_t took = mono_since(mono_now(), began);
        s->turns.longest = took.ns > s->turns.longest.ns ? took : s->turns.longest;
        left = time_is_left(s);
    }
    if (!list_empty(line))
        loop_later(s->host->loop, later);
    else
        s->turns.longest = (dur_t){0};
}

void turns_init(struct turns *t)
{
    *t = (struct turns){0};
    list_init(&t->line);
    loop_later_init(&t->next, run);
}

void turns_make(struct turn *t, void (*run_one)(struct turn *t))
{
    list_init(&t->link);
    t->run = run_one;
}

bool turns_at_once(struct state *s)
{
    return list_empty(&s->turns.line) && time_is_left(s);
}

void turns_add(struct state *s, struct turn *t)
{
    if (!list_empty(&t->link))
        return;
    t->since = loop_now(s->host->loop);
    list_add(&s->turns.line, &t->link);
    loop_later(s->host->loop, &s->turns.next);
}

dur_t turns_lag(const struct state *s)
{
    const struct turns *t = &s->turns;
    if (list_empty(&t->line))
        return (dur_t){0};
    dur_t stood = mono_since(loop_now(s->host->loop), CONTAINER_OF(t->line.next, struct turn, link)->since);
    return (dur_t){stood.ns > t->longest.ns ? stood.ns - t->longest.ns : 0};
}

bool turns_waits(const struct turn *t)
{
    return !list_empty(&t->link);
}

void turns_cancel(struct turn *t)
{
    list_remove(&t->link);
}
