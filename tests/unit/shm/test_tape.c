/*
 * test_tape.c: records between two threads, and what a killed or hostile writer, or a reader that died, may leave.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "shm/tape.h"
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct fixture {
    struct tape *tape;
    struct tape_bell bell;
    struct tape_writer writer;
    struct tape_reader reader;
    struct buf record;
    _Atomic bool ended; /* the other thread */
};

static int setup(void **state)
{
    static struct fixture fixture; /* aligned as its members want it */
    struct fixture *f = &fixture;
    fixture = (struct fixture){0};
    f->tape = mmap(NULL, sizeof(*f->tape), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(f->tape, MAP_FAILED);
    tape_writer_init(&f->writer, f->tape, &f->bell, -1);
    tape_reader_init(&f->reader, f->tape);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    buf_free(&f->record);
    munmap(f->tape, sizeof(*f->tape));
    return 0;
}

static bool put(struct tape_writer *w, const void *bytes, size_t len)
{
    void *room = tape_begin(w, len);
    if (room == NULL)
        return false;
    memcpy(room, bytes, len);
    tape_commit(w, len);
    return true;
}

static void assert_next(struct fixture *f, const char *text)
{
    assert_true(tape_next(&f->reader, &f->record));
    assert_int_equal(f->record.len, strlen(text));
    assert_memory_equal(f->record.at, text, strlen(text));
}

static void records_come_out_in_order(void **state)
{
    struct fixture *f = *state;
    assert_false(tape_waiting(&f->reader));
    assert_false(tape_next(&f->reader, &f->record));
    assert_true(put(&f->writer, "one", 3));
    assert_true(put(&f->writer, "", 0));
    assert_true(put(&f->writer, "a longer third", 14));
    assert_true(tape_waiting(&f->reader));
    assert_next(f, "one");
    assert_next(f, "");
    assert_next(f, "a longer third");
    assert_false(tape_waiting(&f->reader));
}

static void a_record_may_be_shorter_than_its_room_and_without_commit_there_is_none(void **state)
{
    struct fixture *f = *state;
    memcpy(tape_begin(&f->writer, 1000), "short", 5);
    tape_commit(&f->writer, 5);
    assert_non_null(tape_begin(&f->writer, 40));
    memcpy(tape_begin(&f->writer, 4), "next", 4);
    tape_commit(&f->writer, 4);
    assert_next(f, "short");
    assert_next(f, "next");
    assert_false(tape_next(&f->reader, &f->record));
}

static void without_room_it_drops_and_counts_and_goes_on_once_released(void **state)
{
    struct fixture *f = *state;
    static unsigned char big[TAPE_RECORD_MAX + 1];
    size_t fits = 0;
    assert_false(put(&f->writer, big, sizeof(big)));
    while (put(&f->writer, big, 5000))
        fits++;
    assert_in_range(fits, TAPE_BYTES / 5016 - 1, TAPE_BYTES / 5008);
    assert_int_equal(tape_dropped(f->tape), 2);
    for (size_t i = 0; i < fits; i++)
        assert_true(tape_next(&f->reader, &f->record));
    assert_false(put(&f->writer, big, 5000)); /* read, but not released */
    tape_release(f->tape, f->reader.position);
    assert_true(put(&f->writer, "after", 5));
    assert_next(f, "after");
    assert_int_equal(tape_dropped(f->tape), 3);
}

static void a_new_reader_goes_on_where_the_last_one_released(void **state)
{
    struct fixture *f = *state;
    put(&f->writer, "a", 1);
    put(&f->writer, "b", 1);
    assert_next(f, "a");
    tape_release(f->tape, f->reader.position);
    assert_next(f, "b"); /* and dies */
    tape_reader_init(&f->reader, f->tape);
    assert_next(f, "b");
}

static void a_writer_killed_in_the_middle_leaves_nothing_of_that_record(void **state)
{
    struct fixture *f = *state;
    pid_t child = fork();
    if (child == 0) {
        struct tape_writer w;
        tape_writer_init(&w, f->tape, &f->bell, -1);
        put(&w, "whole", 5);
        memcpy(tape_begin(&w, 100), "half", 4);
        raise(SIGKILL);
    }
    waitpid(child, NULL, 0);
    tape_writer_init(&f->writer, f->tape, &f->bell, -1); /* the next life */
    put(&f->writer, "new life", 8);
    assert_next(f, "whole");
    assert_next(f, "new life");
    assert_int_equal(tape_resets(f->tape), 0);
}

/* --- two threads -------------------------------------------------------------------------------------------------- */

#define COUNT 200000u

static void *write_numbers(void *cookie)
{
    struct fixture *f = cookie;
    unsigned char record[300];
    for (uint32_t i = 0; i < COUNT; i++) {
        size_t len = 4 + i % 290;
        memset(record, (int)(i & 0xff), sizeof(record));
        memcpy(record, &i, 4);
        put(&f->writer, record, len);
    }
    while (!put(&f->writer, "the end", 7))
        sched_yield();
    return NULL;
}

/* False: it was the last one. */
static bool check_number(struct fixture *f, uint32_t *last, uint32_t *got)
{
    uint32_t number;
    if (f->record.len == 7 && memcmp(f->record.at, "the end", 7) == 0)
        return false;
    memcpy(&number, f->record.at, 4);
    assert_true(*got == 0 || number > *last);
    assert_int_equal(f->record.len, 4 + number % 290);
    for (size_t i = 4; i < f->record.len; i++)
        assert_int_equal((unsigned char)f->record.at[i], number & 0xff);
    *last = number;
    (*got)++;
    return true;
}

static void every_record_comes_whole_in_order_or_is_counted_as_dropped(void **state)
{
    struct fixture *f = *state;
    pthread_t writer;
    uint32_t last = 0, got = 0;
    pthread_create(&writer, NULL, write_numbers, f);
    for (bool more = true; more;) {
        if (tape_next(&f->reader, &f->record))
            more = check_number(f, &last, &got);
        else
            tape_release(f->tape, f->reader.position);
    }
    pthread_join(writer, NULL);
    assert_true(got + tape_dropped(f->tape) >= COUNT); /* the last one may have been tried more than once */
    assert_true(got <= COUNT && got > 0);
    assert_int_equal(tape_resets(f->tape), 0);
}

/* The reader sleeps whenever there is nothing; a wake-up that got lost would hold it for good. */
static void a_sleeping_reader_is_woken(void **state)
{
    struct fixture *f = *state;
    pthread_t writer;
    uint32_t last = 0, got = 0;
    f->writer.wake = eventfd(0, EFD_NONBLOCK);
    pthread_create(&writer, NULL, write_numbers, f);
    for (bool more = true; more;) {
        if (tape_next(&f->reader, &f->record)) {
            more = check_number(f, &last, &got);
            tape_release(f->tape, f->reader.position);
            continue;
        }
        tape_sleep(&f->bell);
        if (!tape_waiting(&f->reader)) {
            struct pollfd p = {.fd = f->writer.wake, .events = POLLIN};
            uint64_t count;
            assert_int_equal(poll(&p, 1, 30000), 1);
            assert_int_equal(read(f->writer.wake, &count, sizeof(count)), sizeof(count));
        }
        tape_wake(&f->bell);
    }
    pthread_join(writer, NULL);
    assert_true(got <= COUNT && got + tape_dropped(f->tape) >= COUNT);
    close(f->writer.wake);
}

static void nobody_is_woken_who_does_not_sleep(void **state)
{
    struct fixture *f = *state;
    uint64_t count;
    f->writer.wake = eventfd(0, EFD_NONBLOCK);
    put(&f->writer, "a", 1);
    assert_int_equal(read(f->writer.wake, &count, sizeof(count)), -1);
    tape_sleep(&f->bell);
    put(&f->writer, "b", 1);
    put(&f->writer, "c", 1);
    assert_int_equal(read(f->writer.wake, &count, sizeof(count)), sizeof(count));
    assert_int_equal(count, 1); /* one call for all that came meanwhile */
    close(f->writer.wake);
}

/* --- a hostile writer --------------------------------------------------------------------------------------------- */

/* What was read is never longer than a record may be, and the reader gets on whatever it meets. */
static void read_what_there_is(struct fixture *f)
{
    for (int i = 0; i < 300000 && tape_next(&f->reader, &f->record); i++)
        assert_true(f->record.len <= TAPE_RECORD_MAX);
    tape_release(f->tape, f->reader.position);
}

static void a_bad_record_resets_the_tape_and_the_next_good_one_is_read(void **state)
{
    struct fixture *f = *state;
    static const uint64_t words[] = {0,
                                     UINT64_MAX,
                                     0x6365522100000000ull | (TAPE_RECORD_MAX + 1),
                                     0x63655221ffffffffull,
                                     0x63655221fffffff8ull,
                                     0x6365522100000010ull, /* longer than what was written */
                                     0x706d754a00000000ull, /* a jump into the middle */
                                     0x706d754affffffffull};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        put(&f->writer, "12345678", 8);
        memcpy(&f->tape->bytes[(f->writer.written - 16) % TAPE_BYTES], &words[i], 8);
        read_what_there_is(f);
        assert_int_equal(tape_resets(f->tape), i + 1);
        put(&f->writer, "good", 4);
        assert_next(f, "good");
    }
}

