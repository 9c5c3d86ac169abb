/*
 * Promises of addresses: each has one value and one text, whatever form it came in.
 */
#include "codec/ip.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void texts_are_read_and_written(void **state)
{
    static const struct {
        const char *from, *to;
    } cases[] = {
        {"0.0.0.0", "0.0.0.0"},
        {"9.10.99.100", "9.10.99.100"},
        {"255.255.255.255", "255.255.255.255"},
        {"::", "::"},
        {"::1", "::1"},
        {"2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
        {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
        {"::ffff:192.0.2.1", "192.0.2.1"},
        {"::FFFF:c000:0201", "192.0.2.1"},
        {"0:0:0:0:0:ffff:192.0.2.1", "192.0.2.1"},
        {"::192.0.2.1", "::192.0.2.1"},
        {"64:ff9b::192.0.2.1", "64:ff9b::c000:201"},
        {"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ip ip, again;
        struct sockaddr_storage address;
        char room[IP_TEXT];
        assert_true(ip_parse(slice_of(cases[i].from), &ip));
        assert_string_equal(ip_text(&ip, room).at, cases[i].to);
        assert_int_equal(ip_text(&ip, room).len, strlen(cases[i].to));
        assert_int_equal(ip.kind, strchr(cases[i].to, ':') != NULL ? IP_V6 : IP_V4);
        socklen_t len = ip_to_sockaddr(&ip, 80, &address);
        assert_int_equal(len, ip.kind == IP_V4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
        ip_of_sockaddr((struct sockaddr *)&address, &again);
        assert_true(ip_equal(&ip, &again));
    }
}

static void what_is_none_is_not_read(void **state)
{
    static const char *const bad[] = {
        "",
        "1",
        "1.2.3",
        "1.2.3.4.5",
        "256.0.0.1",
        "01.2.3.4",
        "1.2.3.4 ",
        " 1.2.3.4",
        "1.2.3.4/8",
        "[::1]",
        "::1%lo",
        "fe80::1%eth0",
        ":",
        ":::",
        "1:2:3:4:5:6:7:8:9",
        "12345::",
        "0x7f.1",
        "unix:",
        "unknown",
        "::ffff:1.2.3.4.5",
        "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.2555",
    };
    struct ip ip;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(ip_parse(slice_of(bad[i]), &ip));
    assert_false(ip_parse(SLICE_NONE, &ip));
    assert_false(ip_parse(SLICE("1.2.3.4\0"), &ip));
}

static void a_peer_of_both_families_is_its_ipv4_address(void **state)
{
    struct sockaddr_in6 from = {.sin6_family = AF_INET6};
    struct ip ip;
    char room[IP_TEXT];
    assert_int_equal(inet_pton(AF_INET6, "::ffff:10.1.2.3", &from.sin6_addr), 1);
    ip_of_sockaddr((struct sockaddr *)&from, &ip);
    assert_int_equal(ip.kind, IP_V4);
    assert_string_equal(ip_text(&ip, room).at, "10.1.2.3");
}

static void who_has_no_address_has_a_name(void **state)
{
    struct sockaddr_storage from = {.ss_family = AF_UNIX};
    struct ip ip;
    char room[IP_TEXT];
    ip_of_sockaddr((struct sockaddr *)&from, &ip);
    assert_string_equal(ip_text(&ip, room).at, "unix:");
    assert_int_equal(ip_to_sockaddr(&ip, 1, &from), sizeof(sa_family_t));
    assert_int_equal(from.ss_family, AF_UNIX);
    from.ss_family = AF_UNSPEC;
    ip_of_sockaddr((struct sockaddr *)&from, &ip);
    assert_string_equal(ip_text(&ip, room).at, "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_read_and_written),
        cmocka_unit_test(what_is_none_is_not_read),
        cmocka_unit_test(a_peer_of_both_families_is_its_ipv4_address),
        cmocka_unit_test(who_has_no_address_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
