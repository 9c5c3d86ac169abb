/*
 * test_store_thread.c: one commit for all that waits, told when it is on the disk; a failure at any call fails its
 * batch and no other, is told once, and the store comes back by itself; nothing is lost when it ends.
 */
#include "operate.h"
#include "store/batch.h"
#include "store/thread.h"

static struct store_memory *memory;

static int begin(void **state)
{
    begin_loop();
    memory = store_memory_new();
    struct store_place place = store_memory_place(memory);
    open_store(&place);
    UNTIL(turns.up == 1);
    return 0;
}

static int end(void **state)
{
    if (store != NULL)
        close_store();
    store_memory_free(&memory);
    end_loop();
    return 0;
}

static void all_that_waits_shares_a_commit(void **state)
{
    static struct operation ops[500];
    store_memory_hold(memory, STORE_MEMORY_COMMIT);
    make(&ops[0], KV_INCR, "n", NULL, 1);
    submit(&ops[0]);
    pass();
    usleep(50000); /* it stands in its commit now */
    for (int i = 1; i < 500; i++) {
        make(&ops[i], KV_INCR, "n", NULL, 1);
        submit(&ops[i]);
    }
    pass();
    assert_int_equal(ops[0].told, 0);
    store_memory_hold(memory, STORE_MEMORY_NONE);
    UNTIL(ops[499].told == 1);
    for (int i = 0; i < 500; i++)
        assert_true(ops[i].told == 1 && ops[i].op.answer.number == i + 1);
    assert_int_equal(store_memory_commits(memory), 2);
    assert_int_equal(counters_get(&counters, COUNTER_store_commits), 2);
    assert_int_equal(counters_get(&counters, COUNTER_store_changes), 500);
}

static struct operation second;

static void ask_again(struct store_op *op)
{
    on_told(op);
    submit(&second);
}

/* One is told while another waits, and asks again: whether those two shared a commit. */
static bool both_share(void)
{
    struct operation first, other;
    unsigned before = store_memory_commits(memory);
    make(&first, KV_SET, "a", "1", 0);
    make(&other, KV_SET, "b", "1", 0);
    make(&second, KV_SET, "a", "2", 0);
    first.op.done = ask_again;
    store_memory_hold(memory, STORE_MEMORY_SYNC);
    submit(&first);
    pass();
    usleep(5000); /* it stands in its wait for the disk now */
    submit(&other);
    pass();
    store_memory_hold(memory, STORE_MEMORY_NONE);
    UNTIL(first.told == 1 && other.told == 1 && second.told == 1);
    return store_memory_commits(memory) == before + 2;
}

/* The other waits for a moment only: on a busy machine that may be over before, so it is to be seen in one of many
 * tries. */
static void who_was_told_by_a_slow_disk_may_come_along(void **state)
{
    int shared = 0;
    store_memory_slow(memory, 3000);
    set("a", "0", 0);
    for (int tries = 0; tries < 50 && shared < 10; tries++) {
        shared = 0;
        for (int i = 0; i < 15; i++)
            shared += both_share();
    }
    assert_true(shared >= 10);
}

static void pass_for(dur_t time)
{
    mono_t until = mono_add(mono_now(), time);
    while (mono_before(mono_now(), until))
        pass();
}

/*
 * The first stands in its wait for the disk; whether the second is committed meanwhile, and the read done, as it is
 * where the last wait was quick. None of them is told before.
 */
static bool second_overtakes_the_wait(struct operation *a, struct operation *b, struct operation *read)
{
    set("k", "quick", 0);
    unsigned before = store_memory_commits(memory);
    make(a, KV_SET, "k", "first", 0);
    make(b, KV_SET, "k", "second", 0);
    make(read, KV_GET, "k", "", 0);
    store_memory_hold(memory, STORE_MEMORY_SYNC);
    submit(a);
    UNTIL(store_memory_commits(memory) == before + 1);
    submit(b);
    pass_for(DUR_MS(50));
    submit(read);
    pass_for(DUR_MS(50));
    assert_int_equal(a->told + b->told + read->told, 0);
    return store_memory_commits(memory) == before + 2;
}

static void let_go(struct operation *a, struct operation *b, struct operation *read)
{
    store_memory_hold(memory, STORE_MEMORY_NONE);
    UNTIL(a->told == 1 && b->told == 1 && read->told == 1);
}

