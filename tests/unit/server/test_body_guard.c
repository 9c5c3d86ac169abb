/*
 * test_body_guard.c: libh2o's buffers are counted to the byte, keep their bytes when they grow, and are refused past
 * the limit, but for those whose callers could not bear it.
 */
#include "base/panic.h"
#include "server/body_guard.h"
#include "server/http2_proof.h"
#include "server/server_internal.h"
#include <stdlib.h>
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on

#define LIMIT ((size_t)4 << 20)

static struct server *s;
static struct area *area;

static int set_up(void **state)
{
    area = need_zero(1, sizeof(*area));
    s = need_zero(1, sizeof(*s));
    atomic_store(&area->used, 1);
    s->host.loop = loop_new();
    s->counters = &area->worker[0].counters;
    list_init(&s->refusals);
    body_memory_open(&s->body_memory, area, 0, LIMIT);
    h2o_socket_buffer_mmap_settings.threshold = SIZE_MAX;
    body_guard_open(s);
    return 0;
}

static int tear_down(void **state)
{
    timeout_clear(&s->refusing);
    loop_free(&s->host.loop);
    free(s);
    free(area);
    return 0;
}

/* A field as libh2o's structs have it: other fields stand before and behind it. */
struct holder {
    void *before[16];
    h2o_buffer_t *field;
    void *behind[16];
};

static void add(h2o_buffer_t **field, size_t len, char c)
{
    h2o_iovec_t room = h2o_buffer_reserve(field, len);
    assert_non_null(room.base);
    assert_true(room.len >= len);
    memset(room.base, c, len);
    (*field)->size += len;
}

static void the_library_calls_ours_and_gives_all_back(void **state)
{
    struct error err = {""};
    assert_int_equal(http2_proof_run(&err), 0);
    if (body_guard_proved(s, &err) != 0)
        fail_msg("%s", err.text);
    body_memory_add(&s->body_memory, 1);
    assert_int_equal(body_guard_proved(s, &err), -1);
    assert_string_equal(err.text, "1 bytes of a connection that is over are still counted");
    body_memory_give(&s->body_memory, 1);
}

static void a_buffer_keeps_its_bytes_and_is_counted(void **state)
{
    struct holder h = {{NULL}, NULL, {NULL}};
    h2o_buffer_init(&h.field, &h2o_socket_buffer_prototype);
    for (size_t i = 0; i < 700; i++) {
        add(&h.field, 4000, (char)i);
        assert_int_equal(s->body_memory.own, h.field->capacity);
        assert_true(h.field->capacity <= 2 * h.field->size + 8192 && h.field->capacity < h.field->size + (2 << 20));
    }
    for (size_t i = 0; i < 700 * 4000; i++)
        if (h.field->bytes[i] != (char)(i / 4000))
            fail_msg("byte %zu", i);
    h2o_buffer_consume(&h.field, 100 * 4000); /* what is read stands further back, then in front again */
    for (size_t i = 0; i < 150; i++)
        add(&h.field, 4000, 'x');
    assert_int_equal(h.field->bytes[0], (char)100);
    assert_int_equal(h.field->bytes[599 * 4000], (char)699);
    assert_int_equal(h.field->bytes[600 * 4000], 'x');
    assert_int_equal(s->body_memory.own, h.field->capacity);
    h2o_buffer_consume(&h.field, h.field->size); /* frees it */
    assert_int_equal(s->body_memory.own, 0);
    h2o_buffer_dispose(&h.field);
    assert_int_equal(s->body_memory.own, 0);
}

/* What libh2o's reader asks for, of a TLS connection's input: no more than 32 KiB before it is decoded. */
static void a_fast_sender_over_tls_lets_others_have_a_turn(void **state)
{
    struct holder h = {{NULL}, NULL, {NULL}};
    h2o_iovec_t room;
    h2o_buffer_init(&h.field, &h2o_socket_buffer_prototype);
    while ((room = h2o_buffer_reserve(&h.field, 4096)).len > 0) {
        h.field->size += room.len;
        assert_true(h.field->size <= 32 << 10);
    }
    assert_non_null(room.base); /* none for now is not out of memory */
    assert_true(h.field->size > (32 << 10) - 4096);
    body_guard_frame(0, 0); /* a frame of DATA of that size has its room */
    assert_true(h2o_buffer_reserve(&h.field, 4096).len >= 4096);
    h2o_buffer_consume(&h.field, h.field->size / 2);
    for (int i = 0; i < 20; i++) { /* and header blocks: libh2o writes there without looking */
        body_guard_frame(i == 0 ? 1 : 9, 0);
        h2o_iovec_t block = h2o_buffer_reserve(&h.field, 4096);
        assert_true(block.len >= 4096);
        memset(block.base, 'h', 4096);
        h.field->size += 4096;
    }
    h2o_buffer_dispose(&h.field);
}

