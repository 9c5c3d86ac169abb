/*
 * test_content.c: codings are taken off in the reverse order of the header, within a bound, and only once; what is
 * unpacked is counted, and given back.
 */
#include "base/buf.h"
#include "base/panic.h"
#include "http/content.h"
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on

static struct http_header headers[80];
static struct http_request view;
static struct content content;

/* zlib's own packer; bits as deflateInit2 has them. */
static char *pack(const char *text, size_t len, int bits, size_t *len_out)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
    size_t room = deflateBound(&z, len);
    char *packed = need_alloc(room);
    z.next_in = (Bytef *)text;
    z.avail_in = (uInt)len;
    z.next_out = (Bytef *)packed;
    z.avail_out = (uInt)room;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    *len_out = room - z.avail_out;
    deflateEnd(&z);
    return packed;
}

static void coded(const char *coding)
{
    headers[view.header_count++] = (struct http_header){SLICE("content-encoding"), slice_of(coding)};
}

static void new_body(struct slice body, const char *coding)
{
    content_free(&content);
    view = (struct http_request){.headers = headers, .body = body};
    if (coding != NULL)
        coded(coding);
}

static void gives(struct body_memory *memory, const char *text)
{
    assert_int_equal(content_read(&content, &view, 1000, memory, 0), 0);
    assert_true(slice_equal(content_bytes(&content, &view), slice_of(text)));
    assert_int_equal(content_read(&content, &view, 0, memory, 0), 0); /* not again */
}

static void fails(int status, const char *words)
{
    assert_int_equal(content_read(&content, &view, 1000, NULL, 0), -1);
    assert_int_equal(content.status, status);
    if (strstr(content.words, words) == NULL)
        print_message("said: %s\n", content.words);
    assert_non_null(strstr(content.words, words));
    assert_int_equal(content_read(&content, &view, 1000, NULL, 0), -1);
}

static void codings_come_off(void **state)
{
    size_t len, twice;
    char *gzip = pack("text", 4, 31, &len), *deflate = pack("text", 4, 15, &twice);
    new_body(SLICE("text"), NULL);
    gives(NULL, "text");
    assert_ptr_equal(content_bytes(&content, &view).at, view.body.at);
    new_body(SLICE("text"), " Identity ,, identity");
    gives(NULL, "text");
    new_body(SLICE_NONE, "gzip"); /* nothing was sent: nothing to unpack */
    gives(NULL, "");
    new_body((struct slice){gzip, len}, "GZIP");
    gives(NULL, "text");
    new_body((struct slice){gzip, len}, "identity, x-gzip");
    gives(NULL, "text");
    new_body((struct slice){deflate, twice}, "deflate");
    gives(NULL, "text");
    free(deflate);
    deflate = pack(gzip, len, -15, &twice);
    new_body((struct slice){deflate, twice}, "gzip");
    coded("deflate"); /* a second line goes on with the list */
    gives(NULL, "text");
    new_body((struct slice){deflate, twice}, "deflate, gzip");
    fails(400, "compressed content is corrupt");
    free(deflate);
    free(gzip);
}

static void others_are_refused(void **state)
{
    new_body(SLICE("x"), "br");
    fails(415, "not known");
    new_body(SLICE("x"), "gzip, zstd");
    fails(415, "not known");
    new_body(SLICE("x"), "gzip, gzip, gzip");
    fails(415, "too many content codings");
    new_body(SLICE("x"), NULL);
    for (int i = 0; i < 64; i++)
        coded("gzip");
    fails(415, "too many content codings");
    new_body(SLICE("x"), "deflate");
    fails(400, "the body's compressed content ");
}

static void a_bomb_meets_the_bound(void **state)
{
    size_t len;
    char *zeros = need_zero(1, 4 << 20), *gzip = pack(zeros, 4 << 20, 31, &len);
    assert_true(len < 5000);
    new_body((struct slice){gzip, len}, "gzip");
    fails(413, "too large when it is unpacked");
    content_free(&content);
    assert_int_equal(content_read(&content, &view, 4 << 20, NULL, 0), 0);
    assert_int_equal(content_bytes(&content, &view).len, 4 << 20);
    content_free(&content);
    assert_int_equal(content_read(&content, &view, (4 << 20) - 1, NULL, 0), -1);
    assert_int_equal(content.status, 413);
    free(zeros);
    free(gzip);
}

