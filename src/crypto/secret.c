/*
 * secret.c: keys in pages of their own, locked and left out of core dumps where the kernel allows it.
 * UNSAFE BYTES: raw copies into mapped pages.
 * Owns: the pages of a secret. Runs in: any thread. Fails: memory by NEED; a refused mlock is borne (RLIMIT_MEMLOCK).
 */
#include "crypto/secret.h"
#include "base/panic.h"
#include <openssl/crypto.h>
#include <sys/mman.h>
#include <unistd.h>

/* A byte more than the secret, so that the bytes end in a NUL and an empty secret has a page. */
static size_t mapped_size(size_t len)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (len + 1 + page - 1) / page * page;
}

struct secret secret_copy(struct slice bytes)
{
    size_t size = mapped_size(bytes.len);
    char *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    NEED(at != MAP_FAILED);
    (void)madvise(at, size, MADV_DONTDUMP);
    (void)mlock(at, size);
    if (bytes.len > 0)
        memcpy(at, bytes.at, bytes.len);
    return (struct secret){at, bytes.len};
}

void secret_free(struct secret *s)
{
    if (s->at != NULL) {
        size_t size = mapped_size(s->len);
        secret_wipe(s->at, s->len);
        munmap(s->at, size);
    }
    *s = (struct secret){0};
}

void secret_wipe(void *bytes, size_t len)
{
    OPENSSL_cleanse(bytes, len);
}
