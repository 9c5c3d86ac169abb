/*
 * area.c: the shared mapping. A private page just before it keeps what is this process's own: what it relies on is
 * never read back from memory that a broken worker may have written. Owns: the mapping, its private page. Runs in: the
 * supervisor (new, reset), its children (map). Fails: with words.
 */
#include "shm/area.h"

#include "base/panic.h"
#include "base/time.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define AREA_MAGIC 0x746e656373657243ULL /* "Crescent" */
#define AREA_VERSION 15
/* The children trust that the file keeps its size: a shorter one would end them by SIGBUS. */
#define AREA_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

struct own { /* on the private page */
    uint32_t edition;
};

static size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static struct own *own_of(const struct area *a)
{
    return (struct own *)((char *)a - page_size());
}

static struct area *map(int fd, struct error *err)
{
    size_t page = page_size(), size = sizeof(struct area);
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
    return a;
}

struct area *area_new(int *fd_out, struct error *err)
{
    struct area *a;
    int fd = memfd_create("crescent-area", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0) {
        error_errno(err, "shared memory: memfd_create");
        return NULL;
    }
    if (ftruncate(fd, (off_t)sizeof(struct area)) != 0 || fcntl(fd, F_ADD_SEALS, AREA_SEALS) != 0) {
        error_errno(err, "shared memory of %zu bytes", sizeof(struct area));
        close(fd);
        return NULL;
    }
    a = map(fd, err);
    if (a == NULL) {
        close(fd);
        return NULL;
    }
    a->magic = AREA_MAGIC;
    a->started = wall_now().ns;
    limits_seed(&a->limits);
    a->version = AREA_VERSION;
    peers_make(a);
    *fd_out = fd;
    return a;
}

struct area *area_map(int fd, struct error *err)
{
    struct area *a;
    struct stat st;

    if (fstat(fd, &st) != 0 || (fcntl(fd, F_GET_SEALS) & AREA_SEALS) != AREA_SEALS) {
        error_set(err, "shared memory: descriptor %d is not ours", fd);
        return NULL;
    }
    if (st.st_size != (off_t)sizeof(struct area)) {
        error_set(err, "shared memory: %lld bytes is no size of ours", (long long)st.st_size);
        return NULL;
    }
    if ((a = map(fd, err)) == NULL || (a->magic == AREA_MAGIC && a->version == AREA_VERSION))
        return a;
    error_set(err, "shared memory: made by another version");
    area_free(&a);
    return NULL;
}

void area_free(struct area **a)
{
    if (*a != NULL)
        munmap(own_of(*a), page_size() + sizeof(struct area));
    *a = NULL;
}

uint32_t area_version(void)
{
    return AREA_VERSION;
}

void area_set_edition(struct area *a, uint32_t edition)
{
    own_of(a)->edition = edition;
}

_Atomic uint64_t *area_generation(struct area *a)
{
    return area_generation_of(a, own_of(a)->edition);
}

_Atomic uint64_t *area_generation_of(struct area *a, uint32_t edition)
{
    return &a->generation[edition % AREA_EDITIONS];
}

uint32_t area_used(const struct area *a)
{
    uint32_t used = atomic_load(&a->used);

    return used < AREA_SLOTS ? used : AREA_SLOTS;
}

void area_use(struct area *a, uint32_t number)
{
    if (number >= area_used(a))
        atomic_store(&a->used, number + 1);
}

static struct area_worker *slot(const struct area *a, uint32_t number)
{
    CHECK(number < AREA_SLOTS);
    return (struct area_worker *)&a->worker[number];
}

void area_reset_worker(struct area *a, uint32_t number)
{
    struct area_worker *w = slot(a, number);

    atomic_store(&w->progress.sequence, 0);
    atomic_store(&w->progress.preparing, 0);
    atomic_store(&w->progress.script_version, 0);
    memset(w->progress.name, 0, sizeof(w->progress.name));
    counters_forget(&w->counters);
    atomic_store(&a->body_memory[number], 0);
    peers_forget(a, number);
    atomic_store(&w->accepts, 0);
    atomic_store(&w->open, 0);
    atomic_store(&w->words_end, 0);
    memset(w->words, 0, sizeof(w->words));
    atomic_store(&w->state, AREA_DEAD);
}

/* A lock of the process (not of the descriptor, which all have inherited). */
static bool lock_tapes(int fd, short type)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_len = 1};

    return fcntl(fd, F_SETLK, &lock) == 0;
}

bool area_lock_tapes(int fd)
{
    return lock_tapes(fd, F_WRLCK);
}

void area_unlock_tapes(int fd)
{
    lock_tapes(fd, F_UNLCK);
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

void area_capture_stderr(struct area *a, uint32_t number)
{
    FILE *stream = fopencookie(slot(a, number), "w", (cookie_io_functions_t){.write = capture});

    NEED(stream != NULL);
    /* Without a buffer of its own, what was printed last before a crash is in the ring. */
    setvbuf(stream, NULL, _IONBF, 0);
    stderr = stream;
}

size_t area_last_words(const struct area *a, uint32_t number, char *room)
{
    const struct area_worker *w = slot(a, number);
    uint64_t end = atomic_load_explicit(&w->words_end, memory_order_acquire);
    size_t len = end < AREA_WORDS ? (size_t)end : AREA_WORDS;

    for (size_t i = 0; i < len; i++) {
        char c = w->words[(end - len + i) % AREA_WORDS];

        room[i] = (c >= ' ' && c <= '~') || c == '\n' ? c : '?';
    }
    room[len] = '\0';
    return len;
}
