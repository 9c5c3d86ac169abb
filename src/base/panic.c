/*
 * panic.c: last words, then abort. See panic.h.
 * Owns: the process's name, for the message: file-scope because a panic can come from anywhere.
 */
#include "base/panic.h"
#include <execinfo.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *process_name = "crescent";

void panic_process(const char *name)
{
    process_name = name;
}

void panic_at(const char *file, int line, const char *format, ...)
{
    char text[1024];
    va_list args;
    int used = snprintf(text, sizeof(text), "PANIC %s (pid %d) at %s:%d: ", process_name, (int)getpid(), file, line);
    va_start(args, format);
    if (used > 0 && used < (int)sizeof(text) - 2)
        vsnprintf(text + used, sizeof(text) - (size_t)used - 1, format, args);
    va_end(args);
    strcat(text, "\n");
    if (write(STDERR_FILENO, text, strlen(text)) < 0)
        _exit(134);
    void *frames[64];
    backtrace_symbols_fd(frames, backtrace(frames, 64), STDERR_FILENO);
    abort();
}

void *need_alloc(size_t size)
{
    void *memory = malloc(size != 0 ? size : 1);
    NEED(memory != NULL);
    return memory;
}

void *need_zero(size_t count, size_t size)
{
    void *memory = calloc(count != 0 ? count : 1, size != 0 ? size : 1);
    NEED(memory != NULL);
    return memory;
}

void *need_realloc(void *old, size_t size)
{
    void *memory = realloc(old, size != 0 ? size : 1);
    NEED(memory != NULL);
    return memory;
}

char *need_strdup(const char *text)
{
    char *copy = strdup(text);
    NEED(copy != NULL);
    return copy;
}
