/*
 * Promises of the HTTP client where the network must be wrong in ways that loopback is not: names that resolve to other
 * addresses than before, to several, or not at all and never; connections that others opened; a host that closes. The
 * lookups of libcurl meet this file's getaddrinfo.
 */
#include "httpc_setting.h"
#include "io/timeout.h"

/* --- promises ---------------------------------------------------------------------------------------------------- */

static void addresses_are_judged_after_the_lookup(void **state)
{
    expect_code("plain.test", false, HTTPC_OK);
    expect_code("plain.test", true, HTTPC_ADDRESS_REFUSED);
    expect_code("metadata.test", false, HTTPC_ADDRESS_REFUSED);
    expect_code("mapped.test", false, HTTPC_ADDRESS_REFUSED);
    expect_code("none.test", false, HTTPC_DNS);
    int before = connections;
    expect_code("both.test", false, HTTPC_OK); /* by the other address */
    assert_int_equal(connections, before + 1);
}

/* No spelling of a number gets around it: libcurl reads them as addresses, and the address is what is judged. */
static void spellings_of_numbers_are_judged_as_what_they_are(void **state)
{
    static const char *const loopback[] = {"127.0.0.1",    "2130706433", "0x7f000001", "0x7f.1",
                                           "017700000001", "127.1",      "0177.0.0.1", "[::ffff:7f00:1]",
                                           "127.0.0.1.",   "LOCALHOST",  "x.localhost"};
    static const char *const metadata[] = {"2852039166",         "0xa9fea9fe",    "0251.0376.0251.0376", "169.16689662",
                                           "[::ffff:a9fe:a9fe]", "[::a9fe:a9fe]", "[64:ff9b::a9fe:a9fe]"};
    for (size_t i = 0; i < sizeof(loopback) / sizeof(loopback[0]); i++) {
        struct httpc_request request = request_of(loopback[i], "/");
        request.public_only = true;
        struct result r = ask(&request);
        if (r.code != HTTPC_ADDRESS_REFUSED && r.code != HTTPC_DNS)
            print_message("%s: %s %s\n", loopback[i], httpc_code_name(r.code), r.words);
        assert_true(r.code == HTTPC_ADDRESS_REFUSED || r.code == HTTPC_DNS);
    }
    for (size_t i = 0; i < sizeof(metadata) / sizeof(metadata[0]); i++)
        expect_code(metadata[i], false, HTTPC_ADDRESS_REFUSED);
    assert_int_equal(requests, 0);
}

static void a_name_that_is_bound_anew_does_not_get_in(void **state)
{
    expect_code("rebinds.test", false, HTTPC_OK);
    expect_code("rebinds.test", false, HTTPC_OK); /* on the kept connection */
    assert_int_equal(rebound, 1);
    httpc_free(&client); /* with what it has looked up */
    const struct httpc_host host = {.loop = loop, .rules = &rules, .root = "/", .memory = 1 << 20};
    client = httpc_new(&host);
    expect_code("rebinds.test", false, HTTPC_ADDRESS_REFUSED);
    assert_int_equal(rebound, 2);
    assert_int_equal(requests, 2);
}

static void a_kept_connection_serves_nobody_who_may_less(void **state)
{
    struct httpc_request request = request_of("127.0.0.1", "/");
    assert_int_equal(ask(&request).code, HTTPC_OK);
    assert_int_equal(ask(&request).code, HTTPC_OK);
    assert_int_equal(connections, 1); /* it is kept */
    request.public_only = true;
    struct result r = ask(&request);
    assert_int_equal(r.code, HTTPC_ADDRESS_REFUSED);
    assert_non_null(strstr(r.words, "loopback"));
    assert_false(r.sent);
    assert_int_equal(requests, 2);
}

