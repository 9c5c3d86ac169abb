/*
 * Promises of addresses: the admin listener, link-local and the like are never reached, however an IPv6 address has
 * them inside; private ones are refused on demand, public ones never.
 */
#include "io/address.h"
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *judge(const struct address_rules *rules, const char *ip, int port, bool public_only)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } to = {.any = {.sa_family = AF_INET}};
    if (inet_pton(AF_INET, ip, &to.v4.sin_addr) == 1) {
        to.v4.sin_port = htons((uint16_t)port);
    } else {
        to.any.sa_family = AF_INET6;
        assert_int_equal(inet_pton(AF_INET6, ip, &to.v6.sin6_addr), 1);
        to.v6.sin6_port = htons((uint16_t)port);
    }
    return address_refused(rules, &to.any, public_only);
}

static void some_are_never_reached(void **state)
{
    static const char *const never[] = {
        "169.254.169.254", "169.254.0.1", "0.0.0.0", "0.1.2.3", "224.0.0.1", "239.255.255.255", "240.0.0.1",
        "255.255.255.255", "100.100.100.200", "168.63.129.16", "192.0.0.192", "::", "fe80::1", "febf::1", "ff02::1",
        "fd00:ec2::254", "fd20:ce::254",
        /* the same, inside of others */
        "::ffff:169.254.169.254", "::ffff:0.0.0.0", "::169.254.169.254", "64:ff9b::169.254.169.254",
        "64:ff9b:1::169.254.169.254", "64:ff9b:1:a9fe:a9:fe00::", "2002:a9fe:a9fe::1",
        "2002:a9fe:a9fe::", "::ffff:0:169.254.169.254", "2001:0:a9fe:a9fe::1", "2001:0:808:808:0:0:5601:5601"};
    const struct address_rules rules = {.count = 0};
    for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
        if (judge(&rules, never[i], 80, false) == NULL)
            print_message("%s passes\n", never[i]);
        assert_non_null(judge(&rules, never[i], 80, false));
        assert_non_null(judge(&rules, never[i], 80, true));
    }
}

static void private_ones_are_refused_on_demand(void **state)
{
    static const char *const some[] = {"127.0.0.1",
                                       "127.255.255.254",
                                       "10.0.0.1",
                                       "10.255.255.255",
                                       "172.16.0.1",
                                       "172.31.255.255",
                                       "192.168.0.1",
                                       "192.168.255.255",
                                       "100.64.0.1",
                                       "100.127.255.255",
                                       "192.0.2.1",
                                       "198.18.0.1",
                                       "198.19.255.255",
                                       "198.51.100.1",
                                       "203.0.113.9",
                                       "192.0.0.1",
                                       "::1",
                                       "fc00::1",
                                       "fdff::1",
                                       "fec0::1",
                                       "2001:db8::1",
                                       "64:ff9b:1::808:808",
                                       "64:ff9b:1:808:8:800:808:808",
                                       "100:0:0:1::1",
                                       "2001:2::1",
                                       "2001:10::1",
                                       "3fff::1",
                                       "3fff:fff:ffff::1",
                                       "100::1",
                                       "::ffff:127.0.0.1",
                                       "::ffff:10.0.0.1",
                                       "64:ff9b::10.0.0.1",
                                       "2002:a00:1::1",
                                       "2002:7f00:1::1",
                                       "::127.0.0.1"};
    const struct address_rules rules = {.count = 0};
    for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++) {
        if (judge(&rules, some[i], 80, true) == NULL)
            print_message("%s passes\n", some[i]);
        assert_non_null(judge(&rules, some[i], 80, true));
        assert_null(judge(&rules, some[i], 80, false));
    }
}

static void public_ones_are_reached(void **state)
{
    static const char *const some[] = {
        "1.1.1.1",         "8.8.8.8",         "9.255.255.255",   "11.0.0.1",         "100.63.255.255",
        "100.128.0.1",     "126.255.255.255", "128.0.0.1",       "169.253.255.255",  "169.255.0.0",
        "172.15.255.255",  "172.32.0.1",      "192.167.255.255", "192.169.0.1",      "223.255.255.255",
        "2606:4700::1111", "2a00::1",         "::ffff:8.8.8.8",  "64:ff9b::8.8.8.8", "2002:808:808::1",
        "2400::1",         "64:ff9b:2::1",    "2001:2:1::1",     "3fff:1000::1",     "3ffe::1"};
    const struct address_rules rules = {.count = 0};
    for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++) {
        const char *why = judge(&rules, some[i], 443, true);
        if (why != NULL)
            print_message("%s: %s\n", some[i], why);
        assert_null(why);
    }
}

static void the_admin_listener_is_never_reached(void **state)
{
    struct address_rules rules;
    struct error err;
    assert_int_equal(address_rules_read(SLICE("127.0.0.1:8081 [::1]:8081"), &rules, &err), 0);
    assert_int_equal(rules.count, 2);
    assert_non_null(judge(&rules, "127.0.0.1", 8081, false));
    assert_non_null(judge(&rules, "::ffff:127.0.0.1", 8081, false));
    assert_non_null(judge(&rules, "64:ff9b::127.0.0.1", 8081, false));
    assert_non_null(judge(&rules, "::1", 8081, false));
    assert_null(judge(&rules, "127.0.0.1", 8080, false));
    assert_null(judge(&rules, "127.0.0.2", 8081, false)); /* nobody of ours listens there */
    assert_null(judge(&rules, "10.1.2.3", 8081, false));
}

static void bound_to_every_address_it_is_at_each(void **state)
{
    static const char *const any[] = {"0.0.0.0:9", "[::]:9"};
    struct address_rules rules;
    struct error err;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(address_rules_read(slice_of(any[i]), &rules, &err), 0);
        assert_non_null(judge(&rules, "127.0.0.1", 9, false));
        assert_non_null(judge(&rules, "127.9.9.9", 9, false));
        assert_non_null(judge(&rules, "::1", 9, false));
        assert_null(judge(&rules, "8.8.8.8", 9, false)); /* another machine's */
        assert_null(judge(&rules, "127.0.0.1", 10, false));
    }
}

static void malformed_rules_are_refused(void **state)
{
    static const char *const bad[] = {"x",         "127.0.0.1", "127.0.0.1:",   "127.0.0.1:70000",
                                      "[::1:8081", ":80",       "localhost:80", "127.0.0.1:80  127.0.0.1:81",
                                      "[]:1"};
    struct address_rules rules;
    struct error err;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(address_rules_read(slice_of(bad[i]), &rules, &err), -1);
    assert_int_equal(address_rules_read(SLICE_NONE, &rules, &err), 0);
    assert_int_equal(rules.count, 0);
}

static void what_is_no_internet_address_is_refused(void **state)
{
    const struct address_rules rules = {.count = 0};
    const struct sockaddr local = {.sa_family = AF_UNIX};
    assert_non_null(address_refused(&rules, &local, false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(some_are_never_reached),
        cmocka_unit_test(private_ones_are_refused_on_demand),
        cmocka_unit_test(public_ones_are_reached),
        cmocka_unit_test(the_admin_listener_is_never_reached),
        cmocka_unit_test(bound_to_every_address_it_is_at_each),
        cmocka_unit_test(malformed_rules_are_refused),
        cmocka_unit_test(what_is_no_internet_address_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
