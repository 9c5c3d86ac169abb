/*
 * test_tapes.c: promise: to open the log again takes no more from the tapes at once than the writer's queue holds,
 * however much others write; and no line is lost to it. What is dropped while nobody reads is told by the next keeper,
 * once; one that is killed before its line about it is written leaves that to the next; what could not be written is
 * told of by the error; and a worker that counts back makes nothing of it.
 */
#include "base/fd.h"
#include "io/loop.h"
#include "ipc/records.h"
#include "keeper/logwriter.h"
#include "keeper/tapes.h"
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define WORKERS 16u

static struct tapes *volatile tapes, *volatile before[8]; /* they live as long as their threads */

/* As many lines as there is room for. */
static size_t fill(struct area *a, uint32_t slot)
{
    struct tape_writer w;
    const struct log_line line = {.level = LOG_INFO, .message = SLICE("one of many lines that wait on the tapes")};
    size_t count = 0;
    tape_writer_init(&w, &a->worker[slot].tape, &a->bell, -1);
    while (records_write_line(&w, slot, &line))
        count++;
    return count;
}

static size_t count_lines(const char *path)
{
    char line[1024];
    size_t count = 0;
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(line, sizeof(line), f) != NULL)
        count += strstr(line, "one of many") != NULL;
    fclose(f);
    return count;
}

static void opening_again_takes_no_more_at_once_than_the_queue_holds(void **state)
{
    char folder[] = "/tmp/crescent-tapes-XXXXXX", path[64], old[64];
    struct error err;
    struct stat st;
    size_t written = 0;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/log", folder);
    snprintf(old, sizeof(old), "%s/old", folder);
    struct config config = {.log_file = path};
    struct tapes_host host = {.config = &config, .loop = loop_new(), .wake = eventfd(0, EFD_NONBLOCK)};
    host.area = area_new(&host.area_fd, &err);
    area_use(host.area, WORKERS - 1);
    tapes = tapes_new(&host, &err);
    assert_non_null(tapes);
    tapes_finish(tapes, DUR_S(10)); /* from here on all tapes are read */
    for (uint32_t i = 0; i < WORKERS; i++)
        written += fill(host.area, i);

    assert_int_equal(rename(path, old), 0);
    tapes_reopen(tapes);
    tapes_finish(tapes, DUR_S(30));
    assert_int_equal(stat(old, &st), 0);
    assert_in_range(st.st_size, 1, LOGWRITER_QUEUE_MAX + LOGWRITER_QUEUE_MAX / 8);
    assert_int_equal(count_lines(old) + count_lines(path), written);
    unlink(old);
    unlink(path);
    rmdir(folder);
}

static void pass_for(struct loop *loop, dur_t time)
{
    mono_t until = mono_add(mono_now(), time);
    while (mono_before(mono_now(), until))
        loop_pass(loop, DUR_MS(20));
}

static void begin_keeper(struct tapes_host *host)
{
    static size_t count;
    struct error err;
    host->loop = loop_new();
    before[count++] = tapes;
    tapes = tapes_new(host, &err);
    assert_non_null(tapes);
}

/* The caller's to free. */
static char *text_of(const char *path)
{
    struct buf all = {0};
    assert_true(fd_read_file(path, 16 << 20, &all, NULL) >= 0);
    return buf_take(&all);
}

/* The text of a keeper's log, once it has nothing more to say; the caller's to free. */
static char *log_of_next_keeper(struct tapes_host *host, const char *path)
{
    begin_keeper(host);
    pass_for(host->loop, DUR_MS(300));
    tapes_finish(tapes, DUR_S(30));
    return text_of(path);
}

struct bench { /* an area, and a log that no keeper has opened yet */
    char folder[32], path[64];
    struct config config;
    struct tapes_host host;
};

static void begin_bench(struct bench *b, uint32_t last_slot)
{
    struct error err;
    *b = (struct bench){.folder = "/tmp/crescent-tapes-XXXXXX"};
    assert_non_null(mkdtemp(b->folder));
    snprintf(b->path, sizeof(b->path), "%s/log", b->folder);
    b->config.log_file = b->path;
    b->host = (struct tapes_host){.config = &b->config, .wake = eventfd(0, EFD_NONBLOCK)};
    b->host.area = area_new(&b->host.area_fd, &err);
    area_use(b->host.area, last_slot);
}

static void end_bench(struct bench *b)
{
    unlink(b->path);
    rmdir(b->folder);
}

static void what_is_dropped_while_nobody_reads_is_told_once(void **state)
{
    struct bench b;
    begin_bench(&b, 0);
    fill(b.host.area, 0);
    fill(b.host.area, 0); /* the last line of each is dropped */
    for (int keeper = 1; keeper <= 2; keeper++) {
        char *text = log_of_next_keeper(&b.host, b.path), *told = strstr(text, "log lines dropped");
        assert_non_null(told);
        assert_non_null(strstr(told, "\"count\":2"));
        assert_null(strstr(told + 1, "log lines dropped"));
        free(text);
    }
    end_bench(&b);
}

