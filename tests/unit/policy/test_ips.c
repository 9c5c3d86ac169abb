/*
 * Promises of address sets: an address is in a set exactly where a network of it covers it, whatever the form of
 * either; a text that is no network is refused with words that say what was meant. The oracle is bit by bit.
 */
#include "base/panic.h"
#include "policy/ips.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct ips *make(const char *first, const char *second)
{
    char *texts[] = {(char *)first, (char *)second};
    struct error err;
    struct ips *s = ips_new(texts, second != NULL ? 2 : first != NULL ? 1 : 0, &err);
    if (s == NULL)
        fail_msg("%s", err.text);
    return s;
}

static bool have(const struct ips *s, const char *text)
{
    struct ip ip = {.kind = strcmp(text, "unix:") == 0 ? IP_UNIX : IP_NONE};
    if (ip.kind == IP_NONE && strcmp(text, "unknown") != 0)
        assert_true(ip_parse(slice_of(text), &ip));
    return ips_have(s, &ip);
}

static void networks_cover_what_they_say(void **state)
{
    static const struct {
        const char *network, *in, *out;
    } cases[] = {
        {"192.0.2.1", "192.0.2.1", "192.0.2.2"},
        {"192.0.2.1/32", "192.0.2.1", "192.0.2.0"},
        {"10.0.0.0/8", "10.0.0.0", "11.0.0.0"},
        {"10.0.0.0/8", "10.255.255.255", "9.255.255.255"},
        {"172.16.0.0/12", "172.31.255.255", "172.32.0.0"},
        {"192.0.2.128/25", "192.0.2.128", "192.0.2.127"},
        {"0.0.0.0/0", "255.255.255.255", "::1"},
        {"0.0.0.0/0", "::ffff:1.2.3.4", "::1.2.3.4"},
        {"::/0", "2001:db8::1", "10.0.0.1"},
        {"::/0", "::", "::ffff:10.0.0.1"},
        {"2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"},
        {"2001:db8::1", "2001:db8::1", "2001:db8::2"},
        {"2001:db8::/127", "2001:db8::1", "2001:db8::2"},
        {"fe80::/10", "febf::1", "fec0::1"},
        {"::ffff:10.0.0.0/104", "10.1.2.3", "11.0.0.0"},
        {"::ffff:10.0.0.0/104", "::ffff:10.1.2.3", "::ffff:11.0.0.0"},
        {"::ffff:192.0.2.1", "192.0.2.1", "192.0.2.2"},
        {"::ffff:0:0/96", "1.2.3.4", "::1"},
        {"unix", "unix:", "127.0.0.1"},
        {"unix:", "unix:", "unknown"},
        {"127.0.0.1", "127.0.0.1", "unix:"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ips *s = make(cases[i].network, NULL);
        if (!have(s, cases[i].in) || have(s, cases[i].out))
            fail_msg("%s: %s, %s", cases[i].network, cases[i].in, cases[i].out);
        assert_false(ips_empty(s));
        ips_free(&s);
        assert_null(s);
    }
}

static void an_empty_set_has_nobody(void **state)
{
    struct ips *s = make(NULL, NULL);
    assert_true(ips_empty(s));
    assert_false(have(s, "127.0.0.1") || have(s, "::1") || have(s, "unix:") || have(s, "unknown"));
    ips_free(&s);
    ips_free(&s);
}

static void what_is_no_network_is_refused_in_words(void **state)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"", "\"\": expected an address or a network"},
        {"10.0.0.0/33", "\"10.0.0.0/33\": a prefix of IPv4 has 0 to 32 bits"},
        {"2001:db8::/129", "\"2001:db8::/129\": a prefix of IPv6 has 0 to 128 bits"},
        {"10.0.0.1/8", "write 10.0.0.0/8 for the network, or 10.0.0.1 alone"},
        {"192.0.2.77/26", "write 192.0.2.64/26 for the network, or 192.0.2.77 alone"},
        {"2001:db8::1/32", "write 2001:db8::/32 for the network, or 2001:db8::1 alone"},
        {"1.2.3.4/0", "write 0.0.0.0/0 for the network"},
        {"::ffff:10.0.0.1/104", "write 10.0.0.0/8 for the network, or 10.0.0.1 alone"},
        {"::ffff:10.0.0.0/8", "whose prefix counts from 96 on (10.0.0.0/8 is ::ffff:10.0.0.0/104)"},
        {"10.0.0.0/", "expected a number of bits after '/'"},
        {"10.0.0.0/08", "expected a number of bits after '/'"},
        {"10.0.0.0/-1", "expected a number of bits after '/'"},
        {"10.0.0.0/255.0.0.0", "expected a number of bits after '/'"},
        {"10.0.0.0/8/8", "expected a number of bits after '/'"},
        {"10.0.0.0/99999999999999999999", "expected a number of bits after '/'"},
        {"/8", "expected an address or a network"},
        {"10/8", "expected an address or a network"},
        {"10.0.0.0 /8", "expected an address or a network"},
        {"[::1]", "expected an address or a network"},
        {"fe80::1%lo", "expected an address or a network"},
        {"example.com", "\"example.com\": expected an address or a network"},
        {"*", "every address is \"0.0.0.0/0\" and \"::/0\""},
        {"Unix", "expected an address or a network"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error err = {""}, again = {""};
        char *texts[] = {(char *)"127.0.0.1", (char *)cases[i].text};
        assert_null(ips_new(texts, 2, &err));
        assert_int_equal(ips_check(slice_of(cases[i].text), &again), -1);
        assert_string_equal(err.text, again.text);
        if (strstr(err.text, cases[i].words) == NULL)
            fail_msg("%s: %s", cases[i].text, err.text);
    }
    assert_int_equal(ips_check(SLICE("10.0.0.0/8\0"), NULL), -1);
    assert_int_equal(ips_check(SLICE("unix"), NULL), 0);
}

