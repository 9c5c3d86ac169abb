/*
 * test_edition.c: promise: the text of the configuration that a worker or a trial gets has its private keys, and no
 * admin token; and of making it, as often as children start, nothing secret stays behind in memory.
 */
#include "base/fd.h"
#include "base/panic.h"
#include "supervise/edition.h"
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
// clang-format off
#include <stdarg.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on

#define SITES 40
#define KEY_BYTES 3000
#define GAPS 5
#define MARK 24             /* bytes that are found nowhere else */
#define LARGEST (1ul << 30) /* a mapping; larger ones are a sanitizer's own */

/* The bytes of the mark, one after the other: no copy of it stands in this program. */
static char mark_at(size_t i)
{
    return (char)('A' + (i * i * 7 + i * 11 + 5) % 53);
}

static bool is_mark(const char *at)
{
    for (size_t i = 0; i < MARK; i++)
        if (at[i] != mark_at(i))
            return false;
    return true;
}

static size_t marks_in(const char *at, size_t len)
{
    size_t count = 0;
    for (size_t i = 0; i + MARK <= len; i++)
        count += at[i] == mark_at(0) && is_mark(at + i);
    return count;
}

/* In all that this process can write to, freed memory too. Read as a file, for a sanitizer forbids the freed. */
static size_t marks_in_memory(void)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    size_t count = 0, room = 1 << 20;
    char line[512], *into = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint64_t own = (uint64_t)(uintptr_t)into;
    assert_true(maps != NULL && memory >= 0 && into != MAP_FAILED);
    while (fgets(line, sizeof(line), maps) != NULL) {
        uint64_t from, to;
        char rights[8];
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s", &from, &to, rights) != 3 || rights[1] != 'w' ||
            to - from > LARGEST)
            continue;
        while (from < to) {
            if (from >= own && from < own + room) {
                from = own + room;
                continue;
            }
            uint64_t end = from < own && to > own ? own : to;
            ssize_t got = pread(memory, into, end - from < room ? end - from : room, (off_t)from);
            if (got <= 0)
                break;
            count += marks_in(into, (size_t)got);
            from += (uint64_t)got;
        }
    }
    fclose(maps);
    close(memory);
    munmap(into, room);
    return count;
}

static struct edition *with_keys(void)
{
    struct config c;
    char key[KEY_BYTES];
    config_defaults(&c);
    c.admin_token = need_strdup("a token of the operator's");
    for (size_t i = 0; i < sizeof(key); i++)
        key[i] = i < MARK ? mark_at(i) : 'k';
    for (size_t i = 0; i < SITES; i++)
        config_tls_set(&config_add_tls(&c)->key, SLICE("/key"), (struct slice){key, sizeof(key)});
    explicit_bzero(key, sizeof(key));
    return edition_new(0, "1", &c, -1, -1);
}

/* A heap as that of a process that has run for a while: what grows finds room behind it no more, and has to move. */
static void make_gaps(void *kept[GAPS])
{
    void *freed[GAPS];
    for (size_t i = 0; i < GAPS; i++) {
        freed[i] = need_alloc((size_t)5000 << i);
        kept[i] = need_alloc(4500); /* more than any gap that is there already */
    }
    for (size_t i = 0; i < GAPS; i++)
        free(freed[i]);
}

/* What calls have left where the next ones write: it would be there before, and not after. */
static void __attribute__((noinline)) wipe_stack(void)
{
    char room[64 << 10];
    explicit_bzero(room, sizeof(room));
}

static void the_text_for_workers_leaves_no_secrets_behind(void **state)
{
    struct edition *e = with_keys();
    struct error err;
    struct slice text;
    void *kept[GAPS];
    make_gaps(kept);
    wipe_stack();
    size_t before = marks_in_memory();
    assert_true(before >= SITES);
    for (int child = 0; child < 3; child++) {
        int fd = edition_open_text(e, &err);
        assert_true(fd >= 0);
        assert_int_equal(fd_map_sealed(fd, &text, &err), 0);
        assert_int_equal(marks_in(text.at, text.len), SITES);
        assert_true(memmem(text.at, text.len, "a token of", 10) == NULL);
        munmap((void *)text.at, text.len);
        close(fd);
    }
    assert_int_equal(marks_in_memory(), before);
    edition_free(&e, NULL);
    for (size_t i = 0; i < GAPS; i++)
        free(kept[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_text_for_workers_leaves_no_secrets_behind)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
