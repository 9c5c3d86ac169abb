/*
 * list.h: intrusive doubly linked list. The link lives in the thing; the list owns nothing.
 * A link that is in no list points at itself (list_init), so removing twice does nothing.
 * Runs in: any thread, one at a time.
 */
#ifndef CRESCENT_BASE_LIST_H
#define CRESCENT_BASE_LIST_H

#include <stdbool.h>

struct list {
    struct list *next, *prev;
};

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}
static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}
/* Puts `link` (in no list) at the end. */
static inline void list_add(struct list *head, struct list *link)
{
    link->prev = head->prev;
    link->next = head;
    head->prev->next = link;
    head->prev = link;
}
static inline void list_remove(struct list *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    list_init(link);
}
/* All links of `from` become those of `to`, which was empty or never initialised. */
static inline void list_take(struct list *to, struct list *from)
{
    list_init(to);
    if (list_empty(from))
        return;
    *to = *from;
    to->next->prev = to->prev->next = to;
    list_init(from);
}

#endif
