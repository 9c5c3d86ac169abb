/*
 * test_link.c: a channel on a loop: handlers in order, one end, and a link that is freed from within its handlers.
 */
#include "base/fd.h"
#include "base/panic.h"
#include "ipc/link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

struct side {
    struct loop *loop;
    struct link *link;
    unsigned pings, ends;
    uint32_t last;
    const char *why;
    bool free_on_ping, free_on_end;
};

static void on_ping(struct link *l, const struct message *m, void *cookie)
{
    struct side *s = cookie;

    s->pings++;
    s->last = m->ping.sequence;
    link_send(l, &(struct message){.type = MESSAGE_pong, .pong = {.sequence = s->last}});
    if (s->free_on_ping)
        link_free(&s->link);
}

static void on_pong(struct link *l, const struct message *m, void *cookie)
{
    struct side *s = cookie;

    s->last = m->pong.sequence;
}

static void on_end(struct link *l, const char *why, void *cookie)
{
    struct side *s = cookie;

    s->ends++;
    s->why = why;
    if (s->free_on_end)
        link_free(&s->link);
}

static const struct link_handlers answers = {.on = {[MESSAGE_ping] = on_ping}, .ended = on_end};
static const struct link_handlers asks = {.on = {[MESSAGE_pong] = on_pong}, .ended = on_end};

static void open_pair(struct side *a, struct side *b)
{
    int ends[2];

    assert_int_equal(channel_pair(ends), 0);
    *a = (struct side){.loop = loop_new()};
    *b = (struct side){.loop = a->loop};
    a->link = link_new(a->loop, ends[0], &asks, a);
    b->link = link_new(b->loop, ends[1], &answers, b);
}

static void passes(struct side *a)
{
    for (int i = 0; i < 10; i++)
        loop_pass(a->loop, DUR_MS(1));
}

static void close_pair(struct side *a, struct side *b)
{
    link_free(&a->link);
    link_free(&b->link);
    passes(a);
    loop_free(&a->loop);
}

static void ping(struct side *a, uint32_t sequence)
{
    link_send(a->link, &(struct message){.type = MESSAGE_ping, .ping = {.sequence = sequence}});
}

static void messages_come_in_order_and_answers_go_back(void **state)
{
    struct side a, b;

    open_pair(&a, &b);
    for (uint32_t i = 1; i <= 5000; i++)
        ping(&a, i);
    for (int i = 0; i < 50; i++)
        passes(&a);
    assert_int_equal(b.pings, 5000);
    assert_int_equal(b.last, 5000);
    assert_int_equal(a.last, 5000);
    close_pair(&a, &b);
}

static void sends_are_gathered_until_the_next_pass(void **state)
{
    struct side a, b;

    open_pair(&a, &b);
    ping(&a, 1);
    link_drain(b.link);
    assert_int_equal(b.pings, 0);
    passes(&a);
    assert_int_equal(b.pings, 1);
    close_pair(&a, &b);
}

/* A worker that must prepare before its next request takes what is there without a pass. */
static void drain_takes_what_has_arrived(void **state)
{
    struct side a, b = {0};
    struct channel *raw;
    int ends[2];

    channel_pair(ends);
    a = (struct side){.loop = loop_new()};
    raw = channel_new(ends[0]);
    a.link = link_new(a.loop, ends[1], &answers, &a);
    channel_send(raw, &(struct message){.type = MESSAGE_ping, .ping = {.sequence = 4}});
    link_drain(a.link);
    assert_int_equal(a.last, 4);
    channel_free(&raw);
    link_drain(a.link);
    link_drain(a.link);
    assert_int_equal(a.ends, 1);
    close_pair(&a, &b);
}

static void a_handler_may_free_the_link(void **state)
{
    struct side a, b;

    open_pair(&a, &b);
    b.free_on_ping = true;
    ping(&a, 1);
    ping(&a, 2);
    passes(&a);
    assert_int_equal(b.pings, 1);
    assert_int_equal(b.ends, 0);
    assert_int_equal(a.ends, 1);
    assert_string_equal(a.why, "closed");
    ping(&a, 3); /* on an ended link: nothing */
    passes(&a);
    assert_int_equal(a.ends, 1);
    close_pair(&a, &b);
}

static void the_end_is_told_once_and_may_free_the_link(void **state)
{
    struct side a, b;

    open_pair(&a, &b);
    a.free_on_end = true;
    link_free(&b.link);
    passes(&a);
    assert_int_equal(a.ends, 1);
    assert_null(a.link);
    close_pair(&a, &b);
}

static void an_unexpected_message_ends_the_link(void **state)
{
    struct side a, b;

    open_pair(&a, &b);
    link_send(a.link, &(struct message){.type = MESSAGE_peer, .peer = {.socket = memfd_create("x", MFD_CLOEXEC)}});
    ping(&a, 1); /* behind it: not heard any more */
    passes(&a);
    assert_int_equal(b.ends, 1);
    assert_string_equal(b.why, "unexpected message");
    assert_int_equal(b.pings, 0);
    assert_int_equal(a.ends, 1);
    close_pair(&a, &b);
}

/* More than the socket takes: the rest goes when the other side has read. */
static void a_full_socket_is_waited_for(void **state)
{
    struct side a, b;
    char *text = need_zero(1, 3u << 20);
    int ends[2];
    struct channel *raw;
    struct message m;

    open_pair(&a, &b);
    link_free(&a.link);
    channel_pair(ends);
    a.link = link_new(a.loop, ends[0], &asks, &a);
    raw = channel_new(ends[1]);
    link_send(a.link,
              &(struct message){.type = MESSAGE_trial_ended, .trial_ended = {.id = 1, .words = {text, 3u << 20}}});
    for (int i = 0; i < 1000 && channel_next(raw, &m) == 0; i++) {
        loop_pass(a.loop, DUR_MS(1));
        channel_read(raw);
    }
    assert_int_equal(m.type, MESSAGE_trial_ended);
    assert_int_equal(m.trial_ended.words.len, 3u << 20);
    channel_free(&raw);
    free(text);
    close_pair(&a, &b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_come_in_order_and_answers_go_back),
        cmocka_unit_test(sends_are_gathered_until_the_next_pass),
        cmocka_unit_test(drain_takes_what_has_arrived),
        cmocka_unit_test(a_handler_may_free_the_link),
        cmocka_unit_test(the_end_is_told_once_and_may_free_the_link),
        cmocka_unit_test(an_unexpected_message_ends_the_link),
        cmocka_unit_test(a_full_socket_is_waited_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
