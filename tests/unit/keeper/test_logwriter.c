/*
 * test_logwriter.c: the writer thread: lines in order and whole, tapes released only when they are written, a reader
 * that stalls fills the queue and holds up nobody, a file is opened again between two lines, a line that was cut off is
 * ended before the next.
 */
#include "base/output.h"
#include "base/panic.h"
#include "keeper/logwriter.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
// clang-format off
#include <stdarg.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on

static struct tape tape;
static _Atomic uint64_t lost;
static _Atomic uint32_t cut, fault;
static char folder[64], path[128];
static struct logwriter
    *volatile writers[16]; /* their threads live as long as the process: held, so that none counts as lost */
static size_t writer_count;

static int setup(void **state)
{
    signal(SIGPIPE, SIG_IGN);
    snprintf(folder, sizeof(folder), "/tmp/crescent-logwriter-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/log", folder);
    lost = 0;
    cut = 0;
    fault = 0;
    tape_release(&tape, 0);
    return 0;
}

static int teardown(void **state)
{
    char command[160];
    static const char *const names[] = {"log", "old"};
    for (size_t i = 0; i < 2; i++) {
        snprintf(command, sizeof(command), "%s/%s", folder, names[i]);
        unlink(command);
    }
    rmdir(folder);
    return 0;
}

static struct logwriter *open_writer(void)
{
    struct error err;
    struct logwriter *w = logwriter_new(path, &lost, &cut, &fault, &err);
    assert_non_null(w);
    writers[writer_count++] = w;
    return w;
}

static void put(struct logwriter *w, const char *text, size_t times, uint64_t position)
{
    struct buf lines = {0};
    for (size_t i = 0; i < times; i++)
        buf_add_text(&lines, text);
    const struct logwriter_mark mark = {&tape, position};
    logwriter_put(w, &lines, &mark, 1);
    assert_null(lines.at);
}

static void expect_file(const char *name, const char *expected)
{
    char room[256] = "";
    FILE *f = fopen(name, "r");
    assert_non_null(f);
    room[fread(room, 1, sizeof(room) - 1, f)] = '\0';
    fclose(f);
    assert_string_equal(room, expected);
}

static void lines_are_written_in_order_and_their_tape_released(void **state)
{
    struct logwriter *w = open_writer();
    struct stat st;
    put(w, "one\n", 1, 8);
    put(w, "two\n", 2, 24);
    assert_true(logwriter_finish(w, DUR_S(10)));
    expect_file(path, "one\ntwo\ntwo\n");
    assert_int_equal(atomic_load(&tape.read), 24);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0137, 0); /* 0640 at most */
}

static void a_file_is_opened_again_between_two_lines(void **state)
{
    struct logwriter *w = open_writer();
    struct error said;
    bool failed = true;
    char old[160];
    snprintf(old, sizeof(old), "%s/old", folder);
    put(w, "before\n", 1, 8);
    assert_true(logwriter_finish(w, DUR_S(10)));
    assert_int_equal(rename(path, old), 0);
    put(w, "still\n", 1, 16);
    logwriter_reopen(w);
    put(w, "after\n", 1, 24);
    assert_true(logwriter_finish(w, DUR_S(10)));
    expect_file(old, "before\nstill\n");
    expect_file(path, "after\n");
    assert_true(logwriter_said(w, &said, &failed));
    assert_false(failed);
    assert_false(logwriter_said(w, &said, &failed));
}