static void wild_positions_are_survived_by_reader_and_next_writer(void **state)
{
    struct fixture *f = *state;
    static const uint64_t positions[] = {1,          7,    8,          TAPE_BYTES - 4,     TAPE_BYTES + 8,
                                         UINT64_MAX, 1234, 1ull << 63, UINT64_MAX & ~7ull, 0};
    size_t count = sizeof(positions) / sizeof(positions[0]);
    for (size_t i = 0; i < count * count; i++) {
        atomic_store(&f->tape->written, positions[i % count]);
        read_what_there_is(f);
        atomic_store(&f->tape->read, positions[i / count]);
        read_what_there_is(f);
        tape_writer_init(&f->writer, f->tape, &f->bell, -1);
        read_what_there_is(f);
        tape_reader_init(&f->reader, f->tape);
        read_what_there_is(f);
        put(&f->writer, "x", 1);
        read_what_there_is(f);
        put(&f->writer, "good", 4);
        assert_next(f, "good");
        tape_release(f->tape, f->reader.position);
    }
}

static void *scribble(void *cookie)
{
    struct fixture *f = cookie;
    uint64_t seed = 88172645463325252ull;
    for (int i = 0; i < 400000; i++) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        uint64_t *word = (uint64_t *)(void *)&f->tape->bytes[seed % TAPE_BYTES / 8 % 512 * 8];
        uint64_t value = i % 3 == 0   ? seed
                         : i % 3 == 1 ? 0x6365522100000000ull | (seed % 5000)
                                      : 0x706d754a00000000ull | (seed % 5000);
        __atomic_store_n(word, value, __ATOMIC_RELAXED);
        if (i % 16 == 0)
            atomic_store(&f->tape->written, i % 64 == 0 ? seed : atomic_load(&f->tape->read) + seed % 5000);
    }
    f->ended = true;
    return NULL;
}

