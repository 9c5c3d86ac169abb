/*
 * panic.h: our own fault. PANIC prints what went wrong, where, in which process, doing what, with a
 * backtrace, and aborts. CHECK states what cannot be otherwise; NEED what we cannot go on without (memory).
 * A peer's bytes must never reach one of these.
 * Runs in: any thread. Fails: by ending the process, that is its job.
 */
#ifndef CRESCENT_BASE_PANIC_H
#define CRESCENT_BASE_PANIC_H

#include <stddef.h>

#define PANIC(...) panic_at(__FILE__, __LINE__, __VA_ARGS__)
#define CHECK(condition)                                                  \
    do {                                                                  \
        if (__builtin_expect(!(condition), 0))                            \
            panic_at(__FILE__, __LINE__, "check failed: %s", #condition); \
    } while (0)
#define NEED(condition)                                                           \
    do {                                                                          \
        if (__builtin_expect(!(condition), 0))                                    \
            panic_at(__FILE__, __LINE__, "cannot go on without: %s", #condition); \
    } while (0)

_Noreturn void panic_at(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Names this process ("worker 2") for the message. The text must stay valid. */
void panic_process(const char *name);

/* malloc, calloc, realloc, strdup that never return NULL. */
void *need_alloc(size_t size);
void *need_zero(size_t count, size_t size);
void *need_realloc(void *old, size_t size);
char *need_strdup(const char *text);

/* The struct that holds `member` at `pointer`. */
#define CONTAINER_OF(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

#endif
