/*
 * test_store_kv.c: what the operations of kv mean, the same over both drivers; and a repeated call, which changes
 * nothing twice.
 */
#include "operate.h"
#include "store/sqlite_kv.h"
#include <ftw.h>
#include <math.h>

static char folder[64], path[96];
static struct store_memory *memory;

static int remove_one(const char *name, const struct stat *st, int kind, struct FTW *ftw)
{
    return remove(name);
}

static int begin_memory(void **state)
{
    begin_loop();
    memory = store_memory_new();
    struct store_place place = store_memory_place(memory);
    open_store(&place);
    return 0;
}

static int end_memory(void **state)
{
    close_store();
    store_memory_free(&memory);
    end_loop();
    return 0;
}

static int begin_sqlite(void **state)
{
    begin_loop();
    strcpy(folder, "/tmp/crescent-store-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return 1;
    snprintf(path, sizeof(path), "%s/x.db", folder);
    open_store(&(struct store_place){.driver = &sqlite_kv_driver, .path = path, .may_create = true});
    return 0;
}

static int end_sqlite(void **state)
{
    close_store();
    end_loop();
    return nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void a_value_comes_back_as_what_it_was(void **state)
{
    static const double numbers[] = {0,
                                     1,
                                     -1,
                                     1.5,
                                     0.1,
                                     1e300,
                                     -1e-300,
                                     9007199254740992.0,
                                     -9007199254740991.0,
                                     4503599627370496.5,
                                     1e15,
                                     1e308,
                                     5e-324,
                                     123456789.0};
    struct operation o;
    assert_string_equal(get("a"), "(nothing)");
    assert_int_equal(set("a", "1", 0), KV_DONE);
    make(&o, KV_GET, "a", "", 0);
    run(&o);
    assert_int_equal(o.op.answer.kind, KV_STRING); /* not a number */
    buf_free(&o.op.bytes);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        make(&o, KV_SET, "n", NULL, numbers[i]);
        run(&o);
        assert_int_equal(o.op.end, KV_DONE);
        make(&o, KV_GET, "n", "", 0);
        run(&o);
        assert_int_equal(o.op.answer.kind, KV_NUMBER);
        assert_memory_equal(&o.op.answer.number, &numbers[i], sizeof(double));
    }
    make(&o, KV_SET, "t", "[1,2]", 0);
    o.op.value.kind = KV_JSON;
    run(&o);
    make(&o, KV_GET, "t", "", 0);
    run(&o);
    assert_int_equal(o.op.answer.kind, KV_JSON);
    assert_true(slice_equal(o.op.answer.bytes, SLICE("[1,2]")));
    buf_free(&o.op.bytes);
}

static void any_bytes_are_a_value_or_a_key(void **state)
{
    static const struct slice texts[] = {{"", 0},   {"a\0b", 3},     {"\xff\xfe", 2},
                                         {"\0", 1}, {"\xc3\xa9", 2}, {"\xed\xa0\x80", 3}};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct operation o;
        struct slice key = texts[i].len > 0 ? texts[i] : SLICE("empty");
        make(&o, KV_SET, "", "", 0);
        o.op.key = key;
        o.op.value = (struct store_value){.kind = KV_STRING, .bytes = texts[i]};
        run(&o);
        assert_int_equal(o.op.end, KV_DONE);
    }
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct operation o;
        make(&o, KV_GET, "", "", 0);
        o.op.key = texts[i].len > 0 ? texts[i] : SLICE("empty");
        run(&o);
        assert_int_equal(o.op.answer.kind, KV_STRING);
        assert_true(slice_equal(o.op.answer.bytes, texts[i]));
        buf_free(&o.op.bytes);
    }
}

static void large_values(void **state)
{
    size_t len = KV_VALUE_MAX;
    char *bytes = malloc(len);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)(i * 2654435761u >> 24);
    for (int i = 0; i < 20; i++) { /* several batches' worth of bytes, read in one go */
        struct operation o;
        make(&o, KV_SET, "", "", 0);
        o.op.key = (struct slice){bytes, (size_t)i + 1};
        o.op.value = (struct store_value){.kind = KV_STRING, .bytes = {bytes, len}};
        run(&o);
        assert_int_equal(o.op.end, KV_DONE);
    }
    struct operation reads[20];
    for (int i = 0; i < 20; i++) {
        make(&reads[i], KV_GET, "", "", 0);
        reads[i].op.key = (struct slice){bytes, (size_t)i + 1};
        submit(&reads[i]);
    }
    for (int i = 0; i < 20; i++) {
        UNTIL(reads[i].told == 1);
        assert_true(slice_equal(reads[i].op.answer.bytes, (struct slice){bytes, len}));
        buf_free(&reads[i].op.bytes);
    }
    free(bytes);
}

