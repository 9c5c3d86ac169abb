/*
 * timeout.c: the heap of deadlines in a loop: binary, by time; each timeout knows its place, so that clearing one
 * needs no search. Owns: the heap's array (loop_free frees it), never the timeouts. Runs in: the loop's thread.
 */
#include "io/timeout.h"
#include "base/panic.h"
#include "io/loop_internal.h"

static void put(struct loop *l, uint32_t index, struct timeout *t)
{
    l->heap[index] = t;
    t->index = index;
}

static void sift_up(struct loop *l, struct timeout *t)
{
    uint32_t at = t->index;
    while (at > 0) {
        uint32_t parent = (at - 1) / 2;
        if (!mono_before(t->at, l->heap[parent]->at))
            break;
        put(l, at, l->heap[parent]);
        at = parent;
    }
    put(l, at, t);
}

static void sift_down(struct loop *l, struct timeout *t)
{
    uint32_t at = t->index;
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= l->heap_count)
            break;
        if (child + 1 < l->heap_count && mono_before(l->heap[child + 1]->at, l->heap[child]->at))
            child++;
        if (!mono_before(l->heap[child]->at, t->at))
            break;
        put(l, at, l->heap[child]);
        at = child;
    }
    put(l, at, t);
}

void timeout_set(struct loop *l, struct timeout *t, mono_t at, void (*fired)(struct timeout *))
{
    t->fired = fired;
    if (t->loop != NULL) {
        CHECK(t->loop == l && l->heap[t->index] == t);
        t->at = at;
        sift_up(l, t);
        sift_down(l, t);
        return;
    }
    if (l->heap_count == l->heap_room) {
        l->heap_room = l->heap_room ? 2 * l->heap_room : 64;
        l->heap = need_realloc(l->heap, l->heap_room * sizeof(struct timeout *));
    }
    t->loop = l;
    t->at = at;
    t->index = l->heap_count++;
    sift_up(l, t);
}

void timeout_clear(struct timeout *t)
{
    struct loop *l = t->loop;
    if (l == NULL)
        return;
    CHECK(t->index < l->heap_count && l->heap[t->index] == t);
    t->loop = NULL;
    struct timeout *last = l->heap[--l->heap_count];
    if (last == t)
        return;
    put(l, t->index, last);
    sift_up(l, last);
    sift_down(l, last);
}

int32_t timeout_wait(const struct loop *l, mono_t now)
{
    if (l->heap_count == 0)
        return INT32_MAX;
    int64_t ms = dur_ms_up(mono_since(l->heap[0]->at, now));
    return ms > INT32_MAX ? INT32_MAX : (int32_t)ms;
}

void timeout_run(struct loop *l, mono_t now)
{
    /* Bounded, so that one that sets itself again without delay cannot keep the descriptors waiting. */
    for (uint32_t left = l->heap_count; left > 0 && l->heap_count > 0 && !mono_before(now, l->heap[0]->at); left--) {
        struct timeout *t = l->heap[0];
        timeout_clear(t);
        t->fired(t);
    }
}
