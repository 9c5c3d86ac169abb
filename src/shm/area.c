/*
 * area.c: the shared mapping. Its size and number of slots are also kept on a private page just before the mapping:
 * what this process relies on is never read back from memory that a broken worker may have written.
 * Owns: the mapping, its private page. Runs in: the supervisor (new, reset), its children (map). Fails: with words.
 */
#include "shm/area.h"

#include "base/panic.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define AREA_MAGIC 0x746e656373657243ULL /* "Crescent" */
#define AREA_VERSION 1
/* The children trust that the file keeps its size: a shorter one would end them by SIGBUS. */
#define AREA_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

struct own { /* on the private page */
    size_t size;
    uint32_t workers;
};

static size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static size_t area_size(uint32_t workers)
{
    return sizeof(struct area) + workers * sizeof(struct area_worker);
}

static struct own *own_of(const struct area *a)
{
    return (struct own *)((char *)a - page_size());
}

static struct area *map(int fd, uint32_t workers, struct error *err)
{
    size_t page = page_size(), size = area_size(workers);
    char *room = mmap(NULL, page + size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct area *a;

    if (room == MAP_FAILED) {
        error_errno(err, "shared memory: cannot map %zu bytes", size);
        return NULL;
    }
    a = mmap(room + page, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
    if (a == MAP_FAILED) {
        error_errno(err, "shared memory: cannot map %zu bytes", size);
        munmap(room, page + size);
        return NULL;
    }
    *own_of(a) = (struct own){.size = size, .workers = workers};
    return a;
}

struct area *area_new(uint32_t workers, int *fd_out, struct error *err)
{
    struct area *a;
    int fd = memfd_create("crescent-area", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    CHECK(workers > 0 && workers <= AREA_WORKERS_MAX);
    if (fd < 0) {
        error_errno(err, "shared memory: memfd_create");
        return NULL;
    }
    if (ftruncate(fd, (off_t)area_size(workers)) != 0 || fcntl(fd, F_ADD_SEALS, AREA_SEALS) != 0) {
        error_errno(err, "shared memory of %zu bytes", area_size(workers));
        close(fd);
        return NULL;
    }
    a = map(fd, workers, err);
    if (a == NULL) {
        close(fd);
        return NULL;
    }
    a->magic = AREA_MAGIC;
    a->version = AREA_VERSION;
    a->workers = workers;
    *fd_out = fd;
    return a;
}

/* The number of slots by the file's size, or 0. */
static uint32_t slots_of(int fd, struct error *err)
{
    struct stat st;
    size_t size;

    if (fstat(fd, &st) != 0 || (fcntl(fd, F_GET_SEALS) & AREA_SEALS) != AREA_SEALS) {
        error_set(err, "shared memory: descriptor %d is not ours", fd);
        return 0;
    }
    size = (size_t)st.st_size;
    for (uint32_t workers = 1; workers <= AREA_WORKERS_MAX; workers++)
        if (area_size(workers) == size)
            return workers;
    error_set(err, "shared memory: %zu bytes is no size of ours", size);
    return 0;
}

struct area *area_map(int fd, struct error *err)
{
    uint32_t workers = slots_of(fd, err);
    struct area *a = workers > 0 ? map(fd, workers, err) : NULL;

    if (a == NULL)
        return NULL;
    if (a->magic == AREA_MAGIC && a->version == AREA_VERSION && a->workers == workers)
        return a;
    error_set(err, "shared memory: made by another version");
    area_free(&a);
    return NULL;
}

void area_free(struct area **a)
{
    if (*a != NULL)
        munmap(own_of(*a), page_size() + own_of(*a)->size);
    *a = NULL;
}

static struct area_worker *slot(const struct area *a, uint32_t index)
{
    CHECK(index < own_of(a)->workers);
    return (struct area_worker *)&a->worker[index];
}

void area_reset_worker(struct area *a, uint32_t index)
{
    struct area_worker *w = slot(a, index);

    atomic_store(&w->progress.sequence, 0);
    atomic_store(&w->progress.preparing, 0);
    atomic_store(&w->progress.script_version, 0);
    memset(w->progress.name, 0, sizeof(w->progress.name));
    atomic_store(&w->accepts, 0);
    atomic_store(&w->words_end, 0);
    memset(w->words, 0, sizeof(w->words));
    atomic_store(&w->state, AREA_DEAD);
}

/* UNSAFE BYTES: positions in the ring are taken modulo its size. */
static ssize_t capture(void *cookie, const char *bytes, size_t len)
{
    struct area_worker *w = cookie;
    uint64_t end = atomic_load_explicit(&w->words_end, memory_order_relaxed);

    for (size_t i = len > AREA_WORDS ? len - AREA_WORDS : 0; i < len; i++)
        w->words[(end + i) % AREA_WORDS] = bytes[i];
    atomic_store_explicit(&w->words_end, end + len, memory_order_release);
    return (ssize_t)len;
}

void area_capture_stderr(struct area *a, uint32_t index)
{
    FILE *stream = fopencookie(slot(a, index), "w", (cookie_io_functions_t){.write = capture});

    NEED(stream != NULL);
    /* Without a buffer of its own, what was printed last before a crash is in the ring. */
    setvbuf(stream, NULL, _IONBF, 0);
    stderr = stream;
}

size_t area_last_words(const struct area *a, uint32_t index, char *room)
{
    const struct area_worker *w = slot(a, index);
    uint64_t end = atomic_load_explicit(&w->words_end, memory_order_acquire);
    size_t len = end < AREA_WORDS ? (size_t)end : AREA_WORDS;

    for (size_t i = 0; i < len; i++) {
        char c = w->words[(end - len + i) % AREA_WORDS];

        room[i] = (c >= ' ' && c <= '~') || c == '\n' ? c : '?';
    }
    room[len] = '\0';
    return len;
}
