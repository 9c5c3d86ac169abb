/*
 * test_desk.c: what a worker asks is checked, done in order, and answered to that worker only; one that asks for more
 * than a worker may, or for what makes no sense, is not served.
 */
#include "base/log.h"
#include "base/panic.h"
#include "ipc/calls.h"
#include "keeper/desk.h"
#include "store/memory.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static struct loop *loop;
static struct store *store;
static struct store_memory *memory;
static struct keeper_desk *desk;

static struct {
    int count;
    uint32_t slot;
    struct message_kv_done last;
    char value[64];
} answers;

static void on_turned(void *cookie, bool up, const char *why)
{
}

static void on_send(void *cookie, uint32_t slot, const struct message *m)
{
    assert_int_equal(m->type, MESSAGE_kv_done);
    answers.count++;
    answers.slot = slot;
    answers.last = m->kv_done;
    snprintf(answers.value, sizeof(answers.value), "%.*s", SLICE_ARG(m->kv_done.value));
}

static int begin(void **state)
{
    struct error err;
    memset(&answers, 0, sizeof(answers));
    log_open(STDERR_FILENO, LOG_OFF, "test", false);
    loop = loop_new();
    memory = store_memory_new();
    struct store_place place = store_memory_place(memory);
    store = store_new(&(struct store_host){.loop = loop, .turned = on_turned}, &place, &err);
    desk = keeper_desk_new(2, store, on_send, NULL);
    return store == NULL;
}

static int end(void **state)
{
    store_memory_hold(memory, STORE_MEMORY_NONE);
    assert_true(store_free(&store, DUR_S(60)));
    keeper_desk_free(&desk);
    store_memory_free(&memory);
    loop_pass(loop, DUR_MS(1));
    loop_free(&loop);
    return 0;
}

static void until_answered(int count)
{
    for (int i = 0; i < 2000 && answers.count < count; i++)
        loop_pass(loop, DUR_MS(20));
    assert_int_equal(answers.count, count);
}

static struct message_kv call(enum kv_what what, const char *key)
{
    static uint64_t id;
    double one = 1;
    struct message_kv m = {.id_high = 7, .id_low = ++id, .what = what, .key = slice_of(key)};
    if (what == KV_SET || what == KV_ADD || what == KV_INCR) {
        m.kind = KV_NUMBER;
        memcpy(&m.number, &one, sizeof(one));
    }
    if (what == KV_LIST)
        m.limit = 10;
    return m;
}

static void a_call_is_answered_to_who_asked(void **state)
{
    struct message_kv m = call(KV_SET, "k"), g = call(KV_GET, "k");
    m.kind = KV_STRING;
    m.number = 0;
    m.value = SLICE("words");
    assert_true(keeper_desk_kv(desk, 1, &m));
    m.value = SLICE("overwritten"); /* it was copied */
    assert_true(keeper_desk_kv(desk, 1, &g));
    until_answered(2);
    assert_int_equal(answers.slot, 1);
    assert_int_equal(answers.last.id_low, g.id_low);
    assert_int_equal(answers.last.id_high, 7);
    assert_int_equal(answers.last.end, KV_DONE);
    assert_string_equal(answers.value, "words");
}

static void who_has_gone_is_not_answered_but_served(void **state)
{
    store_memory_hold(memory, STORE_MEMORY_COMMIT);
    struct message_kv m = call(KV_INCR, "n");
    assert_true(keeper_desk_kv(desk, 0, &m));
    loop_pass(loop, DUR_MS(20));
    keeper_desk_left(desk, 0);
    struct message_kv next = call(KV_INCR, "n"); /* of its successor */
    assert_true(keeper_desk_kv(desk, 0, &next));
    store_memory_hold(memory, STORE_MEMORY_NONE);
    until_answered(1);
    double number;
    memcpy(&number, &answers.last.number, sizeof(number));
    assert_int_equal(answers.last.id_low, next.id_low);
    assert_true(number == 2);
}

static void refuse(struct message_kv m)
{
    assert_false(keeper_desk_kv(desk, 0, &m));
}