static void a_lookup_that_hangs_holds_nobody_up(void **state)
{
    struct httpc_request request = request_of("hangs.test", "/");
    struct result slow = {0}, gone = {0};
    request.timeout = DUR_MS(200);
    mono_t begun = mono_now();
    httpc_start(client, &request, &whole, &slow);
    struct httpc_call *cancelled = httpc_start(client, &request, &whole, &gone);
    loop_pass(loop, DUR_MS(0));
    loop_pass(loop, DUR_MS(50));
    mono_t before = mono_now();
    httpc_cancel(&cancelled);
    assert_true(mono_since(mono_now(), before).ns < DUR_MS(1500).ns);
    wait_for(&slow);
    assert_int_equal(slow.code, HTTPC_TIMEOUT);
    assert_int_equal(gone.ends, 0);
    assert_true(mono_since(mono_now(), begun).ns < DUR_MS(2500).ns); /* the lookup takes 3 s */
    assert_int_equal(httpc_calls(client), 0);
    expect_code("plain.test", false, HTTPC_OK);
    nap(3500); /* the threads come to their ends: nothing of it is left for the sanitizer */
}

static void what_cannot_be_repeated_is_sent_once(void **state)
{
    struct httpc_request request = request_of("127.0.0.1", "/drops-second");
    request.repeatable = false;
    request.method = SLICE("POST");
    request.body = SLICE("x");
    assert_int_equal(ask(&request).code, HTTPC_OK);
    struct result r = ask(&request); /* on the kept connection, which ends without a word */
    assert_int_equal(r.code, HTTPC_CLOSED);
    assert_true(r.sent);
    assert_int_equal(requests, 2);
    /* A repeatable one goes out again by itself. */
    assert_int_equal(ask(&request).code, HTTPC_OK);
    request.repeatable = true;
    assert_int_equal(ask(&request).code, HTTPC_OK);
    assert_int_equal(requests, 5);
}

static void handles_are_kept_and_bounded(void **state)
{
    static struct result all[600];
    struct httpc_request request = request_of("127.0.0.1", "/");
    request.concurrency = 16;
    memset(all, 0, sizeof(all));
    for (int i = 0; i < 600; i++)
        httpc_start(client, &request, &whole, &all[i]);
    assert_int_equal(httpc_calls(client), 600);
    for (int i = 0; i < 600; i++) {
        wait_for(&all[i]);
        assert_int_equal(all[i].code, HTTPC_OK);
    }
    assert_int_equal(httpc_calls(client), 0);
    assert_int_equal(httpc_idle(client), 256);
    assert_true(connections <= 16);
    assert_int_equal(ask(&request).code, HTTPC_OK);
    assert_int_equal(httpc_idle(client), 256);
}

static void cancelled_anywhere_leaves_nothing(void **state)
{
    static const char *const hosts[] = {"127.0.0.1", "plain.test"};
    static const char *const paths[] = {"/", "/silent", "/stream"};
    struct result r = {0};
    for (int i = 0; i < 60; i++) {
        struct httpc_request request = request_of(hosts[i % 2], paths[i % 3]);
        request.max_body = SIZE_MAX;
        request.concurrency = i % 5 == 0 ? 1 : 0;
        struct httpc_call *call = httpc_start(client, &request, i % 3 == 2 ? &streamed : &whole, &r);
        for (int passes = 0; passes < i % 7; passes++)
            loop_pass(loop, DUR_MS(1));
        if (r.ends == 0)
            httpc_cancel(&call);
        r = (struct result){0};
    }
    assert_int_equal(httpc_calls(client), 0);
    assert_int_equal(outbound_load(httpc_outbound(client), SLICE("http://127.0.0.1:80")), 0);
    expect_code("127.0.0.1", false, HTTPC_OK);
}

static void a_consumer_that_wants_no_more_holds_the_host_back(void **state)
{
    struct httpc_request request = request_of("127.0.0.1", "/stream");
    struct result r = {.hold = true};
    request.max_body = SIZE_MAX;
    request.idle = DUR_MS(200);
    struct httpc_call *call = httpc_start(client, &request, &streamed, &r);
    mono_t end = mono_add(mono_now(), DUR_S(1));
    while (mono_before(mono_now(), end)) /* longer than may be silence: it does not count while held */
        loop_pass(loop, DUR_MS(20));
    assert_int_equal(r.pieces, 1);
    assert_int_equal(r.ends, 0);
    for (int i = 0; i < 20; i++) {
        size_t before = r.pieces;
        httpc_resume(call);
        mono_t until = mono_add(mono_now(), PATIENCE);
        while (r.pieces == before && mono_before(mono_now(), until))
            loop_pass(loop, DUR_MS(20));
        assert_int_equal(r.pieces, before + 1);
    }
    r.hold = false;
    httpc_resume(call);
    wait_for(&r);
    assert_int_equal(r.code, HTTPC_OK);
    assert_int_equal(r.bytes, 64 * 65536);
}

