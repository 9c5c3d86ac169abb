/*
 * Promises of the HTTP client about what it takes and whom it blames: bodies of requests and lookups are bounded,
 * before anything is sent; a host has failed only where it had its time; what this process lacks is no host's fault.
 */
#include "httpc_setting.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>

#define MANY 100

static struct httpc_call *calls[MANY];
static struct result results[MANY];

/* Starts so many of the same. */
static void start(const struct httpc_request *request, const struct httpc_events *events, int count)
{
    memset(results, 0, sizeof(results));
    for (int i = 0; i < count; i++)
        calls[i] = httpc_start(client, request, events, &results[i]);
}

static void pass_for(dur_t time)
{
    mono_t end = mono_add(mono_now(), time);
    while (mono_before(mono_now(), end))
        loop_pass(loop, DUR_MS(10));
}

static int cancel_all(int count)
{
    int cancelled = 0;
    for (int i = 0; i < count; i++)
        if (results[i].ends == 0) {
            httpc_cancel(&calls[i]);
            cancelled++;
        }
    assert_int_equal(httpc_calls(client), 0);
    return cancelled;
}

/* --- memory ------------------------------------------------------------------------------------------------------ */

static struct httpc_request post_of(const char *body, size_t len)
{
    struct httpc_request request = request_of("127.0.0.1", "/silent");
    request.method = SLICE("POST");
    request.body = (struct slice){body, len};
    request.concurrency = 1; /* the others wait for their turn */
    return request;
}

static void bodies_are_bounded_before_anything_is_sent(void **state)
{
    static char body[200 << 10];
    struct httpc_request request = post_of(body, sizeof(body));
    memset(body, 'x', sizeof(body));
    start(&request, &whole, 10); /* the client was given 1 MiB, of which an eighth is for replies */
    pass_for(DUR_MS(50));
    for (int i = 0; i < 10; i++) {
        assert_int_equal(results[i].ends, i < 4 ? 0 : 1);
        if (i < 4)
            continue;
        assert_int_equal(results[i].code, HTTPC_BUSY);
        assert_false(results[i].sent);
        assert_non_null(strstr(results[i].words, "no memory for the request"));
    }
    assert_int_equal(cancel_all(10), 4);
    struct httpc_request other = request_of("127.0.0.1", "/");
    other.method = SLICE("POST");
    other.body = SLICE("x");
    assert_int_equal(ask(&other).code, HTTPC_OK); /* the room is there again, and the host is not to blame */
}

static void a_body_that_its_owner_keeps_counts_where_he_says_so(void **state)
{
    static char body[800 << 10];
    struct httpc_request request = post_of(body, sizeof(body));
    request.body_stays = true;
    assert_true(httpc_hold(client, sizeof(body)));
    assert_false(httpc_hold(client, sizeof(body)));
    start(&request, &whole, 3); /* what stays is counted by its owner, or lies somewhere else */
    pass_for(DUR_MS(50));
    assert_int_equal(cancel_all(3), 3);
    request.body_stays = false;
    assert_int_equal(ask(&request).code, HTTPC_BUSY);
    httpc_unhold(client, sizeof(body));
    start(&request, &whole, 1);
    pass_for(DUR_MS(50));
    assert_int_equal(cancel_all(1), 1);
}

/* --- who has failed ---------------------------------------------------------------------------------------------- */

static void short_timeouts_blame_no_host(void **state)
{
    struct httpc_request request = request_of("127.0.0.1", "/silent");
    request.timeout = DUR_MS(5);
    for (int i = 0; i < 15; i++)
        assert_int_equal(ask(&request).code, HTTPC_TIMEOUT);
    request = request_of("127.0.0.1", "/stream");
    request.max_body = SIZE_MAX;
    request.idle = DUR_MS(1);
    expect_code("127.0.0.1", false, HTTPC_OK);
}

