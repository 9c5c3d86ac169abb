/*
 * curl_memory.c: see curl_memory.h. Before each block stands its class. Under a sanitizer nothing is kept, so that it
 * sees every use of what was freed. Mutable file-scope state: libcurl's callbacks have no argument for it; it is the
 * thread's own.
 */
#include "io/curl_memory.h"
#include "base/panic.h"
#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CLASSES 20    /* 32, 48, 64, 96, … 24 KiB: two to a power of two */
#define LARGE 12      /* from this class on, 2 KiB, */
#define KEPT_LARGE 64 /* so many are kept of one */
#define KEPT_SMALL 1024
#define NO_CLASS UINT32_MAX

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define KEEPS false
#else
#define KEEPS true
#endif

union head {
    struct {
        uint32_t class;
        union head *next; /* while kept */
    } is;
    max_align_t align;
};

static _Thread_local struct {
    bool loop; /* this is its thread */
    union head *kept[CLASSES];
    uint32_t count[CLASSES];
} mine;

static size_t size_of(uint32_t class)
{
    size_t power = (size_t)32 << (class / 2);
    return class % 2 == 0 ? power : power + power / 2;
}

static uint32_t class_of(size_t size)
{
    if (size <= 32)
        return 0;
    /* the highest bit below size: 33..64 → 5 */
    uint32_t power = 63u - (uint32_t)__builtin_clzll((unsigned long long)size - 1);
    uint32_t class = 2 * (power - 5) + (size <= ((size_t)3 << (power - 1)) ? 1 : 2);
    return class < CLASSES ? class : NO_CLASS;
}

static void *take(size_t size)
{
    uint32_t class = KEEPS ? class_of(size) : NO_CLASS;
    union head *h = NULL;
    if (class != NO_CLASS && mine.kept[class] != NULL) {
        h = mine.kept[class];
        mine.kept[class] = h->is.next;
        mine.count[class]--;
        return h + 1;
    }
    if (size > SIZE_MAX / 2)
        return NULL;
    h = malloc(sizeof(*h) + (class != NO_CLASS ? size_of(class) : size));
    if (h == NULL)
        return NULL;
    h->is.class = class;
    return h + 1;
}

static void give(void *block)
{
    if (block == NULL)
        return;
    union head *h = (union head *)block - 1;
    uint32_t class = h->is.class;
    if (class == NO_CLASS || !mine.loop || mine.count[class] >= (class < LARGE ? KEPT_SMALL : KEPT_LARGE)) {
        free(h);
        return;
    }
    h->is.next = mine.kept[class];
    mine.kept[class] = h;
    mine.count[class]++;
}

static void *resize(void *block, size_t size)
{
    if (block == NULL)
        return take(size);
    union head *h = (union head *)block - 1;
    uint32_t class = h->is.class;
    if (class == NO_CLASS) {
        h = size <= SIZE_MAX / 2 ? realloc(h, sizeof(*h) + size) : NULL;
        return h != NULL ? h + 1 : NULL;
    }
    if (size <= size_of(class))
        return block;
    void *larger = take(size);
    if (larger == NULL)
        return NULL;
    memcpy(larger, block, size_of(class));
    give(block);
    return larger;
}

static void *take_zero(size_t count, size_t size)
{
    size_t all;
    if (__builtin_mul_overflow(count, size, &all))
        return NULL;
    void *block = take(all);
    if (block != NULL)
        memset(block, 0, all);
    return block;
}

static char *copy(const char *text)
{
    size_t size = strlen(text) + 1;
    char *block = take(size);
    return block != NULL ? memcpy(block, text, size) : NULL;
}

void io_curl_memory_start(void)
{
    mine.loop = true;
    NEED(curl_global_init_mem(CURL_GLOBAL_DEFAULT, take, give, resize, copy, take_zero) == CURLE_OK);
}