static void silence_ends_a_stream_that_is_wanted(void **state)
{
    struct httpc_request request = request_of("127.0.0.1", "/silent");
    struct result r = {0};
    request.max_body = SIZE_MAX;
    request.timeout = DUR_MS(200);
    httpc_start(client, &request, &streamed, &r);
    wait_for(&r);
    assert_int_equal(r.code, HTTPC_TIMEOUT);
    assert_non_null(strstr(r.words, "for a reply"));
}

static void all_replies_together_are_bounded(void **state)
{
    static struct result all[20];
    struct httpc_request request = request_of("127.0.0.1", "/stream"); /* 4 MiB; the client was given 1 MiB */
    int busy = 0;
    memset(all, 0, sizeof(all));
    request.max_body = 64 << 20;
    for (int i = 0; i < 20; i++)
        httpc_start(client, &request, &whole, &all[i]);
    for (int i = 0; i < 20; i++) {
        wait_for(&all[i]);
        busy += all[i].code == HTTPC_BUSY;
    }
    assert_int_equal(busy, 20);
    request.max_body = 100 << 10;
    assert_int_equal(ask(&request).code, HTTPC_TOO_LARGE);
    expect_code("127.0.0.1", false, HTTPC_OK);
}

/* A script that asks again whatever comes, on and on: others have their turn in between, its own deadline first. */
static struct {
    int asked;
    uint64_t pass;
    bool twice; /* within one pass of the loop */
    bool over;
    struct timeout deadline;
} again;

static void on_end_ask_again(struct httpc_call *call, void *cookie)
{
    const struct httpc_events events = {.end = on_end_ask_again};
    const struct httpc_request request = {.method = SLICE("GET"), .url = SLICE(""), .timeout = DUR_S(20)};
    assert_int_equal(httpc_reply(call)->code, HTTPC_BAD_URL);
    again.twice = again.twice || again.pass == loop_passes(loop);
    again.pass = loop_passes(loop);
    if (!again.over && ++again.asked < 1000000)
        httpc_start(client, &request, &events, NULL);
}

static void on_again_deadline(struct timeout *t)
{
    again.over = true;
}

static void who_asks_again_and_again_holds_nobody_up(void **state)
{
    const struct httpc_events events = {.end = on_end_ask_again};
    const struct httpc_request request = {.method = SLICE("GET"), .url = SLICE(""), .timeout = DUR_S(20)};
    memset(&again, 0, sizeof(again));
    timeout_set(loop, &again.deadline, mono_add(mono_now(), DUR_MS(20)), on_again_deadline);
    httpc_start(client, &request, &events, NULL);
    mono_t end = mono_add(mono_now(), PATIENCE);
    while (httpc_calls(client) > 0 && mono_before(mono_now(), end))
        loop_pass(loop, DUR_S(10)); /* which nobody waits for: there is news */
    timeout_clear(&again.deadline);
    assert_true(again.over);
    assert_true(again.asked > 10);
    assert_false(again.twice);
    assert_int_equal(httpc_calls(client), 0);
}

static void the_environment_names_no_proxy(void **state)
{
    setenv("http_proxy", "http://127.0.0.1:9", 1);
    setenv("ALL_PROXY", "socks5://127.0.0.1:9", 1);
    expect_code("127.0.0.1", false, HTTPC_OK);
    unsetenv("http_proxy");
    unsetenv("ALL_PROXY");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(addresses_are_judged_after_the_lookup),
        TEST(spellings_of_numbers_are_judged_as_what_they_are),
        TEST(a_name_that_is_bound_anew_does_not_get_in),
        TEST(a_kept_connection_serves_nobody_who_may_less),
        TEST(a_lookup_that_hangs_holds_nobody_up),
        TEST(what_cannot_be_repeated_is_sent_once),
        TEST(handles_are_kept_and_bounded),
        TEST(cancelled_anywhere_leaves_nothing),
        TEST(a_consumer_that_wants_no_more_holds_the_host_back),
        TEST(silence_ends_a_stream_that_is_wanted),
        TEST(all_replies_together_are_bounded),
        TEST(who_asks_again_and_again_holds_nobody_up),
        TEST(the_environment_names_no_proxy),
    };
    serve_begin();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