static void timeouts_of_a_second_do(void **state)
{
    struct httpc_request request = request_of("127.0.0.1", "/silent");
    request.timeout = HTTPC_FAIR;
    start(&request, &whole, 10);
    for (int i = 0; i < 10; i++) {
        wait_for(&results[i]);
        assert_int_equal(results[i].code, HTTPC_TIMEOUT);
    }
    expect_code("127.0.0.1", false, HTTPC_CIRCUIT_OPEN);
}

/* The time that was spent waiting for a turn, at a host that others keep busy, is not the host's. */
static void who_had_no_turn_blames_nobody(void **state)
{
    struct httpc_request request = request_of("127.0.0.1", "/silent");
    request.concurrency = 1;
    struct result first = {0};
    struct httpc_call *holder = httpc_start(client, &request, &whole, &first);
    request.timeout = HTTPC_FAIR;
    start(&request, &whole, 12);
    for (int i = 0; i < 12; i++) {
        wait_for(&results[i]);
        assert_int_equal(results[i].code, HTTPC_TIMEOUT);
    }
    httpc_cancel(&holder);
    expect_code("127.0.0.1", false, HTTPC_OK);
}

static void a_cancel_at_the_deadline_is_a_timeout_of_the_host(void **state)
{
    struct httpc_request request = request_of("127.0.0.1", "/silent");
    request.until = mono_add(mono_now(), DUR_MS(1100));
    start(&request, &whole, 10);
    pass_for(DUR_MS(1050));
    assert_int_equal(cancel_all(10), 10); /* a client that left, say */
    expect_code("127.0.0.1", false, HTTPC_OK);
    request = request_of("127.0.0.1", "/silent");
    request.until = mono_add(mono_now(), DUR_MS(1100));
    start(&request, &whole, 10);
    pass_for(DUR_MS(1200));
    assert_int_equal(cancel_all(10), 10);
    expect_code("127.0.0.1", false, HTTPC_CIRCUIT_OPEN);
}

static void a_host_whose_header_came_owes_nothing_to_who_reads_slowly(void **state)
{
    struct httpc_request request = request_of("127.0.0.1", "/stream");
    request.max_body = SIZE_MAX;
    request.until = mono_add(mono_now(), DUR_MS(1100));
    start(&request, &streamed, 10);
    for (int i = 0; i < 10; i++)
        results[i].hold = true;
    pass_for(DUR_MS(1200));
    for (int i = 0; i < 10; i++)
        assert_int_equal(results[i].pieces, 1);
    assert_int_equal(cancel_all(10), 10);
    expect_code("127.0.0.1", false, HTTPC_OK);
}

static void expect_all(int count, enum httpc_code code)
{
    for (int i = 0; i < count; i++) {
        wait_for(&results[i]);
        assert_int_equal(results[i].code, code);
    }
}

/* However its body goes on: silence and a break have other reasons, and are no matter of who asks next. */
static void a_host_whose_header_came_has_answered(void **state)
{
    struct httpc_request request = request_of("127.0.0.1", "/quiet");
    request.idle = HTTPC_FAIR;
    start(&request, &streamed, 10);
    expect_all(10, HTTPC_TIMEOUT);
    expect_code("127.0.0.1", false, HTTPC_OK);
    request = request_of("127.0.0.1", "/quiet");
    request.timeout = HTTPC_FAIR;
    start(&request, &whole, 10);
    expect_all(10, HTTPC_TIMEOUT);
    expect_code("127.0.0.1", false, HTTPC_OK);
    request = request_of("127.0.0.1", "/half-said");
    start(&request, &whole, 10);
    expect_all(10, HTTPC_CLOSED);
    expect_code("127.0.0.1", false, HTTPC_OK);
}

static void fail_times(int count)
{
    struct httpc_request request = request_of("127.0.0.1", "/gone");
    for (int i = 0; i < count; i++)
        assert_int_equal(ask(&request).code, HTTPC_CLOSED);
}

