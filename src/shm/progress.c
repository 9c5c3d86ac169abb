/*
 * progress.c: one writer, one reader, no lock: the sequence number says whether a stretch runs and whether the reader's
 * copy is of one piece. The name's bytes are stored with release and loaded with acquire, so a reader that met a byte
 * of the next stretch also meets the next sequence number, and copies again.
 * Owns nothing. Runs in: the worker (begin, end), the supervisor (read). Never fails.
 */
#include "shm/progress.h"

#include <stddef.h>

#define READ_TRIES 4 /* a worker that changes stretches that fast is not stuck */

static void put_name(struct progress *p, const char *name)
{
    size_t i = 0;

    for (; i < PROGRESS_NAME - 1 && name[i] != '\0'; i++)
        __atomic_store_n(&p->name[i], name[i], __ATOMIC_RELEASE);
    __atomic_store_n(&p->name[i], '\0', __ATOMIC_RELEASE);
}

void progress_begin(struct progress *p, const char *name, uint64_t version, dur_t max_run, bool preparing)
{
    uint64_t sequence = atomic_load_explicit(&p->sequence, memory_order_relaxed);

    if (name != NULL)
        put_name(p, name);
    atomic_store_explicit(&p->script_version, version, memory_order_release);
    atomic_store_explicit(&p->max_run, max_run.ns, memory_order_release);
    atomic_store_explicit(&p->preparing, preparing, memory_order_release);
    /* from within a stretch: the next one, odd again */
    atomic_store_explicit(&p->sequence, (sequence + 1) | 1, memory_order_release);
}

void progress_end(struct progress *p)
{
    uint64_t sequence = atomic_load_explicit(&p->sequence, memory_order_relaxed);

    if (sequence & 1)
        atomic_store_explicit(&p->sequence, sequence + 1, memory_order_release);
}

static void read_once(const struct progress *p, struct progress_view *view_out)
{
    size_t i = 0;

    view_out->sequence = atomic_load_explicit(&p->sequence, memory_order_acquire);
    view_out->inside = view_out->sequence & 1;
    view_out->preparing = atomic_load_explicit(&p->preparing, memory_order_acquire) != 0;
    view_out->version = atomic_load_explicit(&p->script_version, memory_order_acquire);
    view_out->max_run.ns = atomic_load_explicit(&p->max_run, memory_order_acquire);
    for (; i < PROGRESS_NAME - 1; i++) {
        char c = __atomic_load_n(&p->name[i], __ATOMIC_ACQUIRE);

        if (c == '\0')
            break;
        view_out->name[i] = c >= ' ' && c <= '~' ? c : '?';
    }
    view_out->name[i] = '\0';
}

void progress_read(const struct progress *p, struct progress_view *view_out)
{
    for (int i = 0; i < READ_TRIES; i++) {
        read_once(p, view_out);
        if (atomic_load_explicit(&p->sequence, memory_order_acquire) == view_out->sequence)
            return;
    }
}
