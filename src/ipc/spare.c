/*
 * spare.c: see spare.h. Mutable file-scope state: descriptors are the process's own, whoever opens them.
 */
#include "ipc/spare.h"

#include "base/fd.h"
#include "ipc/messages.h"

#include <fcntl.h>
#include <unistd.h>

static int kept[MESSAGES_FDS_MAX];
static size_t count;

void spare_release(void)
{
    while (count > 0)
        fd_close(&kept[--count]);
}

/* Copies of the standard input: it stays open as long as the process, so nobody waits for the end of what they lead to.
 */
bool spare_keep(void)
{
    while (count < MESSAGES_FDS_MAX) {
        kept[count] = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
        if (kept[count] == -1)
            return false;
        count++;
    }
    return true;
}