/* A stream that goes on, and has begun. */
static void begin_stream(void)
{
    struct httpc_request request = request_of("127.0.0.1", "/quiet");
    start(&request, &streamed, 1);
    mono_t end = mono_add(mono_now(), PATIENCE);
    while (results[0].pieces == 0 && results[0].ends == 0 && mono_before(mono_now(), end))
        loop_pass(loop, DUR_MS(20));
    assert_int_equal(results[0].pieces, 1);
}

static void a_stream_that_its_reader_leaves_was_a_success(void **state)
{
    fail_times(OUTBOUND_FAILURES - 1);
    begin_stream();
    assert_int_equal(cancel_all(1), 1);
    fail_times(1);
    expect_code("127.0.0.1", false, HTTPC_OK);
}

static void a_probe_is_over_with_the_header(void **state)
{
    fail_times(OUTBOUND_FAILURES);
    expect_code("127.0.0.1", false, HTTPC_CIRCUIT_OPEN);
    pass_for(OUTBOUND_OPEN_LEAST);
    begin_stream();
    expect_code("127.0.0.1", false, HTTPC_OK); /* which goes on meanwhile */
    assert_int_equal(cancel_all(1), 1);
    fail_times(OUTBOUND_FAILURES - 1);
    expect_code("127.0.0.1", false, HTTPC_OK);
}

/* --- lookups ----------------------------------------------------------------------------------------------------- */

static int descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int count = 0;
    assert_non_null(dir);
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

static void while_lookups_are_less_than(int count)
{
    mono_t end = mono_add(mono_now(), PATIENCE);
    while (lookups < count && mono_before(mono_now(), end))
        pass_for(DUR_MS(10));
    assert_int_equal(lookups, count);
}

static void lookups_are_bounded_those_of_ended_requests_too(void **state)
{
    struct httpc_request request = request_of("stuck.test", "/");
    int before = descriptors();
    start(&request, &whole, 64);
    while_lookups_are_less_than(64);
    struct httpc_request other = request_of("plain.test", "/");
    struct result r = ask(&other);
    assert_int_equal(r.code, HTTPC_BUSY);
    assert_non_null(strstr(r.words, "64 names are being looked up"));
    expect_code("127.0.0.1", false, HTTPC_OK); /* nothing to look up */
    expect_code("[::ffff:127.0.0.1]", false, HTTPC_OK);
    assert_int_equal(cancel_all(64), 64);
    expect_code("plain.test", false, HTTPC_BUSY); /* their threads are still there */
    assert_int_equal(lookups, 64);
    released = true;
    mono_t end = mono_add(mono_now(), PATIENCE);
    enum httpc_code code;
    do {
        pass_for(DUR_MS(10));
        other = request_of("plain.test", "/");
        code = ask(&other).code;
    } while (code == HTTPC_BUSY && mono_before(mono_now(), end));
    assert_int_equal(code, HTTPC_OK);
    assert_int_equal(lookups, 65); /* who was refused was not looked up, and nobody was blamed */
    while (came_back < 64 && mono_before(mono_now(), end))
        nap(10);
    pass_for(DUR_MS(300));
    assert_true(descriptors() <= before + 2 * 3); /* both ends of three kept connections */
    released = false;
    request = request_of("stuck.test", "/");
    start(&request, &whole, 64); /* there is room for as many again */
    while_lookups_are_less_than(65 + 64);
    cancel_all(64);
    released = true;
    nap(500); /* the threads come to their ends: nothing of it is left for the sanitizer */
}

static void lookups_that_end_make_room(void **state)
{
    for (int round = 0; round < 3; round++) {
        struct httpc_request request = request_of("none.test", "/");
        start(&request, &whole, 60);
        for (int i = 0; i < 60; i++) {
            wait_for(&results[i]);
            assert_true(results[i].code == HTTPC_DNS || results[i].code == HTTPC_CIRCUIT_OPEN);
        }
    }
    struct httpc_request request = request_of("plain.test", "/");
    start(&request, &whole, 60);
    for (int i = 0; i < 60; i++) {
        wait_for(&results[i]);
        assert_int_equal(results[i].code, HTTPC_OK);
    }
}

