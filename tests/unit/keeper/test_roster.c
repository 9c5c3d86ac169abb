/*
 * test_roster.c: only a worker whose greeting is what the supervisor announced is one of the workers.
 */
#include "base/fd.h"
#include "base/log.h"
#include "ipc/channel.h"
#include "keeper/roster.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

struct seen {
    struct loop *loop;
    struct roster *roster;
    struct channel *worker; /* its end */
    unsigned joined, left, prepared, asked, gone;
    bool nonsense; /* what is asked makes none */
    uint32_t slot;
    uint64_t generation;
};

static void on_joined(void *cookie, uint32_t slot, uint32_t incarnation, uint64_t generation)
{
    struct seen *s = cookie;
    s->joined++;
    s->slot = slot;
    s->generation = generation;
}

static void on_left(void *cookie, uint32_t slot)
{
    ((struct seen *)cookie)->left++;
}

static void on_prepared(void *cookie, uint32_t slot, const struct message_prepared *m)
{
    struct seen *s = cookie;
    s->prepared++;
    s->slot = slot;
}

static bool on_kv(void *cookie, uint32_t slot, const struct message_kv *m)
{
    struct seen *s = cookie;
    s->asked++;
    s->slot = slot;
    return !s->nonsense;
}

static void on_gone(void *cookie, uint32_t slot)
{
    ((struct seen *)cookie)->gone++;
}

static void announce_of(struct seen *s, uint32_t slot, uint32_t incarnation, uint32_t edition)
{
    int ends[2];
    assert_int_equal(channel_pair(ends), 0);
    channel_free(&s->worker);
    s->worker = channel_new(ends[1]);
    roster_peer(s->roster, &(struct message_peer){
                               .slot = slot, .incarnation = incarnation, .edition = edition, .socket = ends[0]});
}

static void announce(struct seen *s, uint32_t slot, uint32_t incarnation)
{
    announce_of(s, slot, incarnation, 3);
}

static void begin(struct seen *s)
{
    *s = (struct seen){.loop = loop_new()};
    log_open(STDERR_FILENO, LOG_OFF, "test", false);
    const struct roster_host host = {.loop = s->loop,
                                     .places = 2,
                                     .edition = 3,
                                     .joined = on_joined,
                                     .left = on_left,
                                     .prepared = on_prepared,
                                     .kv = on_kv,
                                     .gone = on_gone,
                                     .cookie = s};
    s->roster = roster_new(&host);
    announce(s, 1, 5);
}

static void end(struct seen *s)
{
    roster_free(&s->roster);
    channel_free(&s->worker);
    loop_free(&s->loop);
}

static void say(struct seen *s, const struct message *m)
{
    channel_send(s->worker, m);
    for (int i = 0; i < 5; i++)
        loop_pass(s->loop, DUR_MS(2));
}

static void greet(struct seen *s, uint32_t version, uint32_t slot, uint32_t incarnation)
{
    say(s, &(struct message){.type = MESSAGE_hello, .hello = {version, slot, incarnation, 42}});
}

static void a_greeting_makes_a_worker(void **state)
{
    struct seen s;
    begin(&s);
    assert_int_equal(roster_count(s.roster), 0);
    greet(&s, MESSAGES_VERSION, 1, 5);
    assert_int_equal(s.joined, 1);
    assert_int_equal(s.slot, 1);
    assert_int_equal(s.generation, 42);
    assert_int_equal(roster_count(s.roster), 1);
    channel_free(&s.worker);
    loop_pass(s.loop, DUR_MS(20));
    assert_int_equal(s.left, 1);
    assert_int_equal(roster_count(s.roster), 0);
    end(&s);
}

static void another_greeting_does_not(void **state)
{
    static const uint32_t wrong[][3] = {
        {MESSAGES_VERSION + 1, 1, 5}, {MESSAGES_VERSION, 0, 5}, {MESSAGES_VERSION, 1, 4}};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct seen s;
        begin(&s);
        greet(&s, wrong[i][0], wrong[i][1], wrong[i][2]);
        assert_int_equal(s.joined, 0);
        assert_int_equal(s.left, 0);
        assert_int_equal(roster_count(s.roster), 0);
        end(&s);
    }
}

