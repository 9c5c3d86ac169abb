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

/* Sets the text; always returns -1, so that `return error_set(err, ...)` reads well. err may be NULL. */
int error_set(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* As error_set, with ": " and strerror of the errno at the call after it. */
int error_errno(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts "words: " before the text that is there. Returns -1. */
int error_prefix(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
