/*
 * test_calls.c: a call is answered once, in order; asked again of the next keeper under the same id; given up in words;
 * never more with a keeper, or waiting, than is allowed.
 */
#include "base/panic.h"
#include "ipc/calls.h"
#include "ipc/kv.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct asker {
    struct call *call;
    int told;
    enum calls_end end;
    double number;
    enum kv_end kv_end;
    bool ask_again; /* when told */
};

static struct loop *loop;
static struct calls *calls;
static struct link *mine;      /* the worker's end */
static struct channel *keeper; /* the other */
static struct asker askers[6000];
static size_t asked;

static void on_answer(struct link *l, const struct message *m, void *cookie)
{
    assert_true(calls_answer(calls, m));
}

static void on_end(struct link *l, const char *why, void *cookie)
{
    calls_link(calls, NULL);
    link_free(&mine);
}

static const struct link_handlers handlers = {.on = {[MESSAGE_kv_done] = on_answer}, .ended = on_end};

static void passes(void)
{
    for (int i = 0; i < 6; i++)
        loop_pass(loop, DUR_MS(1));
}

static void new_keeper(void)
{
    int ends[2];
    calls_link(calls, NULL);
    link_free(&mine);
    channel_free(&keeper);
    assert_int_equal(channel_pair(ends), 0);
    mine = link_new(loop, ends[0], &handlers, NULL);
    keeper = channel_new(ends[1]);
    calls_link(calls, mine);
}

static void told(void *cookie, enum calls_end end, const struct message *answer);

static struct asker *ask(const char *key, size_t value_len, bool large)
{
    static char bytes[2 << 20];
    struct asker *a = &askers[asked++];
    struct message m = {.type = MESSAGE_kv,
                        .kv = {.what = large ? KV_GET : KV_SET, .key = slice_of(key), .value = {bytes, value_len}}};
    *a = (struct asker){0};
    a->call = calls_ask(calls, &m, large, told, a);
    return a;
}

static void told(void *cookie, enum calls_end end, const struct message *answer)
{
    struct asker *a = cookie;
    a->told++;
    a->end = end;
    a->call = NULL;
    assert_true((end == CALLS_ANSWERED) == (answer != NULL));
    if (answer != NULL) {
        memcpy(&a->number, &answer->kv_done.number, sizeof(a->number));
        a->kv_end = (enum kv_end)answer->kv_done.end;
    }
    if (a->ask_again)
        ask("again", 0, false);
}

/* What the keeper has heard: the next message, or the test fails. Texts are borrowed. */
static struct message_kv hear(void)
{
    struct message m;
    for (int i = 0; i < 2000 && channel_next(keeper, &m) == 0; i++) {
        loop_pass(loop, DUR_MS(1));
        channel_read(keeper);
    }
    assert_int_equal(m.type, MESSAGE_kv);
    return m.kv;
}

static size_t heard_now(void)
{
    struct message m;
    size_t count = 0;
    for (int i = 0; i < 50; i++) {
        loop_pass(loop, DUR_MS(0));
        channel_read(keeper);
        while (channel_next(keeper, &m) > 0)
            count++;
    }
    return count;
}

static void reply(const struct message_kv *to, double number)
{
    struct message m = {.type = MESSAGE_kv_done, .kv_done = {.id_high = to->id_high, .id_low = to->id_low}};
    memcpy(&m.kv_done.number, &number, sizeof(number));
    channel_send(keeper, &m);
}

static int begin(void **state)
{
    loop = loop_new();
    calls = calls_new(loop, NULL);
    asked = 0;
    return 0;
}

static int end(void **state)
{
    calls_link(calls, NULL);
    link_free(&mine);
    channel_free(&keeper);
    calls_free(&calls);
    passes();
    loop_free(&loop);
    return 0;
}

static void an_answer_is_told_once_on_the_loop(void **state)
{
    new_keeper();
    struct asker *a = ask("a", 0, false), *b = ask("b", 0, true);
    struct message_kv first = hear();
    assert_true(slice_equal(first.key, SLICE("a")));
    reply(&first, 1);
    struct message_kv second = hear();
    assert_true(first.id_high != second.id_high || first.id_low != second.id_low);
    reply(&second, 2);
    passes();
    assert_int_equal(a->told, 1);
    assert_int_equal(a->end, CALLS_ANSWERED);
    assert_true(a->number == 1 && b->number == 2);
    assert_int_equal(calls_count(calls), 0);
    assert_false(
        calls_answer(calls, &(struct message){.type = MESSAGE_kv_done, .kv_done = {.id_high = first.id_high}}));
}

static void whoever_is_told_may_ask(void **state)
{
    new_keeper();
    struct asker *a = ask("a", 0, false);
    a->ask_again = true;
    struct message_kv m = hear();
    reply(&m, 0);
    m = hear();
    assert_true(slice_equal(m.key, SLICE("again")));
}

/* The promise to scripts: in the order sent, under the same id, also across keepers; nothing is lost and nothing comes
 * twice. */
