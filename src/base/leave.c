/*
 * leave.c: see leave.h. Owns: nothing. Runs in: any process, at its end. Never fails.
 */
#include "base/leave.h"
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>

/*
 * What only seems to be lost. LuaJIT keeps the addresses of some of its arrays with an offset, and collects for itself
 * (memory_allocate is the allocator that it is given). libh2o 2.2.5 never frees the queue of a context that is disposed
 * of, and a process does that once, where HTTP/2's guard is proved.
 */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:memory_allocate\nleak:h2o_multithread_create_queue\n";
}

/* Nobody is to read of that at each end. */
const char *__lsan_default_options(void);
const char *__lsan_default_options(void)
{
    return "print_suppressions=0";
}
#endif

void leave_process(int code)
{
#if defined(__SANITIZE_ADDRESS__)
    __lsan_do_leak_check();
#endif
    _exit(code);
}