/* On a busy machine no wait may be quick: it is to be seen in one of many tries. */
static void the_next_batch_is_done_while_the_disk_is_waited_for(void **state)
{
    struct operation a, b, read;
    bool overtaken = false;
    for (int tries = 0; tries < 50 && !overtaken; tries++) {
        uint64_t waits = counters_get(&counters, COUNTER_store_commits);
        overtaken = second_overtakes_the_wait(&a, &b, &read);
        let_go(&a, &b, &read);
        assert_true(a.op.end == KV_DONE && b.op.end == KV_DONE && read.op.end == KV_DONE);
        assert_true(slice_equal(read.op.answer.bytes, SLICE("second")));
        buf_free(&read.op.bytes);
        uint64_t more = counters_get(&counters, COUNTER_store_commits) - waits;
        assert_true(more == 3 || more == 2); /* the second may come before the first's wait has begun, and share it */
    }
    assert_true(overtaken);
}

/* What was committed since the last wait that succeeded is in doubt with it; what was read of that is not told. */
static void a_wait_that_fails_fails_all_that_is_not_on_the_disk(void **state)
{
    struct operation a, b, read, again;
    bool overtaken = false;
    for (int tries = 1; tries <= 50 && !overtaken; tries++) {
        overtaken = second_overtakes_the_wait(&a, &b, &read);
        store_memory_fail(memory, overtaken ? STORE_MEMORY_SYNC : STORE_MEMORY_NONE, true, true);
        let_go(&a, &b, &read);
        buf_free(&read.op.bytes);
    }
    assert_true(overtaken);
    assert_int_equal(a.op.end, KV_UNKNOWN);
    assert_int_equal(b.op.end, KV_UNKNOWN);
    assert_int_equal(read.op.end, KV_NOT_DONE);
    UNTIL(turns.away == 1);
    store_memory_fail(memory, STORE_MEMORY_NONE, false, false);
    UNTIL(turns.up == 2);
    assert_true(store_memory_opened(memory) >= 2);
    make(&again, KV_SET, "k", "second", 0);
    again.op.number = b.op.number;
    run(&again);
    assert_int_equal(again.op.end, KV_DONE);
    assert_int_equal(counters_get(&counters, COUNTER_store_recalled), 1);
    assert_string_equal(get("k"), "second");
}

/* The first waits for the disk; whether the second has failed in its commit meanwhile. */
static bool second_fails_beside_the_wait(struct operation *a, struct operation *b)
{
    set("k", "quick", 0);
    unsigned before = store_memory_commits(memory);
    make(a, KV_SET, "k", "first", 0);
    make(b, KV_SET, "k", "second", 0);
    store_memory_hold(memory, STORE_MEMORY_SYNC);
    submit(a);
    UNTIL(store_memory_commits(memory) == before + 1);
    store_memory_fail(memory, STORE_MEMORY_COMMIT, false, false);
    submit(b);
    pass_for(DUR_MS(50));
    store_memory_fail(memory, STORE_MEMORY_NONE, false, false);
    return turns.away == 1;
}

/* A disk tells its error once: to whoever waits for it, so no other may while batches do. */
static void whether_changes_succeed_again_is_tried_when_the_disk_is_waited_for_no_more(void **state)
{
    struct operation a, b;
    bool failed = false;
    for (int tries = 0; tries < 50 && !failed; tries++) {
        failed = second_fails_beside_the_wait(&a, &b);
        if (!failed) {
            store_memory_hold(memory, STORE_MEMORY_NONE);
            UNTIL(a.told == 1 && b.told == 1);
            UNTIL(turns.up > turns.away);
            turns.up = 1;
            turns.away = 0;
        }
    }
    assert_true(failed);
    unsigned commits = store_memory_commits(memory);
    pass_for(DUR_MS(2500)); /* rounds: it would be tried */
    assert_int_equal(store_memory_most_syncs(memory), 1);
    assert_int_equal(store_memory_commits(memory), commits);
    assert_int_equal(a.told + b.told, 0);
    assert_int_equal(turns.up, 1);

    store_memory_fail(memory, STORE_MEMORY_SYNC, true, true);
    store_memory_hold(memory, STORE_MEMORY_NONE);
    UNTIL(a.told == 1 && b.told == 1);
    assert_int_equal(a.op.end, KV_UNKNOWN);
    assert_int_equal(b.op.end, KV_NOT_DONE);
    store_memory_fail(memory, STORE_MEMORY_NONE, false, false);
    UNTIL(turns.up == 2);
    assert_int_equal(turns.away, 1);
    assert_true(store_memory_opened(memory) >= 2);
}

static void a_batch_is_bounded(void **state)
{
    static struct operation ops[2 * STORE_BATCH_MOST + 1];
    enum { COUNT = sizeof(ops) / sizeof(ops[0]) };
    for (int i = 0; i < COUNT; i++) {
        make(&ops[i], KV_SET, "k", "v", 0);
        submit(&ops[i]);
    }
    UNTIL(ops[COUNT - 1].told == 1);
    assert_true(store_memory_commits(memory) >= 3);
}

