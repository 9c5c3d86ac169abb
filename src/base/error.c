/*
 * error.c: why the world said no, in words. See error.h.
 */
#include "base/error.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Marks a text that did not fit. */
static void cut(struct error *err, int wanted)
{
    if (wanted >= (int)sizeof(err->text))
        memcpy(err->text + sizeof(err->text) - 4, "...", 4);
}

int error_set(struct error *err, const char *format, ...)
{
    va_list args;
    if (err == NULL)
        return -1;
    va_start(args, format);
    int wanted = vsnprintf(err->text, sizeof(err->text), format, args);
    va_end(args);
    cut(err, wanted);
    return -1;
}

int error_errno(struct error *err, const char *format, ...)
{
    int number = errno;
    struct error words;
    va_list args;
    if (err == NULL)
        return -1;
    va_start(args, format);
    vsnprintf(words.text, sizeof(words.text), format, args);
    va_end(args);
    return error_set(err, "%s: %s", words.text, strerror(number));
}

int error_prefix(struct error *err, const char *format, ...)
{
    struct error old, words;
    va_list args;
    if (err == NULL)
        return -1;
    va_start(args, format);
    vsnprintf(words.text, sizeof(words.text), format, args);
    va_end(args);
    old = *err;
    return error_set(err, "%s: %s", words.text, old.text);
}