static void before_its_greeting_nothing_is_heard(void **state)
{
    struct seen s;
    begin(&s);
    say(&s, &(struct message){.type = MESSAGE_prepared, .prepared = {.generation = 1, .incarnation = 5}});
    assert_int_equal(s.prepared, 0);
    greet(&s, MESSAGES_VERSION, 1, 5);
    say(&s, &(struct message){.type = MESSAGE_prepared, .prepared = {.generation = 1, .incarnation = 5}});
    assert_int_equal(s.prepared, 1);
    assert_int_equal(s.slot, 1);
    end(&s);
}

static void a_successor_takes_the_place(void **state)
{
    struct seen s;
    begin(&s);
    greet(&s, MESSAGES_VERSION, 1, 5);
    announce(&s, 1, 6);
    assert_int_equal(s.left, 1);
    greet(&s, MESSAGES_VERSION, 1, 6);
    assert_int_equal(s.joined, 2);
    assert_int_equal(roster_count(s.roster), 1);
    announce(&s, 9, 1); /* there is no such place */
    assert_int_equal(roster_count(s.roster), 1);
    end(&s);
}

static void each_worker_gets_a_descriptor_of_its_own(void **state)
{
    struct seen s;
    struct message m;
    struct error err;
    begin(&s);
    greet(&s, MESSAGES_VERSION, 1, 5);
    int fd = fd_sealed("x", SLICE("bytes"), &err);
    roster_send_all(s.roster, &(struct message){.type = MESSAGE_prepare, .prepare = {7, fd}});
    close(fd); /* the sender's is its own */
    for (int i = 0; i < 5; i++)
        loop_pass(s.loop, DUR_MS(2));
    assert_int_equal(channel_wait(s.worker, &m), 1);
    assert_int_equal(m.type, MESSAGE_prepare);
    struct slice bytes;
    assert_int_equal(fd_map_sealed(m.prepare.snapshot, &bytes, &err), 0);
    assert_true(slice_equal(bytes, SLICE("bytes")));
    close(m.prepare.snapshot);
    end(&s);
}

/* In an upgrade: it finishes what it has with this keeper's store; no reload concerns it. */
static void a_worker_of_another_edition_is_a_guest(void **state)
{
    struct seen s;
    struct message m;
    begin(&s);
    announce_of(&s, 1, 5, 2);
    greet(&s, MESSAGES_VERSION, 1, 5);
    say(&s, &(struct message){.type = MESSAGE_prepared, .prepared = {.generation = 1, .incarnation = 5}});
    say(&s, &(struct message){.type = MESSAGE_kv, .kv = {.id_low = 1}});
    assert_int_equal(s.joined, 0);
    assert_int_equal(s.prepared, 0);
    assert_int_equal(s.asked, 1);
    assert_int_equal(roster_count(s.roster), 0);
    roster_send_all(s.roster, &(struct message){.type = MESSAGE_flip, .flip = {1}});
    roster_send(s.roster, 1, &(struct message){.type = MESSAGE_kv_done, .kv_done = {.id_low = 1}});
    for (int i = 0; i < 5; i++)
        loop_pass(s.loop, DUR_MS(2));
    assert_int_equal(channel_wait(s.worker, &m), 1);
    assert_int_equal(m.type, MESSAGE_kv_done);
    channel_free(&s.worker);
    loop_pass(s.loop, DUR_MS(20));
    assert_int_equal(s.gone, 2); /* the one before it never greeted */
    assert_int_equal(s.left, 0);
    end(&s);
}

static void a_call_before_the_greeting_or_without_sense_ends_the_link(void **state)
{
    struct seen s;
    begin(&s);
    say(&s, &(struct message){.type = MESSAGE_kv, .kv = {.id_low = 1}});
    assert_int_equal(s.asked, 0);
    assert_int_equal(s.gone, 1);
    announce(&s, 1, 6);
    greet(&s, MESSAGES_VERSION, 1, 6);
    s.nonsense = true;
    say(&s, &(struct message){.type = MESSAGE_kv, .kv = {.id_low = 1}});
    assert_int_equal(s.asked, 1);
    assert_int_equal(s.left, 1);
    assert_int_equal(s.gone, 2);
    assert_int_equal(roster_count(s.roster), 0);
    end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_greeting_makes_a_worker),
        cmocka_unit_test(another_greeting_does_not),
        cmocka_unit_test(before_its_greeting_nothing_is_heard),
        cmocka_unit_test(a_successor_takes_the_place),
        cmocka_unit_test(each_worker_gets_a_descriptor_of_its_own),
        cmocka_unit_test(a_worker_of_another_edition_is_a_guest),
        cmocka_unit_test(a_call_before_the_greeting_or_without_sense_ends_the_link),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
