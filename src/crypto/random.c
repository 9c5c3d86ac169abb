/*
 * random.c: the kernel's random bytes, getrandom(2).
 * Owns nothing. Runs in: any thread. Fails: by panic, for a key of guessable bytes is worse than none.
 */
#include "crypto/random.h"
#include "base/panic.h"
#include <errno.h>
#include <sys/random.h>
#include <sys/types.h>

void random_fill(void *bytes_out, size_t len)
{
    char *to = bytes_out;
    while (len > 0) {
        ssize_t got = getrandom(to, len, 0);
        if (got < 0 && errno == EINTR)
            continue;
        NEED(got > 0);
        to += got;
        len -= (size_t)got;
    }
}
