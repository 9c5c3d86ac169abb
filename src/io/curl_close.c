/*
 * curl_close.c: see curl_close.h. Mutable file-scope state: close has no argument for it; it is the thread's own.
 */
#include "io/curl_close.h"
#include "io/curl_real.h"
#include <stddef.h>
#include <unistd.h>

static _Thread_local struct {
    void (*closing)(void *cookie, int fd); /* NULL: no call is under way */
    void *cookie;
} mine;

typedef int close_fn(int);

int close(int fd)
{
    static _Atomic(void *) found;
    close_fn *real = (close_fn *)io_curl_real_find(&found, "close");
    if (mine.closing != NULL)
        mine.closing(mine.cookie, fd);
    return real(fd);
}

void io_curl_close_begin(void (*closing)(void *cookie, int fd), void *cookie)
{
    mine.closing = closing;
    mine.cookie = cookie;
}

void io_curl_close_end(void)
{
    mine.closing = NULL;
}