static void what_makes_no_sense_is_refused(void **state)
{
    static char bytes[KV_VALUE_MAX + 1];
    double bad[] = {NAN, INFINITY};
    struct message_kv m;
    refuse((struct message_kv){.what = KV_WHAT_COUNT, .key = SLICE("k")});
    refuse((struct message_kv){.what = UINT32_MAX, .key = SLICE("k")});
    refuse(call(KV_GET, ""));
    m = call(KV_GET, ""), m.key = (struct slice){bytes, KV_KEY_MAX + 1}, refuse(m);
    m = call(KV_GET, "k"), m.bucket = (struct slice){bytes, KV_BUCKET_MAX + 1}, refuse(m);
    m = call(KV_GET, "k"), m.value = SLICE("v"), refuse(m);
    m = call(KV_GET, "k"), m.kind = KV_STRING, refuse(m);
    m = call(KV_GET, "k"), m.limit = 1, refuse(m);
    m = call(KV_SET, "k"), m.kind = KV_STRING, m.value = (struct slice){bytes, KV_VALUE_MAX + 1}, refuse(m);
    m = call(KV_SET, "k"), m.kind = KV_NOTHING, refuse(m);
    m = call(KV_SET, "k"), m.kind = KV_KEYS, refuse(m);
    m = call(KV_SET, "k"), m.kind = 99, refuse(m);
    m = call(KV_SET, "k"), m.ttl_ms = KV_TTL_MAX_MS + 1, refuse(m);
    m = call(KV_SET, "k"), m.value = SLICE("v"), refuse(m);
    m = call(KV_INCR, "k"), m.kind = KV_STRING, refuse(m);
    for (int i = 0; i < 2; i++)
        m = call(KV_INCR, "k"), memcpy(&m.number, &bad[i], sizeof(double)), refuse(m);
    m = call(KV_LIST, ""), m.limit = 0, refuse(m);
    m = call(KV_LIST, ""), m.limit = KV_LIST_MAX + 1, refuse(m);
    m = call(KV_LIST, ""), m.value = (struct slice){bytes, KV_KEY_MAX + 1}, refuse(m);
    m = call(KV_SET, "k"), m.kind = KV_STRING, m.value = (struct slice){bytes, KV_VALUE_MAX};
    m.key = (struct slice){bytes, KV_KEY_MAX}, m.bucket = (struct slice){bytes, KV_BUCKET_MAX}; /* the largest one */
    assert_true(keeper_desk_kv(desk, 0, &m));
    until_answered(1);
    assert_int_equal(answers.last.end, KV_DONE);
}

static void no_worker_has_more_than_its_window(void **state)
{
    struct message_kv m;
    store_memory_hold(memory, STORE_MEMORY_COMMIT);
    for (unsigned i = 0; i < CALLS_WINDOW; i++) {
        m = call(KV_INCR, "n");
        assert_true(keeper_desk_kv(desk, 0, &m));
    }
    refuse(call(KV_INCR, "n"));
    for (unsigned i = 0; i < CALLS_WINDOW_READS; i++) {
        m = call(KV_GET, "n");
        assert_true(keeper_desk_kv(desk, 1, &m));
    }
    m = call(KV_GET, "n");
    assert_false(keeper_desk_kv(desk, 1, &m));
    store_memory_hold(memory, STORE_MEMORY_NONE);
    until_answered(CALLS_WINDOW + CALLS_WINDOW_READS);
    m = call(KV_GET, "n");
    assert_true(keeper_desk_kv(desk, 1, &m)); /* room again */
    until_answered(CALLS_WINDOW + CALLS_WINDOW_READS + 1);
}

static void bytes_have_a_window_too(void **state)
{
    static char bytes[KV_VALUE_MAX];
    struct message_kv m;
    int count = 0;
    store_memory_hold(memory, STORE_MEMORY_COMMIT);
    for (;; count++) {
        m = call(KV_SET, "k"), m.kind = KV_STRING, m.value = (struct slice){bytes, sizeof(bytes)};
        if (!keeper_desk_kv(desk, 0, &m))
            break;
    }
    assert_int_equal(count, 3);
    store_memory_hold(memory, STORE_MEMORY_NONE);
    until_answered(count);
}

static void without_a_store_nothing_is_done(void **state)
{
    struct keeper_desk *none = keeper_desk_new(1, NULL, on_send, NULL);
    struct message_kv m = call(KV_SET, "k");
    assert_true(keeper_desk_kv(none, 0, &m));
    assert_int_equal(answers.count, 1);
    assert_int_equal(answers.last.end, KV_NOT_DONE);
    keeper_desk_free(&none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_call_is_answered_to_who_asked, begin, end),
        cmocka_unit_test_setup_teardown(who_has_gone_is_not_answered_but_served, begin, end),
        cmocka_unit_test_setup_teardown(what_makes_no_sense_is_refused, begin, end),
        cmocka_unit_test_setup_teardown(no_worker_has_more_than_its_window, begin, end),
        cmocka_unit_test_setup_teardown(bytes_have_a_window_too, begin, end),
        cmocka_unit_test_setup_teardown(without_a_store_nothing_is_done, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
