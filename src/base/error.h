/*
 * error.h: why the world said no, in words. A function that can fail by the world's fault takes a
 * `struct error *` last, fills it and returns -1 or NULL; the text names what is wrong and where.
 * Runs in: any thread. Never fails: a longer text is cut, and ends in "...".
 */
#ifndef CRESCENT_BASE_ERROR_H
#define CRESCENT_BASE_ERROR_H

struct error {
    char text[512];
};

/* What the three below do; use those: their -1 is seen by the compiler, so it knows which paths have failed. */
void error_put(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
void error_put_errno(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
void error_put_prefix(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define ERROR_INLINE extern inline __attribute__((always_inline, gnu_inline, format(printf, 2, 3)))

/* Sets the text; always returns -1, so that `return error_set(err, ...)` reads well. err may be NULL. */
ERROR_INLINE int error_set(struct error *err, const char *format, ...)
{
    error_put(err, format, __builtin_va_arg_pack());
    return -1;
}

/* As error_set, with ": " and strerror of the errno at the call after it. */
ERROR_INLINE int error_errno(struct error *err, const char *format, ...)
{
    error_put_errno(err, format, __builtin_va_arg_pack());
    return -1;
}

/* Puts "words: " before the text that is there. Returns -1. */
ERROR_INLINE int error_prefix(struct error *err, const char *format, ...)
{
    error_put_prefix(err, format, __builtin_va_arg_pack());
    return -1;
}

#endif
