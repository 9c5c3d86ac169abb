/*
 * Promises of the counts by address: exact for an address, over all workers; never too few, whoever else is there; an
 * IPv6 /64 is one; a dead worker's count is gone, and its memory; what a broken worker writes stops nobody else.
 */
#include "codec/ip.h"
#include "shm/area.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    struct area *area;
    int fd;
    struct peers worker[3];
};

static int set_up(void **state)
{
    static struct fixture f;
    struct error err;
    f.area = area_new(&f.fd, &err);
    assert_non_null(f.area);
    for (uint32_t i = 0; i < 3; i++) {
        area_use(f.area, i);
        peers_open(&f.worker[i], f.area, i, PEERS_CONNECTIONS);
    }
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    area_free(&f->area);
    close(f->fd);
    return 0;
}

static uint64_t key_of(const char *text)
{
    struct ip ip;
    assert_true(ip_parse(slice_of(text), &ip));
    return peers_key(&ip);
}

static void addresses_are_told_apart_as_far_as_they_belong_to_one(void **state)
{
    assert_int_equal(peers_key(&(struct ip){.kind = IP_UNIX}), 0);
    assert_int_equal(peers_key(&(struct ip){.kind = IP_NONE}), 0);
    assert_true(key_of("10.0.0.1") != key_of("10.0.0.2"));
    assert_int_equal(key_of("::ffff:10.0.0.1"), key_of("10.0.0.1"));
    assert_int_equal(key_of("2001:db8:1:2::1"), key_of("2001:db8:1:2:ffff:ffff:ffff:ffff"));
    assert_true(key_of("2001:db8:1:2::1") != key_of("2001:db8:1:3::1"));
    assert_true(key_of("::1") != 0 && key_of("0.0.0.0") != 0 && key_of("::1") != key_of("0.0.0.1"));
}

static void all_workers_count_together(void **state)
{
    struct fixture *f = *state;
    uint64_t a = key_of("192.0.2.1"), b = key_of("2001:db8::1");
    for (uint64_t i = 1; i <= 30; i++) {
        assert_int_equal(peers_add(&f->worker[i % 3], a, 1), i);
        if (i <= 10)
            assert_int_equal(peers_add(&f->worker[0], b, 1), i);
    }
    for (uint64_t i = 1; i <= 30; i++)
        peers_remove(&f->worker[i % 3], a, 1);
    assert_int_equal(peers_add(&f->worker[1], a, 1), 1);
    assert_int_equal(peers_add(&f->worker[1], b, 1), 11);
    assert_int_equal(peers_add(&f->worker[1], 0, 1), 0);
    peers_remove(&f->worker[1], 0, 1);
}

/* Some 20,000 others: an address may seem to have a few more, and never has fewer. */
static void others_hide_nobody(void **state)
{
    struct fixture *f = *state;
    uint64_t a = key_of("198.51.100.7"), most = 0;
    for (uint64_t i = 0; i < 20000; i++)
        peers_add(&f->worker[i % 3], (UINT64_C(0x20010db8) << 32) + i, 1);
    for (uint64_t i = 1; i <= 100; i++) {
        uint64_t n = peers_add(&f->worker[i % 3], a, 1);
        assert_true(n >= i);
        most = n - i > most ? n - i : most;
    }
    assert_true(most < 12);
}

static size_t blocks(const struct fixture *f)
{
    struct stat st;
    assert_int_equal(fstat(f->fd, &st), 0);
    return (size_t)st.st_blocks;
}

static void a_dead_worker_has_none(void **state)
{
    struct fixture *f = *state;
    uint64_t a = key_of("203.0.113.9");
    for (int i = 0; i < 5; i++)
        peers_add(&f->worker[2], a, 1);
    assert_int_equal(peers_add(&f->worker[0], a, 1), 6);
    for (uint64_t i = 0; i < 50000; i++)
        peers_add(&f->worker[2], i * 977 + (UINT64_C(1) << 40), 1);
    size_t before = blocks(f);
    area_reset_worker(f->area, 2);
    assert_true(blocks(f) + sizeof(struct peers_slot) / 512 / 2 < before);
    assert_int_equal(peers_add(&f->worker[1], a, 1), 2);
    peers_remove(&f->worker[2], a, 1); /* of a life before: nothing to take back, and no harm */
    assert_int_equal(peers_add(&f->worker[1], a, 1), 3);
}

static void what_a_broken_worker_writes_is_only_a_number(void **state)
{
    struct fixture *f = *state;
    uint64_t a = key_of("203.0.113.10");
    for (unsigned row = 0; row < PEERS_ROWS; row++)
        for (size_t i = 0; i < PEERS_COUNTERS; i++)
            atomic_store(&f->area->peers[PEERS_CONNECTIONS][2].count[row][i], UINT32_MAX);
    f->area->peers_secret[0] = f->area->peers_secret[1] = 0;
    assert_true(peers_add(&f->worker[0], a, 1) > UINT32_MAX);
    area_reset_worker(f->area, 2);
    assert_int_equal(peers_add(&f->worker[0], a, 1), 2);
}

#define TIMES 20000

static void *come_and_go(void *cookie)
{
    struct peers *p = cookie;
    for (int i = 0; i < TIMES; i++) {
        peers_add(p, key_of("192.0.2.77"), 1);
        if (i % 2 == 1)
            peers_remove(p, key_of("192.0.2.77"), 1);
    }
    return NULL;
}

static void they_count_at_once(void **state)
{
    struct fixture *f = *state;
    pthread_t thread[3];
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, come_and_go, &f->worker[i]), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(thread[i], NULL);
    assert_int_equal(peers_add(&f->worker[0], key_of("192.0.2.77"), 1), 3 * TIMES / 2 + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(addresses_are_told_apart_as_far_as_they_belong_to_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(all_workers_count_together, set_up, tear_down),
        cmocka_unit_test_setup_teardown(others_hide_nobody, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_dead_worker_has_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_a_broken_worker_writes_is_only_a_number, set_up, tear_down),
        cmocka_unit_test_setup_teardown(they_count_at_once, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