static void the_next_keeper_is_asked_again_in_order(void **state)
{
    char key[16];
    uint64_t ids[10];
    new_keeper();
    for (int i = 0; i < 8; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        ask(key, 0, false);
    }
    for (int i = 0; i < 8; i++) {
        struct message_kv m = hear();
        ids[i] = m.id_low;
        if (i < 3)
            reply(&m, i);
    }
    passes();
    assert_int_equal(askers[2].told, 1);
    channel_free(&keeper); /* its end, with five in doubt */
    passes();
    assert_null(mine);
    ask("k8", 0, false); /* while it is away */
    new_keeper();
    ask("k9", 0, false);
    for (int i = 3; i < 10; i++) {
        struct message_kv m = hear();
        snprintf(key, sizeof(key), "k%d", i);
        assert_true(slice_equal(m.key, slice_of(key)));
        if (i < 8)
            assert_int_equal(m.id_low, ids[i]);
        reply(&m, i);
    }
    passes();
    for (int i = 0; i < 10; i++) {
        assert_int_equal(askers[i].told, 1);
        assert_true(askers[i].number == i);
    }
    assert_int_equal(heard_now(), 0);
}

static void forgotten_calls_are_not_asked_again(void **state)
{
    struct asker *unsent = ask("unsent", 0, false);
    calls_forget(calls, &unsent->call);
    assert_null(unsent->call);
    assert_int_equal(calls_count(calls), 0);
    new_keeper();
    struct asker *a = ask("a", 0, false), *b = ask("b", 0, false);
    struct message_kv first = hear(), second = hear();
    calls_forget(calls, &a->call);
    reply(&first, 1); /* dropped */
    passes();
    assert_int_equal(a->told, 0);
    assert_int_equal(calls_count(calls), 1);
    calls_forget(calls, &b->call);
    new_keeper();
    assert_int_equal(heard_now(), 0);
    assert_int_equal(calls_count(calls), 0);
    assert_int_equal(second.what, KV_SET);
}

static void one_that_is_over_can_be_forgotten_before_it_is_told(void **state)
{
    new_keeper();
    struct asker *a = ask("a", 0, false);
    struct message_kv m = hear();
    calls_answer(calls,
                 &(struct message){.type = MESSAGE_kv_done, .kv_done = {.id_high = m.id_high, .id_low = m.id_low}});
    calls_forget(calls, &a->call);
    passes();
    assert_int_equal(a->told, 0);
}

static void until_told(const struct asker *a)
{
    mono_t limit = mono_add(mono_now(), DUR_S(60));
    while (a->told == 0 && mono_before(mono_now(), limit))
        loop_pass(loop, DUR_MS(100));
    assert_int_equal(a->told, 1);
}

/* Without a keeper nothing was done; with one that does not answer that is not known. */
static void patience_ends(void **state)
{
    mono_t began = mono_now();
    struct asker *never = ask("never", 0, false);
    until_told(never);
    assert_int_equal(never->end, CALLS_NOT_DONE);
    assert_true(mono_since(mono_now(), began).ns >= CALLS_PATIENCE.ns);
    new_keeper();
    struct asker *a = ask("a", 0, false);
    struct message_kv m = hear();
    until_told(a);
    assert_int_equal(a->end, CALLS_UNKNOWN);
    struct asker *b = ask("b", 0, false);
    reply(&m, 1); /* too late, and nobody's */
    m = hear();
    reply(&m, 2);
    passes();
    assert_int_equal(a->told, 1);
    assert_int_equal(b->told, 1);
    assert_true(b->number == 2);
    assert_int_equal(calls_count(calls), 0);
}

static struct message_kv heard_before;

static void is_away(struct loop_later *later)
{
    reply(&heard_before, 7);
    usleep((useconds_t)(CALLS_PATIENCE.ns / 1000 + 100000));
}

/* A script that runs for long: behind it the deadline has passed, and the answer has not been read. */
static void an_answer_that_lies_there_is_read_before_patience_ends(void **state)
{
    struct loop_later away;
    loop_later_init(&away, is_away);
    new_keeper();
    struct asker *a = ask("key", 0, false);
    heard_before = hear();
    loop_later(loop, &away);
    until_told(a);
    assert_int_equal(a->end, CALLS_ANSWERED);
    assert_true(a->number == 7);
}

static void no_more_than_the_window_is_with_the_keeper(void **state)
{
    new_keeper();
    for (unsigned i = 0; i < CALLS_WINDOW + 10; i++)
        ask("s", 0, false);
    struct message_kv m = hear();
    assert_int_equal(heard_now(), CALLS_WINDOW - 1);
    reply(&m, 0);
    assert_int_equal(heard_now(), 1);
}

static void large_answers_have_a_window_of_their_own(void **state)
{
    new_keeper();
    for (unsigned i = 0; i < CALLS_WINDOW_READS + 5; i++)
        ask("r", 0, true);
    ask("behind", 0, false); /* the order is the promise */
    struct message_kv m = hear();
    assert_int_equal(heard_now(), CALLS_WINDOW_READS - 1);
    reply(&m, 0);
    assert_int_equal(heard_now(), 1);
}