static void a_file_that_cannot_be_opened_again_stays_the_old_one(void **state)
{
    struct logwriter *w = open_writer();
    struct error said;
    bool failed = false;
    char old[160];
    snprintf(old, sizeof(old), "%s/old", folder);
    put(w, "before\n", 1, 8);
    assert_true(logwriter_finish(w, DUR_S(10)));
    assert_int_equal(rename(path, old), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    logwriter_reopen(w);
    put(w, "after\n", 1, 16);
    assert_true(logwriter_finish(w, DUR_S(10)));
    assert_true(logwriter_said(w, &said, &failed));
    assert_true(failed);
    assert_non_null(strstr(said.text, path));
    expect_file(old, "before\nafter\n");
    rmdir(path);
}

/* A pipe of which nobody reads. */
static void a_stalled_reader_fills_the_queue_and_releases_nothing(void **state)
{
    struct error err;
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_null(
        logwriter_new(path, &lost, &cut, &fault, &err)); /* without a reader it is an error, and does not hang */
    int reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct logwriter *w = open_writer();
    uint64_t chunks = 0;
    while (logwriter_ready(w))
        put(w, "a line of thirty-two bytes, all\n", 2048, ++chunks * 8);
    mono_t began = mono_now();
    assert_false(logwriter_finish(w, DUR_MS(50)));
    assert_true(mono_since(mono_now(), began).ns < DUR_S(5).ns);
    assert_true(atomic_load(&tape.read) <= 2 * 8); /* what the pipe itself holds */

    char room[8192];
    size_t got = 0;
    while (!logwriter_finish(w, DUR_MS(1)) || got % 2048 != 0) { /* it reads again */
        ssize_t n = read(reader, room, sizeof(room));
        for (ssize_t i = 0; i < n; i++)
            assert_int_equal(room[i], "a line of thirty-two bytes, all\n"[(got + (size_t)i) % 32]);
        got += n > 0 ? (size_t)n : 0;
    }
    assert_true(got > LOGWRITER_QUEUE_MAX / 2);
    assert_int_equal(atomic_load(&tape.read), chunks * 8);
    assert_int_equal(lost, 0);
    close(reader); /* gone: lines are counted, the thread goes on */
    put(w, "nobody\n", 3, 7777);
    assert_true(logwriter_finish(w, DUR_S(10)));
    assert_int_equal(lost, 3);
    assert_int_equal(fault, EPIPE);
    assert_int_equal(atomic_load(&tape.read), 7777);
}

/* --- lines that were cut off -------------------------------------------------------------------------------------- */

/* As a full disk does: the file takes so many bytes, then none. */
static void let_files_grow_to(rlim_t bytes)
{
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void after_a_full_disk_the_next_line_is_not_glued_to_half_a_one(void **state)
{
    struct logwriter *w = open_writer();
    signal(SIGXFSZ, SIG_IGN);
    let_files_grow_to(22);
    put(w, "line one\n", 3, 8);
    put(w, "nothing\n", 2, 16);
    bool all = logwriter_finish(w, DUR_S(10));
    let_files_grow_to(RLIM_INFINITY);
    assert_true(all);
    assert_int_equal(lost, 3);
    assert_int_equal(fault, EFBIG);
    put(w, "after\n", 1, 24);
    put(w, "more\n", 1, 32);
    assert_true(logwriter_finish(w, DUR_S(10)));
    expect_file(path, "line one\nline one\nline\nafter\nmore\n");
    assert_int_equal(lost, 3);
}

static void a_disk_that_is_full_between_two_lines_leaves_no_empty_one(void **state)
{
    struct logwriter *w = open_writer();
    signal(SIGXFSZ, SIG_IGN);
    let_files_grow_to(18);
    put(w, "line one\n", 3, 8);
    bool all = logwriter_finish(w, DUR_S(10));
    let_files_grow_to(RLIM_INFINITY);
    assert_true(all);
    put(w, "after\n", 1, 16);
    assert_true(logwriter_finish(w, DUR_S(10)));
    expect_file(path, "line one\nline one\nafter\n");
    assert_int_equal(lost, 1);
}

static void half_a_line_in_the_old_file_is_none_of_the_new_one(void **state)
{
    struct logwriter *w = open_writer();
    char old[160];
    snprintf(old, sizeof(old), "%s/old", folder);
    signal(SIGXFSZ, SIG_IGN);
    let_files_grow_to(4);
    put(w, "line one\n", 1, 8);
    bool all = logwriter_finish(w, DUR_S(10));
    let_files_grow_to(RLIM_INFINITY);
    assert_true(all);
    assert_int_equal(rename(path, old), 0);
    logwriter_reopen(w);
    put(w, "after\n", 1, 16);
    assert_true(logwriter_finish(w, DUR_S(10)));
    expect_file(old, "line");
    expect_file(path, "after\n");
}

static void a_file_that_somebody_was_killed_within_is_gone_on_with_in_a_new_line(void **state)
{
    FILE *f = fopen(path, "w");
    fputs("whole\nha", f);
    fclose(f);
    struct logwriter *w = open_writer();
    put(w, "after\n", 1, 8);
    put(w, "more\n", 1, 16);
    assert_true(logwriter_finish(w, DUR_S(10)));
    expect_file(path, "whole\nha\nafter\nmore\n");
}

/* A pipe does not show it: the one before has said so. */
static void in_a_pipe_the_word_of_the_one_before_counts(void **state)
{
    char room[64] = "";
    assert_int_equal(mkfifo(path, 0600), 0);
    int reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    cut = 1;
    struct logwriter *w = open_writer();
    put(w, "after\n", 1, 8);
    put(w, "more\n", 1, 16);
    assert_true(logwriter_finish(w, DUR_S(10)));
    assert_int_equal(read(reader, room, sizeof(room) - 1), 12);
    assert_string_equal(room, "\nafter\nmore\n");
    assert_int_equal(cut, 0);
    close(reader);
}

static void while_a_line_longer_than_a_pipe_takes_at_once_is_written_the_word_says_so(void **state)
{
    static char room[8192];
    size_t len = 100000, got = 0;
    struct buf line = {0};
    assert_int_equal(mkfifo(path, 0600), 0);
    int reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct logwriter *w = open_writer();
    memset(buf_reserve(&line, len), 'x', len);
    line.len = len;
    line.at[len - 1] = '\n';
    logwriter_put(w, &line, &(struct logwriter_mark){&tape, 8}, 1);
    assert_false(logwriter_finish(w, DUR_MS(100)));
    assert_int_equal(cut, 1);
    while (got < len) {
        ssize_t n = read(reader, room, sizeof(room));
        got += n > 0 ? (size_t)n : 0;
    }
    assert_true(logwriter_finish(w, DUR_S(10)));
    assert_int_equal(cut, 0);
    close(reader);
}

/* --- the way without a thread ------------------------------------------------------------------------------------- */

static void a_full_pipe_takes_a_line_whole_or_not_at_all(void **state)
{
    int ends[2];
    struct output o;
    char line[1000], room[4096];
    size_t taken = 0, got = 0;
    memset(line, 'x', sizeof(line));
    line[sizeof(line) - 1] = '\n';
    assert_int_equal(pipe(ends), 0);
    output_open(&o, ends[1]);
    assert_int_equal(fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0); /* whoever shares it is left as they were */
    while (output_write(&o, (struct slice){line, sizeof(line)}, (dur_t){0}))
        taken++;
    assert_true(taken > 10);
    mono_t began = mono_now();
    assert_false(output_write(&o, (struct slice){line, sizeof(line)}, DUR_MS(20)));
    assert_true(mono_since(mono_now(), began).ns >= DUR_MS(20).ns);
    assert_true(mono_since(mono_now(), began).ns < DUR_S(5).ns);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    for (ssize_t n; (n = read(ends[0], room, sizeof(room))) > 0; output_flush(&o, (dur_t){0}))
        got += (size_t)n;
    assert_int_equal(got, taken * sizeof(line));
    output_close(&o);
    close(ends[0]);
    close(ends[1]);
}

static void a_line_longer_than_a_pipe_comes_whole_in_the_end(void **state)
{
    int ends[2];
    struct output o;
    size_t len = 200000, got = 0;
    char *line = need_alloc(len), room[4096];
    memset(line, 'y', len);
    assert_int_equal(pipe(ends), 0);
    output_open(&o, ends[1]);
    assert_true(output_write(&o, (struct slice){line, len}, (dur_t){0})); /* begun: the rest is kept */
    assert_false(output_write(&o, SLICE("next\n"), (dur_t){0}));          /* nothing before its end */
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    for (ssize_t n; (n = read(ends[0], room, sizeof(room))) > 0; output_flush(&o, (dur_t){0}))
        got += (size_t)n;
    assert_int_equal(got, len);
    output_close(&o);
    free(line);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lines_are_written_in_order_and_their_tape_released, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_is_opened_again_between_two_lines, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_that_cannot_be_opened_again_stays_the_old_one, setup, teardown),
        cmocka_unit_test_setup_teardown(a_stalled_reader_fills_the_queue_and_releases_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(after_a_full_disk_the_next_line_is_not_glued_to_half_a_one, setup, teardown),
        cmocka_unit_test_setup_teardown(a_disk_that_is_full_between_two_lines_leaves_no_empty_one, setup, teardown),
        cmocka_unit_test_setup_teardown(half_a_line_in_the_old_file_is_none_of_the_new_one, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_that_somebody_was_killed_within_is_gone_on_with_in_a_new_line, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(in_a_pipe_the_word_of_the_one_before_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(while_a_line_longer_than_a_pipe_takes_at_once_is_written_the_word_says_so,
                                        setup, teardown),
        cmocka_unit_test(a_full_pipe_takes_a_line_whole_or_not_at_all),
        cmocka_unit_test(a_line_longer_than_a_pipe_comes_whole_in_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
