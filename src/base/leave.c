/*
 * leave.c: see leave.h. Owns: nothing. Runs in: any process, at its end. Never fails.
 */
#include "base/leave.h"
#include <stddef.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#endif

void leave_behind(void *at)
{
#if defined(__SANITIZE_ADDRESS__)
    if (at != NULL)
        __lsan_ignore_object(at);
#else
    (void)at;
#endif
}

void leave_process(int code)
{
#if defined(__SANITIZE_ADDRESS__)
    __lsan_do_leak_check();
#endif
    _exit(code);
}