static void add_is_for_the_first(void **state)
{
    assert_int_equal(simple(KV_ADD, "a"), KV_TRUE);
    assert_int_equal(simple(KV_ADD, "a"), KV_FALSE);
    assert_int_equal(simple(KV_DELETE, "a"), KV_TRUE);
    assert_int_equal(simple(KV_DELETE, "a"), KV_FALSE);
    assert_int_equal(simple(KV_ADD, "a"), KV_TRUE);
}

static void incr_counts(void **state)
{
    assert_true(incr("n", 1) == 1);
    assert_true(incr("n", 41) == 42);
    assert_true(incr("n", -50) == -8);
    assert_true(incr("n", 0.5) == -7.5);
    set("s", "7", 0);
    assert_true(incr("s", 1) == -1000 - KV_NOT_A_NUMBER);
    assert_string_equal(get("s"), "7");
    assert_true(incr("big", KV_EXACT_MAX) == KV_EXACT_MAX);
    assert_true(incr("big", 1) == -1000 - KV_OUT_OF_RANGE); /* 2^53 + 1 is 2^53 to a double */
    assert_true(incr("big", 0.5) == -1000 - KV_OUT_OF_RANGE);
    assert_true(incr("big", 0) == KV_EXACT_MAX);
    assert_true(incr("big", 2) == -1000 - KV_OUT_OF_RANGE);
    assert_true(incr("big", -2 * KV_EXACT_MAX - 4) == -1000 - KV_OUT_OF_RANGE);
    assert_string_equal(get("big"), "9007199254740992");
    assert_true(incr("neg", -KV_EXACT_MAX) == -KV_EXACT_MAX);
}

static void what_has_expired_is_not_there(void **state)
{
    struct operation o;
    set("a", "x", 80);
    set("b", "x", 3600000);
    make(&o, KV_INCR, "n", NULL, 5);
    o.op.ttl_ms = 80;
    run(&o);
    assert_string_equal(get("a"), "x");
    assert_true(ttl("a") > 0 && ttl("a") <= 0.08);
    assert_true(ttl("b") > 3500 && ttl("b") <= 3600);
    make(&o, KV_INCR, "n", NULL, 1); /* counts on, and lives no longer for it */
    o.op.ttl_ms = 3600000;
    run(&o);
    assert_true(ttl("n") <= 0.08);
    usleep(100000);
    assert_string_equal(get("a"), "(nothing)");
    assert_string_equal(list("", "", 10), "b");
    assert_true(ttl("a") == -1);
    assert_int_equal(simple(KV_DELETE, "a"), KV_FALSE);
    assert_int_equal(simple(KV_ADD, "a"), KV_TRUE);
    assert_true(ttl("a") == 1e9); /* it has none */
    assert_true(incr("n", 1) == 1);
    assert_true(ttl("n") == 1e9);
    set("b", "y", 0); /* a plain set ends it */
    assert_true(ttl("b") == 1e9);
    assert_true(ttl("zz") == -1);
}