/* --- many, beside an oracle --- */

static uint32_t random_state = 12345;

static uint32_t random_number(void)
{
    random_state = random_state * 1664525u + 1013904223u;
    return random_state >> 8;
}

struct network {
    unsigned char at[16];
    unsigned prefix;
};

static bool covers(const struct network *n, const unsigned char at[16])
{
    for (unsigned bit = 0; bit < n->prefix; bit++)
        if (((n->at[bit / 8] ^ at[bit / 8]) >> (7 - bit % 8)) & 1)
            return false;
    return true;
}

/* Networks that overlap, nest and touch: the addresses come from a small part of the space. */
static void one_round(enum ip_kind kind, size_t count)
{
    unsigned bytes = kind == IP_V4 ? 4 : 16;
    struct network *all = need_zero(count, sizeof(*all));
    char **texts = need_zero(count, sizeof(*texts));
    for (size_t i = 0; i < count; i++) {
        struct ip ip = {.kind = kind};
        char room[IP_TEXT], text[64];
        all[i].prefix = 8 * bytes - random_number() % 14;
        ip.at[0] = 0x20;
        ip.at[bytes - 2] = (unsigned char)(random_number() % 64);
        ip.at[bytes - 1] = (unsigned char)random_number();
        for (unsigned bit = all[i].prefix; bit < 8 * bytes; bit++)
            ip.at[bit / 8] &= (unsigned char)~(0x80 >> bit % 8);
        memcpy(all[i].at, ip.at, 16);
        ip_text(&ip, room);
        snprintf(text, sizeof(text), "%s/%u", room, all[i].prefix);
        texts[i] = need_strdup(text);
    }
    struct error err;
    struct ips *s = ips_new(texts, count, &err);
    assert_non_null(s);
    for (unsigned i = 0; i < 65 * 256; i++) {
        struct ip ip = {.kind = kind};
        bool expected = false;
        ip.at[0] = 0x20;
        ip.at[bytes - 2] = (unsigned char)(i >> 8);
        ip.at[bytes - 1] = (unsigned char)i;
        for (size_t k = 0; k < count && !expected; k++)
            expected = covers(&all[k], ip.at);
        assert_int_equal(ips_have(s, &ip), expected);
    }
    ips_free(&s);
    for (size_t i = 0; i < count; i++)
        free(texts[i]);
    free(texts);
    free(all);
}

static void many_networks_are_one_set(void **state)
{
    for (size_t i = 0; i < 20; i++) {
        one_round(IP_V4, 1 + i * 10);
        one_round(IP_V6, 1 + i * 10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks_cover_what_they_say),
        cmocka_unit_test(an_empty_set_has_nobody),
        cmocka_unit_test(what_is_no_network_is_refused_in_words),
        cmocka_unit_test(many_networks_are_one_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
