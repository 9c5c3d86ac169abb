/*
 * test_bound.c: promises: the keeper is told where workers listen, of every edition that one is left of, also when the
 * edition has gone; not of those that nobody is left of; an exec in place changes nothing of it.
 */
#include "base/panic.h"
#include "supervise/supervisor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* Where the kernel chose that it listens is appended to `at`. */
static struct edition *edition_at(uint32_t number, const char *listen, struct buf *at)
{
    struct config c = {.workers = 2};
    struct error err;

    if (listen != NULL) {
        struct config_listen *l = config_add_listen(&c);
        NEED(config_parse_listen(listen, false, l, NULL) == 0 && config_listen_look_up(l, NULL) == 0);
    }
    struct edition *e = edition_new(number, "1", &c, -1, -1);
    if (sockets_open(&e->sockets, &e->config, NULL, (dur_t){0}, &err) != 0)
        fail_msg("%s", err.text);
    sockets_workers(&e->sockets, at);
    return e;
}

/* A supervisor of three editions: the first has gone, the second serves, the third is (or was) to come. */
struct stage {
    struct supervisor *s;
    struct edition *first, *second, *third;
    char *at[3]; /* where each listens */
};

static int begin(void **state)
{
    struct stage *t = need_zero(1, sizeof(*t));
    struct buf at[3] = {{0}};

    t->s = need_zero(1, sizeof(*t->s));
    t->first = edition_at(7, "127.0.0.1:0", &at[0]);
    t->second = edition_at(8, "127.0.0.1:0", &at[1]);
    t->third = edition_at(6 + AREA_EDITIONS, "127.0.0.1:0", &at[2]);
    for (size_t i = 0; i < 3; i++)
        t->at[i] = buf_take(&at[i]);
    bound_keep(&t->s->bound, t->first);
    bound_keep(&t->s->bound, t->second);
    edition_free(&t->first, NULL);
    t->s->now = t->second;
    t->s->places = 3;
    *state = t;
    return 0;
}

static int end(void **state)
{
    struct stage *t = *state;

    bound_free(&t->s->bound);
    for (size_t i = 0; i < 3; i++)
        free(t->at[i]);
    edition_free(&t->second, NULL);
    edition_free(&t->third, NULL);
    free(t->s);
    free(t);
    return 0;
}

/* In whatever order: the addresses of those that are wanted, of first, second, third. */
static void expect_told(const struct stage *t, const struct edition *keepers, const char *wanted)
{
    struct buf told = {0};
    size_t len = 0;

    bound_find(t->s, keepers, &told);
    for (size_t i = 0; i < 3; i++) {
        bool is_told = strstr(buf_text(&told), t->at[i]) != NULL;

        if (is_told != (wanted[i] == '+'))
            fail_msg("%s: of %s, which listen at %s, %s, %s", buf_text(&told), wanted, t->at[0], t->at[1], t->at[2]);
        len += is_told ? strlen(t->at[i]) + 1 : 0;
    }
    assert_int_equal(told.len + 1, len); /* and nothing but spaces between */
    buf_free(&told);
}

static void an_edition_that_has_gone_is_told_while_a_worker_of_it_is_left(void **state)
{
    struct stage *t = *state;

    expect_told(t, t->second, "-+-");
    t->s->workers[2] = (struct child){.number = 7, .pid = 1234};
    expect_told(t, t->second, "++-");
    t->s->workers[2].pid = 0;
    expect_told(t, t->second, "-+-");
}

/* Its keeper's workers have not started yet; undone, those that served finish. */
static void the_next_one_is_told_to_its_keeper_and_undone_to_the_old_one(void **state)
{
    struct stage *t = *state;

    bound_keep(&t->s->bound, t->third);
    t->s->workers[1] = (struct child){.number = 7, .pid = 1234};
    expect_told(t, t->third, "+++");
    t->s->workers[0] = (struct child){.number = t->third->number, .pid = 1235};
    edition_free(&t->third, NULL);
    expect_told(t, t->second, "+++");
    t->s->workers[0].pid = 0;
    expect_told(t, t->second, "++-");
}

static void a_number_that_comes_round_again_is_the_new_ones(void **state)
{
    struct stage *t = *state;
    struct buf at = {0};
    struct edition *e = edition_at(7 + AREA_EDITIONS, "127.0.0.1:0", &at);

    bound_keep(&t->s->bound, e);
    expect_told(t, t->second, "-+-");
    free(t->at[0]);
    t->at[0] = buf_take(&at);
    expect_told(t, e, "++-");
    edition_free(&e, NULL);
}

/* An edition that listens at unix sockets alone, say. */
static void nothing_is_told_of_who_listens_nowhere(void **state)
{
    struct stage *t = *state;
    struct buf at = {0};
    struct edition *e = edition_at(9, NULL, &at);

    assert_int_equal(at.len, 0);
    bound_keep(&t->s->bound, e);
    expect_told(t, e, "-+-");
    edition_free(&e, NULL);
}

static void an_exec_in_place_changes_nothing(void **state)
{
    struct stage *t = *state;
    struct buf bytes = {0};
    bool bad = false;

    bound_write(&t->s->bound, &bytes);
    buf_add_u32(&bytes, 77); /* what follows in the state */
    for (size_t len = 0; len < bytes.len - 4; len++) {
        struct slice cut = {bytes.at, len};
        struct bound half = {{0}};

        bool is_bad = false;
        bound_read(&cut, &half, &is_bad);
        assert_true(is_bad);
        bound_free(&half);
    }
    bound_free(&t->s->bound);
    struct slice rest = buf_slice(&bytes);
    bound_read(&rest, &t->s->bound, &bad);
    assert_int_equal(buf_take_u32(&rest, &bad), 77);
    assert_false(bad);
    t->s->workers[0] = (struct child){.number = 7, .pid = 1234};
    expect_told(t, t->second, "++-");
    buf_free(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_edition_that_has_gone_is_told_while_a_worker_of_it_is_left, begin, end),
        cmocka_unit_test_setup_teardown(the_next_one_is_told_to_its_keeper_and_undone_to_the_old_one, begin, end),
        cmocka_unit_test_setup_teardown(a_number_that_comes_round_again_is_the_new_ones, begin, end),
        cmocka_unit_test_setup_teardown(nothing_is_told_of_who_listens_nowhere, begin, end),
        cmocka_unit_test_setup_teardown(an_exec_in_place_changes_nothing, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