static void reads_in_front_wait_for_no_commit(void **state)
{
    struct operation read, write;
    make(&read, KV_GET, "k", "", 0);
    make(&write, KV_SET, "k", "v", 0);
    submit(&read);
    submit(&write);
    UNTIL(read.told == 1 && write.told == 1);
    assert_int_equal(counters_get(&counters, COUNTER_store_commits), 1);
    assert_int_equal(read.op.answer.kind, KV_NOTHING);
}

/* Of the driver's failures each must end as told, and leave the rest as it was. */
static void a_failing_call_fails_its_batch_and_the_store_comes_back(void **state)
{
    static const struct {
        enum store_memory_call call;
        bool lost, done;
        enum kv_end end;
    } cases[] = {
        {STORE_MEMORY_BEGIN, false, false, KV_NOT_DONE},  {STORE_MEMORY_BEGIN, true, false, KV_NOT_DONE},
        {STORE_MEMORY_RECALL, false, false, KV_NOT_DONE}, {STORE_MEMORY_GET, true, false, KV_NOT_DONE},
        {STORE_MEMORY_PUT, false, false, KV_NOT_DONE},    {STORE_MEMORY_PUT, true, false, KV_NOT_DONE},
        {STORE_MEMORY_KEEP, false, false, KV_NOT_DONE},   {STORE_MEMORY_KEEP, true, false, KV_NOT_DONE},
        {STORE_MEMORY_SWEEP, false, false, KV_NOT_DONE},  {STORE_MEMORY_SWEEP, true, false, KV_NOT_DONE},
        {STORE_MEMORY_COMMIT, false, false, KV_NOT_DONE}, {STORE_MEMORY_COMMIT, true, false, KV_UNKNOWN},
        {STORE_MEMORY_COMMIT, true, true, KV_UNKNOWN},    {STORE_MEMORY_SYNC, true, true, KV_UNKNOWN},
    };
    double expected = incr("n", 1);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct operation o, again;
        int away = turns.away, up = turns.up;
        life++; /* nothing is known of it yet: what is kept must be read */
        store_memory_fail(memory, cases[i].call, cases[i].lost, cases[i].done);
        make(&o, KV_INCR, "n", NULL, 1);
        run(&o);
        assert_int_equal(o.op.end, cases[i].end);
        assert_int_equal(o.op.answer.kind, KV_NOTHING);
        UNTIL(turns.away > away);
        assert_int_equal(turns.away, away + 1); /* once */
        assert_string_equal(turns.why, "memory: told to fail");
        store_memory_fail(memory, STORE_MEMORY_NONE, false, false);
        UNTIL(turns.up == up + 1); /* though nobody asks for anything */
        assert_int_equal(counters_get(&counters, COUNTER_store_up), 1);
        make(&again, KV_INCR, "n", NULL, 1);
        again.op.number = o.op.number;
        run(&again);
        assert_int_equal(again.op.end, KV_DONE);
        assert_true(again.op.answer.number == ++expected);
    }
    assert_int_equal(turns.away, sizeof(cases) / sizeof(cases[0]));
}

static void while_it_is_away_all_are_refused_at_once_and_it_is_said_once(void **state)
{
    store_memory_shut(memory, true);
    store_memory_fail(memory, STORE_MEMORY_PUT, true, false);
    assert_int_equal(set("a", "x", 0), KV_NOT_DONE);
    store_memory_fail(memory, STORE_MEMORY_NONE, false, false);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(set("a", "x", 0), KV_NOT_DONE);
        assert_string_equal(get("a"), "(end 3)");
    }
    assert_int_equal(turns.away, 1);
    assert_int_equal(counters_get(&counters, COUNTER_store_up), 0);
    unsigned opened = store_memory_opened(memory);
    usleep(1200000); /* a round: it is tried again, and fails */
    assert_string_equal(get("a"), "(end 3)");
    store_memory_shut(memory, false);
    UNTIL(turns.up == 2);
    assert_int_equal(store_memory_opened(memory), opened + 1);
    assert_int_equal(set("a", "x", 0), KV_DONE);
    assert_true(counters_get(&counters, COUNTER_store_failed) >= 102);
}

/* No room on the disk: what is there can be read. */
static void reads_go_on_while_changes_fail(void **state)
{
    set("a", "x", 0);
    store_memory_fail(memory, STORE_MEMORY_COMMIT, false, false);
    assert_int_equal(set("a", "y", 0), KV_NOT_DONE);
    for (int i = 0; i < 10; i++)
        assert_string_equal(get("a"), "x");
    assert_int_equal(turns.up, 1); /* a read that succeeds proves nothing */
    usleep(2200000);
    pass();
    assert_int_equal(turns.away, 1);
    assert_int_equal(store_memory_opened(memory), 1);
    store_memory_fail(memory, STORE_MEMORY_NONE, false, false);
    assert_int_equal(set("a", "y", 0), KV_DONE);
    UNTIL(turns.up == 2);
}