static void what_is_unpacked_is_counted(void **state)
{
    struct area *area = need_zero(1, sizeof(*area));
    struct body_memory memory;
    size_t len;
    char *zeros = need_zero(1, 1 << 20), *gzip = pack(zeros, 1 << 20, 31, &len);
    atomic_store(&area->used, 3);
    body_memory_open(&memory, area, 1, 2 << 20);
    new_body((struct slice){gzip, len}, "gzip");
    assert_int_equal(content_read(&content, &view, 1 << 20, &memory, 0), 0);
    assert_int_equal(atomic_load(&area->body_memory[1]), 1 << 20);
    content_free(&content);
    assert_int_equal(atomic_load(&area->body_memory[1]), 0);
    atomic_store(&area->body_memory[2], (1 << 20) + 1); /* another worker's */
    assert_int_equal(content_read(&content, &view, 1 << 20, &memory, 0), -1);
    assert_int_equal(content.status, 503);
    assert_int_equal(atomic_load(&area->body_memory[1]), 0);
    content_free(&content);
    free(zeros);
    free(gzip);
    free(area);
}

static uint64_t charged(struct body_memory *m, uint64_t peer)
{
    uint64_t has = peers_add(&m->peers, peer, 1);
    peers_remove(&m->peers, peer, 1);
    return has - 1;
}

/* Of its address, which has a body on its way already. */
static void what_is_unpacked_is_in_its_address_s_share(void **state)
{
    struct area *area = need_zero(1, sizeof(*area));
    struct body_memory memory;
    struct body_charge other = {.peer = 7};
    size_t len, twice;
    char *zeros = need_zero(1, 1 << 20), *gzip = pack(zeros, 1 << 20, 31, &len), *again = pack(gzip, len, 31, &twice);
    atomic_store(&area->used, 1);
    body_memory_open(&memory, area, 0, 16 << 20);
    body_memory_share(&memory, 2 << 20);
    assert_true(body_memory_charge(&memory, &other, (1 << 20) - 2048, 0));
    new_body((struct slice){gzip, len}, "gzip");
    assert_int_equal(content_read(&content, &view, 1 << 20, &memory, 7), 0);
    assert_int_equal(charged(&memory, 7), other.kib + 1024);
    assert_true(body_memory_charge(&memory, &other, (1 << 20) + 8192, BODY_MEMORY_MUST));
    new_body((struct slice){gzip, len}, "gzip");
    assert_int_equal(charged(&memory, 7), other.kib);
    assert_int_equal(content_read(&content, &view, 1 << 20, &memory, 7), -1);
    assert_int_equal(content.status, 503);
    assert_true(content.past_share);
    assert_int_equal(charged(&memory, 7), other.kib);
    assert_int_equal(memory.own, 0);
    new_body((struct slice){gzip, len}, "gzip");
    assert_int_equal(content_read(&content, &view, 1 << 20, &memory, 8), 0); /* another's */
    new_body((struct slice){again, twice}, "gzip");
    coded("gzip");
    body_memory_discharge(&memory, &other, (1 << 20) - 2048);
    assert_int_equal(content_read(&content, &view, 1 << 20, &memory, 7), 0); /* of both codings one is left */
    assert_int_equal(charged(&memory, 7), other.kib + 1024);
    content_free(&content);
    assert_int_equal(charged(&memory, 7), other.kib);
    assert_int_equal(memory.own, 0);
    free(zeros);
    free(gzip);
    free(again);
    free(area);
}

static void the_limit_holds_for_all_together_and_lies_are_bounded(void **state)
{
    struct area *area = need_zero(1, sizeof(*area));
    struct body_memory one, two;
    atomic_store(&area->used, 3);
    body_memory_open(&one, area, 0, 100);
    body_memory_open(&two, area, 2, 100);
    const uint64_t large = BODY_MEMORY_SMALL + 1, small = BODY_MEMORY_SMALL;
    assert_true(body_memory_take(&one, 60, large));
    assert_false(body_memory_take(&two, 41, large));
    assert_true(body_memory_take(&two, 40, large));
    assert_false(body_memory_take(&two, 1, large));
    assert_false(body_memory_take(&two, 26, small)); /* a quarter more for what is small */
    assert_true(body_memory_take(&two, 25, small));
    body_memory_give(&two, 25);
    assert_int_equal(body_memory_sum(&one), 100);
    body_memory_add(&two, 50);
    assert_int_equal(body_memory_sum(&two), 150);
    body_memory_give(&two, 90);
    atomic_store(&area->body_memory[1], UINT64_MAX); /* a lie does not run over into "nothing is held" */
    assert_int_equal(body_memory_sum(&one), 160);
    assert_false(body_memory_take(&two, 1, small));
    assert_int_equal(two.own, 0);
    assert_true(body_memory_take(NULL, 1, 1));
    free(area);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codings_come_off),
        cmocka_unit_test(others_are_refused),
        cmocka_unit_test(a_bomb_meets_the_bound),
        cmocka_unit_test(what_is_unpacked_is_counted),
        cmocka_unit_test(what_is_unpacked_is_in_its_address_s_share),
        cmocka_unit_test(the_limit_holds_for_all_together_and_lies_are_bounded),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    content_free(&content);
    return failed;
}
