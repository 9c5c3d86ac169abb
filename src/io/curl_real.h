/*
 * curl_real.h: libc's own function behind one of ours that stands in its place (curl_clock, curl_close, curl_poll,
 * curl_rest).
 * Owns: nothing. Runs in: any thread. Never fails: libc has them all.
 */
#ifndef CRESCENT_IO_CURL_REAL_H
#define CRESCENT_IO_CURL_REAL_H

#include <dlfcn.h>
#include <stdatomic.h>
#include <stddef.h>

/* found: where it is kept, NULL at first. Threads that look for it at once all find the same one. */
static inline void *io_curl_real_find(_Atomic(void *) *found, const char *name)
{
    void *real = atomic_load_explicit(found, memory_order_relaxed);
    if (real == NULL) {
        real = dlsym(RTLD_NEXT, name);
        atomic_store_explicit(found, real, memory_order_relaxed);
    }
    return real;
}

#endif