static void past_the_limit_large_ones_are_refused_small_ones_a_quarter_later(void **state)
{
    struct holder h[400] = {{{NULL}, NULL, {NULL}}};
    uint64_t cut = counters_get(s->counters, COUNTER_cut_body_memory);
    size_t count = 0;
    for (size_t i = 0; i < 2; i++)
        h2o_buffer_init(&h[i].field, &h2o_socket_buffer_prototype);
    while (s->body_memory.own < LIMIT - (1 << 20))
        add(&h[0].field, 65536, 'a');
    for (;; h[1].field->size += 65536)
        if (h2o_buffer_reserve(&h[1].field, 65536).base == NULL)
            break;
    assert_true(s->body_memory.own <= LIMIT);
    assert_int_equal(counters_get(s->counters, COUNTER_cut_body_memory), cut + 1);
    assert_true(timeout_is_set(&s->refusing));
    for (count = 2; count < 400; count++) { /* DATA frames of 16 KiB on new streams */
        h2o_buffer_init(&h[count].field, &h2o_socket_buffer_prototype);
        body_guard_frame(0, 0);
        if (h2o_buffer_reserve(&h[count].field, 16384).base == NULL)
            break;
        h[count].field->size += 16384;
    }
    assert_true(s->body_memory.own > LIMIT && s->body_memory.own <= LIMIT + LIMIT / 4);
    body_guard_frame(1, 0); /* a header block must have its room, once */
    assert_non_null(h2o_buffer_reserve(&h[2].field, 16384).base);
    assert_null(h2o_buffer_reserve(&h[2].field, 64 << 10).base);
    body_guard_frame(9, 0);
    assert_non_null(h2o_buffer_reserve(&h[2].field, 64 << 10).base);
    assert_non_null(h2o_buffer_reserve(&h[count].field, 4096).base); /* a first room that no frame is behind */
    for (size_t i = 0; i <= count; i++)
        h2o_buffer_dispose(&h[i].field);
    assert_int_equal(s->body_memory.own, 0);
}

static uint32_t charged(uint64_t peer)
{
    uint64_t has = peers_add(&s->body_memory.peers, peer, 1);
    peers_remove(&s->body_memory.peers, peer, 1);
    return (uint32_t)has - 1;
}

/* Frames of DATA are an address's; the room that its buffers have is counted, whatever their size, and given back. */
static void an_address_has_its_share_and_gets_it_back(void **state)
{
    struct holder h[300] = {{{NULL}, NULL, {NULL}}}, grown = {{NULL}, NULL, {NULL}};
    h2o_buffer_init(&grown.field, &h2o_socket_buffer_prototype);
    uint64_t cut = counters_get(s->counters, COUNTER_cut_body_memory_per_ip), room = 0;
    size_t count = 0;
    body_memory_share(&s->body_memory, LIMIT / 4);
    for (; count < 300; count++) {
        size_t len = (size_t[]){0, 1, 1024, 8192, 9000, 16384}[count % 6]; /* 8192 is libh2o's own first size */
        h2o_buffer_init(&h[count].field, &h2o_socket_buffer_prototype);
        body_guard_frame(0, 7);
        if (h2o_buffer_reserve(&h[count].field, len).base == NULL)
            break;
        memset(h[count].field->bytes, 'x', len);
        h[count].field->size += len;
        room += h[count].field->capacity;
    }
    assert_true(count < 300 && room > LIMIT / 4 && room <= LIMIT / 4 + LIMIT / 16);
    assert_int_equal(s->body_memory.own, room);
    assert_true(charged(7) >= room >> 10 && charged(7) <= (room >> 10) + count);
    assert_int_equal(counters_get(s->counters, COUNTER_cut_body_memory_per_ip), cut + 1);
    assert_int_equal(charged(8), 0);
    body_guard_frame(0, 8);
    h2o_buffer_init(&h[count].field, &h2o_socket_buffer_prototype);
    assert_non_null(h2o_buffer_reserve(&h[count].field, 16384).base); /* another's goes on, */
    for (int i = 0; i < 40; i++) {
        body_guard_frame(0, 8);
        add(&h[count].field, 16384, 'y'); /* and grows, and is his to the end */
    }
    for (int i = 0; i < 8; i++) { /* past the size of libh2o's own */
        body_guard_frame(0, 9);
        add(&grown.field, 1024, 'z');
        assert_int_equal(charged(9), (grown.field->capacity + 1023) >> 10);
    }
    h2o_buffer_dispose(&grown.field);
    assert_int_equal(charged(9), 0);
    assert_true(charged(8) == h[count].field->capacity >> 10);
    for (size_t i = 0; i <= count; i++)
        h2o_buffer_dispose(&h[i].field);
    assert_int_equal(charged(7), 0);
    assert_int_equal(charged(8), 0);
    assert_int_equal(s->body_memory.own, 0);
    body_memory_share(&s->body_memory, LIMIT);
}

