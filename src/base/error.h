/*
 * error.h: why the world said no, in words. A function that can fail by the world's fault takes a
 * `struct error *` last, fills it and returns -1 or NULL; the text names what is wrong and where.
 * Runs in: any thread. Never fails: a longer text is cut, and ends in "...".
 */
#ifndef CRESCENT_BASE_ERROR_H
#define CRESCENT_BASE_ERROR_H

#include <stdarg.h>
#include <stddef.h>

struct error {
    char text[512];
};

/* vsnprintf, but that a text which is cut ends in "..."; size: 4 or more. */
void error_words(char *room, size_t size, const char *format, va_list args) __attribute__((format(printf, 3, 0)));

/* What the macros below do; use those: the compiler then sees the -1, and knows which paths have failed. */
void error_put(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
void error_put_errno(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
void error_put_prefix(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline int error_failed(void)
{
    return -1;
}

/* Sets the text; always -1, so that `return error_set(err, ...)` reads well. err may be NULL. */
#define error_set(err, ...) (error_put((err), __VA_ARGS__), error_failed())
/* As error_set, with ": " and strerror of the errno at the call after it. */
#define error_errno(err, ...) (error_put_errno((err), __VA_ARGS__), error_failed())
/* Puts "words: " before the text that is there. -1. */
#define error_prefix(err, ...) (error_put_prefix((err), __VA_ARGS__), error_failed())

#endif
