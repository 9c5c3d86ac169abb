/*
 * error.c: why the world said no, in words. See error.h.
 */
#include "base/error.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void error_words(char *room, size_t size, const char *format, va_list args)
{
    if (vsnprintf(room, size, format, args) >= (int)size)
        memcpy(room + size - 4, "...", 4);
}

static void __attribute__((format(printf, 2, 0))) put(struct error *err, const char *format, va_list args)
{
    error_words(err->text, sizeof(err->text), format, args);
}

void error_put(struct error *err, const char *format, ...)
{
    va_list args;
    if (err == NULL)
        return;
    va_start(args, format);
    put(err, format, args);
    va_end(args);
}

void error_put_errno(struct error *err, const char *format, ...)
{
    const char *why = strerror(errno);
    struct error words;
    va_list args;
    if (err == NULL)
        return;
    va_start(args, format);
    put(&words, format, args);
    va_end(args);
    error_put(err, "%s: %s", words.text, why);
}

void error_put_prefix(struct error *err, const char *format, ...)
{
    struct error words, old;
    va_list args;
    if (err == NULL)
        return;
    old = *err;
    va_start(args, format);
    put(&words, format, args);
    va_end(args);
    error_put(err, "%s: %s", words.text, old.text);
}