/* It was nobody's while nobody knew whose it is; what it has counts as well, then. */
static void what_was_nobodys_is_charged_as_soon_as_its_address_is_known(void **state)
{
    struct holder h = {{NULL}, NULL, {NULL}};
    h2o_buffer_init(&h.field, &h2o_socket_buffer_prototype);
    body_memory_share(&s->body_memory, LIMIT / 4);
    body_guard_frame(0, 0);
    add(&h.field, 16384, 'a');
    body_guard_frame(0, 7);
    add(&h.field, 16384, 'b');
    assert_int_equal(charged(7), (h.field->capacity + 1023) >> 10);
    size_t had = h.field->capacity;
    h.field->size = had; /* as good as full */
    body_guard_frame(0, 7);
    assert_null(h2o_buffer_reserve(&h.field, LIMIT / 2).base);
    assert_int_equal(charged(7), (had + 1023) >> 10);
    h2o_buffer_dispose(&h.field);
    assert_int_equal(charged(7), 0);
    assert_int_equal(s->body_memory.own, 0);
    body_memory_share(&s->body_memory, LIMIT);
}

/* libh2o cannot be refused room for one in the middle of it, so it is asked before each of its frames. */
static void header_blocks_are_their_senders(void **state)
{
    struct holder h[100] = {{{NULL}, NULL, {NULL}}};
    uint64_t cut = counters_get(s->counters, COUNTER_cut_body_memory_per_ip);
    size_t count = 0;
    body_memory_share(&s->body_memory, LIMIT / 4);
    for (; count < 100 && body_guard_block(7, 16384); count++) {
        h2o_buffer_init(&h[count].field, &h2o_socket_buffer_prototype);
        body_guard_frame(1, 7);
        add(&h[count].field, 100, 'a');
        body_guard_frame(9, 7);
        add(&h[count].field, 16384, 'b');
    }
    assert_true(count >= 40 && count < 100);
    assert_int_equal(charged(7), s->body_memory.own >> 10);
    assert_true(s->body_memory.own <= LIMIT / 4 + LIMIT / 16 + 65536);
    assert_int_equal(counters_get(s->counters, COUNTER_cut_body_memory_per_ip), cut + 1);
    assert_true(body_guard_block(8, 16384));
    assert_int_equal(charged(8), 0); /* it was asked only */
    for (size_t i = 0; i < count; i++)
        h2o_buffer_dispose(&h[i].field);
    assert_int_equal(charged(7), 0);
    assert_int_equal(s->body_memory.own, 0);
    body_memory_share(&s->body_memory, LIMIT);
}

static void buffers_of_others_are_not_counted(void **state)
{
    static h2o_buffer_prototype_t other = {.allocator = {.max = 16}, ._initial_buf = {.capacity = 8192}};
    struct holder h = {{NULL}, NULL, {NULL}};
    h2o_buffer_init(&h.field, &other);
    add(&h.field, 100000, 'x');
    assert_int_equal(s->body_memory.own, 0);
    h2o_buffer_dispose(&h.field);
    assert_int_equal(s->body_memory.own, 0);
}

/* libh2o does not free a queue that it has destroyed. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:h2o_multithread_create_queue";
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_library_calls_ours_and_gives_all_back),
        cmocka_unit_test(a_buffer_keeps_its_bytes_and_is_counted),
        cmocka_unit_test(a_fast_sender_over_tls_lets_others_have_a_turn),
        cmocka_unit_test(past_the_limit_large_ones_are_refused_small_ones_a_quarter_later),
        cmocka_unit_test(an_address_has_its_share_and_gets_it_back),
        cmocka_unit_test(what_was_nobodys_is_charged_as_soon_as_its_address_is_known),
        cmocka_unit_test(header_blocks_are_their_senders),
        cmocka_unit_test(buffers_of_others_are_not_counted),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