/* A client that goes while threads still look up. */
static void the_end_does_not_wait_for_lookups(void **state)
{
    struct httpc_request request = request_of("stuck.test", "/");
    start(&request, &whole, 8);
    while_lookups_are_less_than(8);
    cancel_all(8);
    httpc_free(&client);
    assert_int_equal(came_back, 0);
    released = true;
    nap(500);
}

/* --- what this process lacks ------------------------------------------------------------------------------------- */

static void a_process_without_descriptors_blames_no_host(void **state)
{
    struct rlimit before, few;
    static int held[1024];
    int count = 0;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = (struct rlimit){.rlim_cur = 512, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    while (count < 1024 && (held[count] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
        count++;
    assert_int_equal(errno, EMFILE);
    struct result by_number[12], by_name[12];
    for (int i = 0; i < 12; i++) {
        struct httpc_request request = request_of("127.0.0.1", "/");
        by_number[i] = ask(&request);
        request = request_of("plain.test", "/");
        by_name[i] = ask(&request);
    }
    while (count > 0)
        close(held[--count]);
    setrlimit(RLIMIT_NOFILE, &before);
    for (int i = 0; i < 12; i++) {
        assert_int_equal(by_number[i].code, HTTPC_BUSY);
        assert_non_null(strstr(by_number[i].words, "no connection can be opened from here (Too many open files)"));
        assert_int_equal(by_name[i].code, HTTPC_BUSY);
    }
    expect_code("127.0.0.1", false, HTTPC_OK);
    expect_code("plain.test", false, HTTPC_OK);
}

/* --- replies ----------------------------------------------------------------------------------------------------- */

static void a_redirect_is_followed_whatever_becomes_of_its_body(void **state)
{
    static const char *const paths[] = {"/half-moved", "/bad-moved"};
    for (size_t i = 0; i < 2; i++) {
        struct httpc_request request = request_of("127.0.0.1", paths[i]);
        int before = connections;
        request.redirects = 5;
        struct result r = ask(&request);
        assert_int_equal(r.code, HTTPC_OK);
        assert_int_equal(r.status, 200);
        assert_string_equal(r.body, "ok");
        assert_int_equal(connections, before + 2); /* its own is not used again */
        request.redirects = 0;
        assert_int_not_equal(ask(&request).code, HTTPC_OK); /* as the reply itself it is none */
    }
}

static void another_protocol_is_no_reply(void **state)
{
    struct httpc_request request = request_of("127.0.0.1", "/switch");
    for (int i = 0; i < 2; i++) {
        struct result r = {0};
        httpc_start(client, &request, i == 0 ? &whole : &streamed, &r);
        wait_for(&r);
        assert_int_equal(r.code, HTTPC_BAD_RESPONSE);
        assert_non_null(strstr(r.words, "101"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bodies_are_bounded_before_anything_is_sent),
        TEST(a_body_that_its_owner_keeps_counts_where_he_says_so),
        TEST(short_timeouts_blame_no_host),
        TEST(timeouts_of_a_second_do),
        TEST(who_had_no_turn_blames_nobody),
        TEST(a_cancel_at_the_deadline_is_a_timeout_of_the_host),
        TEST(a_host_whose_header_came_owes_nothing_to_who_reads_slowly),
        TEST(a_host_whose_header_came_has_answered),
        TEST(a_stream_that_its_reader_leaves_was_a_success),
        TEST(a_probe_is_over_with_the_header),
        TEST(lookups_are_bounded_those_of_ended_requests_too),
        TEST(lookups_that_end_make_room),
        TEST(the_end_does_not_wait_for_lookups),
        TEST(a_process_without_descriptors_blames_no_host),
        TEST(a_redirect_is_followed_whatever_becomes_of_its_body),
        TEST(another_protocol_is_no_reply),
    };
    serve_begin();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