static void lists_are_in_order_and_can_be_gone_on_with(void **state)
{
    static const char *const keys[] = {"b", "a:1", "a:3", "a:2", "a", "c", "a;", "\xff", "\xff\xff"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        set(keys[i], "x", 0);
    assert_string_equal(list("a:", "", 10), "a:1 a:2 a:3");
    assert_string_equal(list("a:", "", 3), "a:1 a:2 a:3");
    assert_string_equal(list("a:", "", 2), "a:1 a:2+");
    assert_string_equal(list("a:", "a:2", 2), "a:3");
    assert_string_equal(list("", "", 100), "a a:1 a:2 a:3 a; b c \xff \xff\xff");
    assert_string_equal(list("", "b", 100), "c \xff \xff\xff");
    assert_string_equal(list("\xff", "", 100), "\xff \xff\xff");
    assert_string_equal(list("zz", "", 100), "");
    assert_string_equal(list("a:", "zzz", 100), "");
}

static void buckets_are_apart(void **state)
{
    struct operation o;
    set("k", "common", 0);
    make(&o, KV_SET, "k", "mine", 0);
    o.op.bucket = SLICE("b");
    run(&o);
    assert_string_equal(get("k"), "common");
    make(&o, KV_GET, "k", "", 0);
    o.op.bucket = SLICE("b");
    run(&o);
    assert_true(slice_equal(o.op.answer.bytes, SLICE("mine")));
    buf_free(&o.op.bytes);
    make(&o, KV_LIST, "", "", 0);
    o.op.bucket = SLICE("a");
    run(&o);
    assert_int_equal(o.op.answer.bytes.len, 0);
    buf_free(&o.op.bytes);
}

/* A call whose answer was lost is asked again: it gets that answer, whatever has happened since. */
static void a_known_id_changes_nothing(void **state)
{
    struct operation first, again;
    make(&first, KV_INCR, "n", NULL, 5);
    run(&first);
    assert_true(incr("n", 1) == 6);
    make(&again, KV_INCR, "n", NULL, 5);
    again.op.number = first.op.number;
    run(&again);
    assert_true(again.op.answer.number == 5);
    assert_string_equal(get("n"), "6");
    assert_int_equal(counters_get(&counters, COUNTER_store_recalled), 1);

    make(&first, KV_ADD, "a", "mine", 0);
    run(&first);
    make(&again, KV_ADD, "a", "mine", 0);
    again.op.number = first.op.number;
    run(&again);
    assert_int_equal(again.op.answer.kind, KV_TRUE); /* it was the first, and is told so again */

    set("s", "text", 0);
    make(&first, KV_INCR, "s", NULL, 1);
    run(&first);
    make(&again, KV_INCR, "s", NULL, 1);
    again.op.number = first.op.number;
    run(&again);
    assert_int_equal(again.op.end, KV_NOT_A_NUMBER);

    struct operation both[2]; /* within one batch */
    for (int i = 0; i < 2; i++) {
        make(&both[i], KV_INCR, "m", NULL, 1);
        both[i].op.number = both[0].op.number;
        submit(&both[i]);
    }
    UNTIL(both[1].told == 1);
    assert_string_equal(get("m"), "1");
}

/* Asked again by another life the same number is another call. What the asker has settled it does not ask again, so
 * nothing of it is kept. */
static void answers_are_kept_for_each_life_until_they_are_settled(void **state)
{
    struct operation first, second, again;
    make(&first, KV_INCR, "n", NULL, 1);
    run(&first);
    make(&again, KV_INCR, "n", NULL, 1);
    again.op.number = first.op.number;
    again.op.life = life + 1;
    run(&again);
    assert_true(again.op.answer.number == 2);
    make(&second, KV_INCR, "n", NULL, 1);
    second.op.settled = second.op.number;
    run(&second);
    assert_true(second.op.answer.number == 3);
    again.op.number = second.op.number, again.op.life = life, again.told = 0;
    run(&again);
    assert_true(again.op.answer.number == 3);
    again.op.number = first.op.number, again.told = 0; /* against its word */
    run(&again);
    assert_true(again.op.answer.number == 4);
}

/* One that failed is done when it is asked again, though later ones were done before it. */
static void numbers_may_come_out_of_order(void **state)
{
    struct operation later, earlier, again;
    make(&earlier, KV_INCR, "n", NULL, 10);
    make(&later, KV_INCR, "n", NULL, 1);
    run(&later);
    run(&earlier);
    assert_true(earlier.op.answer.number == 11);
    make(&again, KV_INCR, "n", NULL, 10);
    again.op.number = earlier.op.number;
    run(&again);
    assert_true(again.op.answer.number == 11);
}

static void a_read_sees_what_was_handed_over_before_it(void **state)
{
    struct operation ops[30];
    for (int i = 0; i < 30; i++) {
        if (i % 3 == 2)
            make(&ops[i], KV_GET, "k", "", 0);
        else
            make(&ops[i], i % 3 == 0 ? KV_INCR : KV_TTL, "k", NULL, 1);
        submit(&ops[i]);
    }
    for (int i = 0; i < 30; i++)
        UNTIL(ops[i].told == 1);
    for (int i = 0; i < 30; i += 3) {
        assert_true(ops[i].op.answer.number == i / 3 + 1);
        assert_int_equal(ops[i + 1].op.answer.kind, KV_FOREVER);
        assert_true(ops[i + 2].op.answer.number == i / 3 + 1);
        buf_free(&ops[i + 2].op.bytes);
    }
}

#define BOTH(test)                                                   \
    cmocka_unit_test_setup_teardown(test, begin_memory, end_memory), \
    {                                                                \
#test " (sqlite)", test, begin_sqlite, end_sqlite, NULL      \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(a_value_comes_back_as_what_it_was),
        BOTH(any_bytes_are_a_value_or_a_key),
        BOTH(large_values),
        BOTH(add_is_for_the_first),
        BOTH(incr_counts),
        BOTH(what_has_expired_is_not_there),
        BOTH(lists_are_in_order_and_can_be_gone_on_with),
        BOTH(buckets_are_apart),
        BOTH(a_known_id_changes_nothing),
        BOTH(answers_are_kept_for_each_life_until_they_are_settled),
        BOTH(numbers_may_come_out_of_order),
        BOTH(a_read_sees_what_was_handed_over_before_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