static void bytes_that_change_while_they_are_read_are_survived(void **state)
{
    struct fixture *f = *state;
    pthread_t writer;
    pthread_create(&writer, NULL, scribble, f);
    while (!f->ended)
        read_what_there_is(f);
    pthread_join(writer, NULL);
    tape_writer_init(&f->writer, f->tape, &f->bell, -1);
    read_what_there_is(f);
    put(&f->writer, "x", 1);
    read_what_there_is(f);
    put(&f->writer, "good", 4);
    assert_next(f, "good");
    assert_true(tape_resets(f->tape) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(records_come_out_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(a_record_may_be_shorter_than_its_room_and_without_commit_there_is_none, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(without_room_it_drops_and_counts_and_goes_on_once_released, setup, teardown),
        cmocka_unit_test_setup_teardown(a_new_reader_goes_on_where_the_last_one_released, setup, teardown),
        cmocka_unit_test_setup_teardown(a_writer_killed_in_the_middle_leaves_nothing_of_that_record, setup, teardown),
        cmocka_unit_test_setup_teardown(every_record_comes_whole_in_order_or_is_counted_as_dropped, setup, teardown),
        cmocka_unit_test_setup_teardown(a_sleeping_reader_is_woken, setup, teardown),
        cmocka_unit_test_setup_teardown(nobody_is_woken_who_does_not_sleep, setup, teardown),
        cmocka_unit_test_setup_teardown(a_bad_record_resets_the_tape_and_the_next_good_one_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(wild_positions_are_survived_by_reader_and_next_writer, setup, teardown),
        cmocka_unit_test_setup_teardown(bytes_that_change_while_they_are_read_are_survived, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
