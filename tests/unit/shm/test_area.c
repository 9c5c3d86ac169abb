/*
 * test_area.c: the shared mapping between processes and threads: what a child may map, what a reader sees of a writer
 * that never stops, and what a hostile slot can do (nothing).
 */
#include "base/fd.h"
#include "base/panic.h"
#include "shm/area.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void two_mappings_share_every_word(void **unused)
{
    struct error err;
    int fd;
    struct area *a = area_new(&fd, &err), *b = area_map(fd, &err);

    assert_non_null(b);
    assert_int_equal(area_used(b), 0);
    area_use(a, 2);
    area_use(a, 0);
    assert_int_equal(area_used(b), 3);
    counters_add(&a->worker[2].counters, COUNTER_requests_2xx, 5);
    counters_refused(&a->worker[2].counters, 9);
    counters_refused(&a->worker[2].counters, 1u << 30); /* no such reason: nowhere */
    assert_int_equal(counters_get(&b->worker[2].counters, COUNTER_requests_2xx), 5);
    assert_int_equal(atomic_load(&b->worker[2].counters.refused[9]), 1);
    assert_int_equal((uintptr_t)&a->worker[1] % 64, 0);
    area_free(&a);
    area_free(&b);
    area_free(&b);
    close(fd);
}

static void a_file_that_is_no_area_is_refused_with_words(void **unused)
{
    struct error err = {""};
    int fd = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING), area_fd;
    struct area *a = area_new(&area_fd, &err);

    assert_null(area_map(fd, &err));
    assert_string_not_equal(err.text, "");
    assert_int_equal(ftruncate(fd, 12345), 0);
    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    assert_null(area_map(fd, &err));
    assert_null(area_map(-1, &err));
    assert_int_equal(ftruncate(area_fd, 0), -1); /* no child can pull the ground away */
    a->version++;
    assert_null(area_map(area_fd, &err));
    area_free(&a);
    close(fd);
    close(area_fd);
}

static void a_broken_header_harms_nobody_who_has_mapped_it(void **unused)
{
    char room[AREA_WORDS + 1];
    int fd;
    struct area *a = area_new(&fd, NULL);

    atomic_store(&a->used, UINT32_MAX);
    assert_int_equal(area_used(a), AREA_SLOTS);
    a->magic = 0;
    atomic_store(&a->worker[1].words_end, UINT64_MAX);
    memset(a->worker[1].words, 0xff, AREA_WORDS);
    memset(a->worker[1].progress.name, 0xff, PROGRESS_NAME);
    assert_int_equal(area_last_words(a, 1, room), AREA_WORDS);
    assert_null(strchr(room, '\xff'));
    area_reset_worker(a, 1);
    assert_int_equal(area_last_words(a, 1, room), 0);
    area_free(&a);
    close(fd);
}

static void a_reset_keeps_the_counters_and_nothing_else(void **unused)
{
    struct progress_view v;
    int fd;
    struct area *a = area_new(&fd, NULL);

    counters_add(&a->worker[0].counters, COUNTER_connections, 3);
    progress_begin(&a->worker[0].progress, "x", 4, DUR_MS(250), true);
    atomic_store(&a->worker[0].accepts, 8);
    atomic_store(&a->worker[0].state, AREA_SERVING);
    area_reset_worker(a, 0);
    progress_read(&a->worker[0].progress, &v);
    assert_false(v.inside);
    assert_int_equal(v.sequence, 0);
    assert_string_equal(v.name, "");
    assert_int_equal(atomic_load(&a->worker[0].accepts), 0);
    assert_int_equal(atomic_load(&a->worker[0].state), AREA_DEAD);
    assert_int_equal(counters_get(&a->worker[0].counters, COUNTER_connections), 3);
    area_free(&a);
    close(fd);
}

/* In an upgrade old and new workers share the mapping, and not what is live. */
static void each_edition_has_a_generation_word_of_its_own(void **unused)
{
    int fd;
    struct area *a = area_new(&fd, NULL), *b = area_map(fd, NULL);

    area_set_edition(b, 1);
    atomic_store(area_generation(b), 7);
    assert_int_equal(atomic_load(area_generation(a)), 0);
    assert_int_equal(atomic_load(area_generation_of(a, 1)), 7);
    area_set_edition(a, UINT32_MAX); /* any number has a word */
    atomic_store(area_generation(a), 9);
    assert_int_equal(atomic_load(area_generation_of(b, UINT32_MAX)), 9);
    area_free(&a);
    area_free(&b);
    close(fd);
}

