/*
 * visible.c: preloaded where an ordinary user runs the tests: the server's processes stay dumpable, for many tests look
 * into them (descriptors, memory), which otherwise only root may.
 */
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int prctl(int option, ...)
{
    unsigned long more[4];
    va_list list;
    va_start(list, option);
    for (int i = 0; i < 4; i++)
        more[i] = va_arg(list, unsigned long);
    va_end(list);
    return option == PR_SET_DUMPABLE ? 0 : (int)syscall(SYS_prctl, option, more[0], more[1], more[2], more[3]);
}