/* A pipe that takes no more. */
static int full_pipe(const char *path)
{
    char room[4096] = {0};
    assert_int_equal(mkfifo(path, 0600), 0);
    int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    assert_true(fd >= 0);
    while (write(fd, room, sizeof(room)) > 0)
        continue;
    return fd;
}

static void what_a_keeper_could_not_write_of_it_any_more_is_told_by_the_next(void **state)
{
    struct bench b;
    char pipe[64];
    begin_bench(&b, 0);
    snprintf(pipe, sizeof(pipe), "%s/pipe", b.folder);
    int reader = full_pipe(pipe);
    struct config stalled = {.log_file = pipe};
    b.host.config = &stalled;
    atomic_store(&b.host.area->worker[0].tape.dropped, 7);
    begin_keeper(&b.host);
    pass_for(b.host.loop, DUR_MS(300)); /* its line waits; then it is killed */
    b.host.config = &b.config;
    char *text = log_of_next_keeper(&b.host, b.path), *told = strstr(text, "log lines dropped");
    assert_non_null(told);
    assert_non_null(strstr(told, "\"count\":7"));
    assert_null(strstr(told + 1, "log lines dropped"));
    free(text);
    close(reader);
    unlink(pipe);
    end_bench(&b);
}

static size_t times(const char *text, const char *what)
{
    size_t count = 0;
    for (; (text = strstr(text, what)) != NULL; text++)
        count++;
    return count;
}

static void let_files_grow_to(rlim_t bytes)
{
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* A keeper loses lines on a full disk, and cannot say so; then there is room again, for it or for the next one. */
static void assert_error_told(bool by_next)
{
    struct bench b;
    begin_bench(&b, 0);
    begin_keeper(&b.host);
    let_files_grow_to(4096);
    fill(b.host.area, 0);
    while (atomic_load(&b.host.area->log_lost) < 100)
        loop_pass(b.host.loop, DUR_MS(20));
    pass_for(b.host.loop, DUR_MS(1500)); /* it tries to say so */
    let_files_grow_to(RLIM_INFINITY);
    for (int i = 0; i < 1000 && !by_next && atomic_load(&b.host.area->log_told) < 100; i++)
        loop_pass(b.host.loop, DUR_MS(20));
    char *text = by_next ? log_of_next_keeper(&b.host, b.path) : text_of(b.path);
    const char *told = strstr(text, "log lines dropped: they could not be written");
    assert_non_null(told);
    assert_non_null(strstr(told, "\"error\":\"File too large\""));
    assert_int_equal(times(text, "they could not be written"), 1);
    assert_int_equal(times(text, "is too slow"), 1); /* the one that found no room on its tape */
    assert_int_equal(atomic_load(&b.host.area->log_fault), 0);
    free(text);
    end_bench(&b);
}

static void lines_that_a_full_disk_has_lost_are_told_of_by_its_error(void **state)
{
    assert_error_told(false);
}

static void and_by_the_next_keeper_where_that_could_not(void **state)
{
    assert_error_told(true);
}

/* What it counts lies where it can write. */
static void a_worker_that_counts_back_makes_nothing_of_it(void **state)
{
    struct bench b;
    begin_bench(&b, 1);
    atomic_store(&b.host.area->worker[0].tape.dropped, 50);
    begin_keeper(&b.host);
    pass_for(b.host.loop, DUR_MS(300));
    atomic_store(&b.host.area->worker[0].tape.dropped, 10);
    tapes_look(tapes);
    pass_for(b.host.loop, DUR_MS(2500)); /* reports */
    char *text = text_of(b.path);
    assert_int_equal(times(text, "log lines dropped"), 1);
    free(text);
    atomic_store(&b.host.area->worker[1].tape.dropped, 3); /* another one's are told all the same */
    tapes_look(tapes);
    pass_for(b.host.loop, DUR_MS(2500));
    tapes_finish(tapes, DUR_S(30));
    text = text_of(b.path);
    assert_int_equal(times(text, "log lines dropped"), 2);
    assert_int_equal(times(text, "\"count\":50"), 1);
    assert_int_equal(times(text, "\"count\":3"), 1);
    free(text);
    end_bench(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opening_again_takes_no_more_at_once_than_the_queue_holds),
        cmocka_unit_test(what_is_dropped_while_nobody_reads_is_told_once),
        cmocka_unit_test(what_a_keeper_could_not_write_of_it_any_more_is_told_by_the_next),
        cmocka_unit_test(lines_that_a_full_disk_has_lost_are_told_of_by_its_error),
        cmocka_unit_test(and_by_the_next_keeper_where_that_could_not),
        cmocka_unit_test(a_worker_that_counts_back_makes_nothing_of_it),
    };
    signal(SIGPIPE, SIG_IGN); /* as in a keeper */
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error of the write */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
