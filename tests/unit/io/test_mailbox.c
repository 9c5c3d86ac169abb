/*
 * test_mailbox.c: messages from several threads come onto the loop, each once, those of a thread in its order; what is
 * there at the end is delivered then.
 */
#include "base/panic.h"
#include "io/mailbox.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define THREADS 4
#define EACH 5000

struct note {
    struct mail mail;
    int thread, number;
};

struct seen {
    int next[THREADS], count;
    pthread_t receiver;
    bool wrong;
};

static struct mailbox *box;

static void deliver(void *cookie, struct mail *mail)
{
    struct seen *s = cookie;
    struct note *n = CONTAINER_OF(mail, struct note, mail);
    s->wrong = s->wrong || n->number != s->next[n->thread] || !pthread_equal(pthread_self(), s->receiver);
    s->next[n->thread]++;
    s->count++;
    free(n);
}

static void *send_all(void *cookie)
{
    for (int i = 0; i < EACH; i++) {
        struct note *n = need_zero(1, sizeof(*n));
        n->thread = (int)(intptr_t)cookie;
        n->number = i;
        mailbox_put(box, &n->mail);
        if (i % 500 == 0)
            usleep(100);
    }
    return NULL;
}

static void each_is_delivered_once_in_order_on_the_loop(void **state)
{
    struct seen s = {.receiver = pthread_self()};
    struct loop *loop = loop_new();
    pthread_t threads[THREADS];
    box = mailbox_new(loop, deliver, &s);
    for (intptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, send_all, (void *)i), 0);
    while (s.count < THREADS * EACH)
        loop_pass(loop, DUR_S(5));
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    loop_pass(loop, DUR_MS(0));
    assert_int_equal(s.count, THREADS * EACH);
    assert_false(s.wrong);
    mailbox_free(&box);
    assert_null(box);
    loop_free(&loop);
}

static void what_is_there_at_the_end_is_delivered_then(void **state)
{
    struct seen s = {.receiver = pthread_self()};
    struct loop *loop = loop_new();
    box = mailbox_new(loop, deliver, &s);
    send_all(0);
    assert_int_equal(s.count, 0);
    mailbox_free(&box);
    assert_int_equal(s.count, EACH);
    assert_false(s.wrong);
    mailbox_free(&box);
    loop_free(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_delivered_once_in_order_on_the_loop),
        cmocka_unit_test(what_is_there_at_the_end_is_delivered_then),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