/* A store that fails each time it is used is not tried more often than round by round. */
static void a_store_that_keeps_failing_is_not_opened_again_and_again(void **state)
{
    store_memory_fail(memory, STORE_MEMORY_KEEP, true, false);
    assert_int_equal(set("a", "x", 0), KV_NOT_DONE);
    mono_t until = mono_add(mono_now(), DUR_MS(2500));
    while (mono_before(mono_now(), until))
        assert_int_not_equal(set("a", "x", 0), KV_DONE);
    assert_true(store_memory_opened(memory) <= 6);
    assert_int_equal(turns.away, 1);
    assert_int_equal(turns.up, 1);
}

static void what_is_stale_is_swept_without_anybody_asking(void **state)
{
    set("a", "x", 100);
    set("b", "x", 0);
    usleep(150000);
    unsigned commits = store_memory_commits(memory);
    UNTIL(store_memory_commits(memory) > commits);
    close_store();
    assert_int_equal(store_memory_rows(memory), 1);
    assert_int_equal(store_memory_kept(memory), 1); /* a life's; its minute is not over */
}

static void the_end_waits_for_the_batch_and_refuses_the_rest(void **state)
{
    static struct operation ops[100];
    for (int i = 0; i < 100; i++) {
        make(&ops[i], KV_INCR, "n", NULL, 1);
        submit(&ops[i]);
        if (i % 10 == 0)
            pass();
    }
    UNTIL(ops[0].told == 1);
    close_store();
    int done = 0;
    for (int i = 0; i < 100; i++) {
        assert_int_equal(ops[i].told, 1);
        assert_true(ops[i].op.end == KV_DONE || ops[i].op.end == KV_NOT_DONE);
        assert_true(ops[i].op.end == KV_NOT_DONE || done == i); /* the first ones, whole */
        done += ops[i].op.end == KV_DONE;
    }
    assert_true(done > 0);
    struct store_place place = store_memory_place(memory);
    open_store(&place); /* each has its answer, or none */
    for (int i = 0; i < 100; i++) {
        struct operation again;
        make(&again, KV_INCR, "n", NULL, 1);
        again.op.number = ops[i].op.number;
        run(&again);
        assert_true(again.op.answer.number == i + 1);
    }
    assert_int_equal(counters_get(&counters, COUNTER_store_recalled), done);
}

static void a_clock_that_is_set_back(void **state)
{
    assert_int_equal(store_thread_clock(0, 1000), 1000);
    assert_int_equal(store_thread_clock(1000, 2000), 2000);
    assert_int_equal(store_thread_clock(100000, 99999), 100000); /* what has expired stays so */
    assert_int_equal(store_thread_clock(100000, 40001), 100000);
    assert_int_equal(store_thread_clock(100000, 40000), 40000); /* it was wrong before */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(all_that_waits_shares_a_commit, begin, end),
        cmocka_unit_test_setup_teardown(who_was_told_by_a_slow_disk_may_come_along, begin, end),
        cmocka_unit_test_setup_teardown(the_next_batch_is_done_while_the_disk_is_waited_for, begin, end),
        cmocka_unit_test_setup_teardown(a_wait_that_fails_fails_all_that_is_not_on_the_disk, begin, end),
        cmocka_unit_test_setup_teardown(whether_changes_succeed_again_is_tried_when_the_disk_is_waited_for_no_more,
                                        begin, end),
        cmocka_unit_test_setup_teardown(a_batch_is_bounded, begin, end),
        cmocka_unit_test_setup_teardown(reads_in_front_wait_for_no_commit, begin, end),
        cmocka_unit_test_setup_teardown(a_failing_call_fails_its_batch_and_the_store_comes_back, begin, end),
        cmocka_unit_test_setup_teardown(while_it_is_away_all_are_refused_at_once_and_it_is_said_once, begin, end),
        cmocka_unit_test_setup_teardown(reads_go_on_while_changes_fail, begin, end),
        cmocka_unit_test_setup_teardown(a_store_that_keeps_failing_is_not_opened_again_and_again, begin, end),
        cmocka_unit_test_setup_teardown(what_is_stale_is_swept_without_anybody_asking, begin, end),
        cmocka_unit_test_setup_teardown(the_end_waits_for_the_batch_and_refuses_the_rest, begin, end),
        cmocka_unit_test(a_clock_that_is_set_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
