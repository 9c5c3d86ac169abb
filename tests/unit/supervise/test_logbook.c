/*
 * test_logbook.c: promise: a tape on which somebody writes without end, records that nobody can read, holds the
 * supervisor up for no more than one tape's worth of them. (Every worker can write on the supervisor's.)
 */
#include "shm/area.h"
#include "supervise/logbook.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static _Atomic bool stopped;

/* There is always some more than was read. */
static void *write_on(void *cookie)
{
    struct tape *t = cookie;
    while (!stopped)
        atomic_store(&t->written, atomic_load(&t->read) + TAPE_BYTES / 2);
    return NULL;
}

static void a_writer_without_end_holds_nobody_up(void **state)
{
    char folder[] = "/tmp/crescent-logbook-XXXXXX", path[64];
    struct error err;
    struct logbook book;
    struct tape_writer w;
    pthread_t thread;
    int fd;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/log", folder);
    struct config config = {.log_file = path};
    struct area *area = area_new(&fd, &err);
    assert_non_null(area);
    assert_int_equal(logbook_open(&book, &config, area, fd, -1, &err), 0);
    tape_writer_init(&w, &area->tape, &area->bell, -1);
    while (tape_begin(&w, 0) != NULL)
        tape_commit(&w, 0); /* no record that anyone could read */
    assert_int_equal(pthread_create(&thread, NULL, write_on, &area->tape), 0);
    alarm(60); /* ends this program */
    for (int i = 0; i < 100; i++) {
        uint64_t before = atomic_load(&area->tape.read);
        logbook_tick(&book);
        assert_in_range(atomic_load(&area->tape.read) - before, 0, TAPE_BYTES);
        usleep(1000); /* the writer's turn */
    }
    logbook_close(&book);
    alarm(0);
    stopped = true;
    pthread_join(thread, NULL);
    area_free(&area);
    close(fd);
    unlink(path);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_writer_without_end_holds_nobody_up)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