/* In a process of its own: it dies as a worker would. */
static void last_words_survive_their_writer(void **unused)
{
    char room[AREA_WORDS + 1], want[32];
    int fd, status;
    struct area *a = area_new(&fd, NULL);
    pid_t pid = fork();

    if (pid == 0) {
        area_capture_stderr(a, 0);
        for (int i = 0; i < 2000; i++)
            fprintf(stderr, "line %d\x1b\n", i);
        fputs("the end", stderr);
        kill(getpid(), SIGKILL);
    }
    waitpid(pid, &status, 0);
    assert_int_equal(area_last_words(a, 0, room), AREA_WORDS);
    snprintf(want, sizeof(want), "line 1999?\nthe end");
    assert_string_equal(room + AREA_WORDS - strlen(want), want);
    area_free(&a);
    close(fd);
}

static void the_name_is_bounded_and_clean(void **unused)
{
    struct progress p = {0};
    struct progress_view v;
    char longer[400];

    memset(longer, 'n', sizeof(longer));
    longer[399] = '\0';
    longer[1] = '\x07';
    progress_begin(&p, longer, 1, DUR_MS(250), false);
    progress_read(&p, &v);
    assert_int_equal(strlen(v.name), PROGRESS_NAME - 1);
    assert_memory_equal(v.name, "n?nn", 4);
    assert_true(v.inside);
    progress_end(&p);
    progress_end(&p);
    progress_read(&p, &v);
    assert_false(v.inside);
    progress_begin(&p, NULL, 2, DUR_MS(250), true);
    progress_begin(&p, NULL, 3, DUR_MS(250), true); /* from within: another one, still inside */
    progress_read(&p, &v);
    assert_true(v.inside && v.preparing);
    assert_int_equal(v.version, 3);
    assert_int_equal(v.max_run.ns, DUR_MS(250).ns);
    assert_int_equal(v.sequence, 5);
}

#define COPIES 1000 /* that the reader shall have seen whole */

struct writing {
    struct progress progress;
    _Atomic bool enough;
};

static void *writer(void *cookie)
{
    struct writing *w = cookie;
    struct progress *p = &w->progress;

    for (uint64_t i = 1; !atomic_load(&w->enough); i++) {
        progress_begin(p, i % 2 ? "aaaaaaaaaaaaaaaaaaaa" : "bbbbbbbbbbbb", i % 2, DUR_MS(250), false);
        for (volatile int pause = 0; pause < (i % 8 == 0 ? 2000 : 0); pause++) /* time for a whole copy */
            ;
        progress_end(p);
    }
    return NULL;
}

/* A copy is of one piece: name and version belong together whenever the reader found time for a whole copy. */
static void a_reader_never_mixes_two_stretches(void **unused)
{
    struct writing w = {0};
    struct progress_view v = {0};
    pthread_t t;
    unsigned long mixed = 0, seen = 0;

    pthread_create(&t, NULL, writer, &w);
    while (seen < COPIES) {
        progress_read(&w.progress, &v);
        if (!v.inside || atomic_load(&w.progress.sequence) != v.sequence)
            continue;
        seen++;
        mixed += strcmp(v.name, v.version ? "aaaaaaaaaaaaaaaaaaaa" : "bbbbbbbbbbbb") != 0;
    }
    atomic_store(&w.enough, true);
    pthread_join(t, NULL);
    assert_int_equal(mixed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_mappings_share_every_word),
        cmocka_unit_test(a_file_that_is_no_area_is_refused_with_words),
        cmocka_unit_test(a_broken_header_harms_nobody_who_has_mapped_it),
        cmocka_unit_test(a_reset_keeps_the_counters_and_nothing_else),
        cmocka_unit_test(each_edition_has_a_generation_word_of_its_own),
        cmocka_unit_test(last_words_survive_their_writer),
        cmocka_unit_test(the_name_is_bounded_and_clean),
        cmocka_unit_test(a_reader_never_mixes_two_stretches),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