static void bytes_are_bounded_but_one_goes_always(void **state)
{
    new_keeper();
    for (int i = 0; i < 5; i++)
        ask("s", 1 << 20, false);
    struct message_kv m = hear();
    size_t first = 1 + heard_now();
    assert_int_equal(first, 3); /* each is a little more than a MiB */
    reply(&m, 0);
    assert_int_equal(heard_now(), 1);
}

/* Whatever waits is asked in the end, and its texts are the asker's until then. */
static void any_number_waits_for_its_turn(void **state)
{
    static char key[] = "a key";
    enum { COUNT = 5000 };
    for (int i = 0; i < COUNT; i++)
        assert_non_null(ask(key, i % 64 == 0 ? 1 << 20 : 0, false)->call);
    struct message m = {.type = MESSAGE_kv, .kv = {.key = SLICE("k")}};
    assert_false(calls_goes(calls, &m, false));
    assert_int_equal(calls_count(calls), COUNT);
    key[0] = 'b'; /* nothing was copied */
    new_keeper();
    uint64_t last = 0;
    for (int i = 0; i < COUNT; i++) {
        struct message_kv heard = hear();
        assert_true(slice_equal(heard.key, SLICE("b key")));
        assert_true(heard.id_low > last);
        last = heard.id_low;
        reply(&heard, i);
    }
    passes();
    for (int i = 0; i < COUNT; i++)
        assert_true(askers[i].told == 1 && askers[i].end == CALLS_ANSWERED && askers[i].number == i);
    assert_true(calls_goes(calls, &m, false));
}

static void what_is_sent_is_copied(void **state)
{
    static char key[] = "a key";
    new_keeper();
    ask(key, 0, false);
    key[0] = 'b';
    new_keeper();
    assert_true(slice_equal(hear().key, SLICE("a key")));
}

/* With each call goes what is settled: all below the first one whose end is not known here. */
static void what_is_settled_is_said(void **state)
{
    new_keeper();
    ask("a", 0, false);
    ask("b", 0, false);
    struct message_kv a = hear(), b = hear();
    assert_int_equal(a.id_high, b.id_high);
    assert_int_equal(a.settled, a.id_low);
    assert_int_equal(b.settled, a.id_low);
    reply(&a, 1);
    passes();
    ask("c", 0, false);
    struct message_kv c = hear();
    assert_int_equal(c.settled, b.id_low);
    channel_free(&keeper);
    passes();
    new_keeper();
    ask("d", 0, false);
    assert_int_equal(hear().id_low, b.id_low);
    assert_int_equal(hear().id_low, c.id_low);
    struct message_kv d = hear();
    assert_int_equal(d.settled, b.id_low);
    reply(&b, 2);
    reply(&c, 3);
    passes();
    ask("e", 0, false);
    assert_int_equal(hear().settled, d.id_low);
}

/* A keeper that refuses says that it did not do it. Whether the one before it did, nobody knows. */
static void what_was_in_doubt_is_not_known_to_be_undone(void **state)
{
    for (int doubt = 0; doubt < 2; doubt++) {
        new_keeper();
        struct asker *a = ask("a", 0, false);
        struct message_kv m = hear();
        if (doubt == 1) {
            new_keeper();
            m = hear();
        }
        channel_send(keeper,
                     &(struct message){.type = MESSAGE_kv_done,
                                       .kv_done = {.id_high = m.id_high, .id_low = m.id_low, .end = KV_NOT_DONE}});
        passes();
        assert_int_equal(a->told, 1);
        assert_int_equal(a->kv_end, doubt == 1 ? KV_UNKNOWN : KV_NOT_DONE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_answer_is_told_once_on_the_loop, begin, end),
        cmocka_unit_test_setup_teardown(whoever_is_told_may_ask, begin, end),
        cmocka_unit_test_setup_teardown(the_next_keeper_is_asked_again_in_order, begin, end),
        cmocka_unit_test_setup_teardown(forgotten_calls_are_not_asked_again, begin, end),
        cmocka_unit_test_setup_teardown(one_that_is_over_can_be_forgotten_before_it_is_told, begin, end),
        cmocka_unit_test_setup_teardown(patience_ends, begin, end),
        cmocka_unit_test_setup_teardown(an_answer_that_lies_there_is_read_before_patience_ends, begin, end),
        cmocka_unit_test_setup_teardown(no_more_than_the_window_is_with_the_keeper, begin, end),
        cmocka_unit_test_setup_teardown(large_answers_have_a_window_of_their_own, begin, end),
        cmocka_unit_test_setup_teardown(bytes_are_bounded_but_one_goes_always, begin, end),
        cmocka_unit_test_setup_teardown(any_number_waits_for_its_turn, begin, end),
        cmocka_unit_test_setup_teardown(what_is_sent_is_copied, begin, end),
        cmocka_unit_test_setup_teardown(what_is_settled_is_said, begin, end),
        cmocka_unit_test_setup_teardown(what_was_in_doubt_is_not_known_to_be_undone, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
