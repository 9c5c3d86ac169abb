/*
 * Promises of Forwarded and X-Forwarded-*: read from the right, through trusted proxies only; what a client has put
 * into them itself never counts; what cannot be read ends the reading; both kinds at once are refused. Forms: RFC
 * 7239's examples, and what nginx, HAProxy, Envoy, AWS and Azure send.
 */
#include "policy/forwarded.h"
#include "request.h"
#include <stdio.h>

static struct ips *trusted;
static char client[IP_TEXT];
static struct forwarded found;
static const char *why;

static int set_up(void **state)
{
    char *texts[] = {(char *)"10.0.0.0/8", (char *)"2001:db8:1::/48", (char *)"unix"};
    struct error err;
    trusted = ips_new(texts, 3, &err);
    return trusted != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    ips_free(&trusted);
    return 0;
}

/* "name: value|name: value": each a field of its own. The client as text; "-": nobody is named; "!": refused. */
static const char *ask(const char *fields)
{
    struct request r;
    struct slice rest = slice_of(fields), one;
    char names[16][32];
    size_t count = 0;
    request_make(&r, "");
    while (rest.len > 0 && slice_cut(&rest, '|', &one)) {
        struct slice name;
        slice_cut(&one, ':', &name);
        snprintf(names[count], sizeof(names[count]), "%.*s", SLICE_ARG(name));
        request_header(&r, names[count++], slice_trim(one));
    }
    why = NULL;
    if (forwarded_read(&r.http, trusted, &found, &why) != 0)
        return "!";
    assert_null(why);
    return found.client.kind == IP_NONE ? "-" : ip_text(&found.client, client).at;
}

static void is(struct slice s, const char *expected)
{
    if (expected == NULL ? s.at != NULL : !slice_equal(s, slice_of(expected)))
        fail_msg("%.*s is not %s", SLICE_ARG(s), expected != NULL ? expected : "nothing");
}

static void the_first_from_the_right_who_is_no_proxy_is_the_client(void **state)
{
    static const struct {
        const char *fields, *client;
    } cases[] = {
        {"", "-"},
        {"x-forwarded-for: ", "-"},
        {"x-forwarded-for: 203.0.113.9", "203.0.113.9"},
        {"x-forwarded-for: 203.0.113.9, 10.1.2.3", "203.0.113.9"},
        {"x-forwarded-for: 198.51.100.1, 203.0.113.9, 10.1.2.3", "203.0.113.9"},
        {"x-forwarded-for: 10.9.9.9, 203.0.113.9, 10.1.2.3", "203.0.113.9"},
        {"x-forwarded-for: 10.9.9.9, 10.1.2.3", "10.9.9.9"}, /* all are proxies: who began */
        {"x-forwarded-for: 198.51.100.1|x-forwarded-for: 203.0.113.9", "203.0.113.9"},
        {"x-forwarded-for: 203.0.113.9|accept: x|x-forwarded-for: 10.1.2.3,10.1.2.4", "203.0.113.9"},
        {"x-forwarded-for: 203.0.113.9,,", "203.0.113.9"},
        {"x-forwarded-for:\t203.0.113.9 ,\t10.1.2.3\t", "203.0.113.9"},
        {"x-forwarded-for: 2001:db8:2::9, 2001:db8:1::1", "2001:db8:2::9"},
        {"x-forwarded-for: ::ffff:203.0.113.9, ::ffff:10.0.0.1", "203.0.113.9"},
        {"x-forwarded-for: [2001:db8:2::9]:4711", "2001:db8:2::9"},
        {"x-forwarded-for: [2001:db8:2::9]", "2001:db8:2::9"},
        {"x-forwarded-for: 203.0.113.9:4711", "203.0.113.9"},
        {"forwarded: for=203.0.113.9", "203.0.113.9"},
        {"forwarded: For=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17"},
        {"forwarded: for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60"},
        {"forwarded: for=192.0.2.43, for=198.51.100.17", "198.51.100.17"},
        {"forwarded: for=192.0.2.43, for=10.0.0.1", "192.0.2.43"},
        {"forwarded: for=192.0.2.43|forwarded: for=10.0.0.1", "192.0.2.43"},
        {"forwarded: for=192.0.2.43, for=\"[2001:db8:1::1]\"", "192.0.2.43"},
        {"forwarded: FOR=\"192.0.2.43:80\";secret=\"a,b;c\", for=10.0.0.1", "192.0.2.43"},
        {"forwarded: for=192.0.2.43;by=\"x\\\",for=1.2.3.4\", for=10.0.0.1", "192.0.2.43"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (strcmp(ask(cases[i].fields), cases[i].client) != 0)
            fail_msg("%s: %s", cases[i].fields, ask(cases[i].fields));
}

static void what_cannot_be_read_ends_the_reading(void **state)
{
    static const struct {
        const char *fields, *client;
    } cases[] = {
        {"x-forwarded-for: unknown", "-"},
        {"x-forwarded-for: 203.0.113.9, unknown, 10.1.2.3", "10.1.2.3"},
        {"x-forwarded-for: 127.0.0.1, nonsense", "-"},
        {"x-forwarded-for: 1.2.3.4, 10.1.2.3:99999", "-"},
        {"x-forwarded-for: 1.2.3.4, 10.1.2.3:", "-"},
        {"x-forwarded-for: 1.2.3.4, [10.1.2.3]", "-"},
        {"x-forwarded-for: 1.2.3.4, [2001:db8:1::1", "-"},
        {"x-forwarded-for: 1.2.3.4, [2001:db8:1::1]x", "-"},
        {"x-forwarded-for: 1.2.3.4, 10.01.2.3", "-"},
        {"x-forwarded-for: \"1.2.3.4\"", "-"},
        {"x-forwarded-for: 1.2.3.4 10.0.0.1", "-"},
        {"x-forwarded-for: unix:", "-"}, /* a word of ours, and no address */
        {"forwarded: for=unknown", "-"},
        {"forwarded: for=_hidden, for=10.0.0.1", "10.0.0.1"},
        {"forwarded: for=127.0.0.1, for=_SEVKISEK", "-"},
        {"forwarded: for=1.2.3.4, for=\"10.0.0.1", "-"},
        {"forwarded: for=\"1.2.3.4, for=10.0.0.1", "10.0.0.1"}, /* a quote of the client's reaches no further */
        {"forwarded: for=\"x\\\", for=10.0.0.1", "10.0.0.1"},
        {"forwarded: for=1.2.3.4, for=10.0.0.1;for=10.0.0.2", "-"},
        {"forwarded: for=1.2.3.4, for=\"10.0.0.\\1\"", "-"},
        {"forwarded: for=1.2.3.4, for=\"10.0.0.1\"x", "-"},
        {"forwarded: for=1.2.3.4, for=\"", "-"},
        {"forwarded: for=\"10.0.0.11", "-"},
        {"forwarded: for=\"10.0.0.1\\\"", "-"},
        {"forwarded: for=1.2.3.4, for", "-"},
        {"forwarded: for=1.2.3.4, =10.0.0.1", "-"},
        {"forwarded: for=1.2.3.4, for=", "-"},
        {"forwarded: for=1.2.3.4, for=2001:db8:1::1", "-"},
        {"forwarded: for=1.2.3.4, proto=https", "-"},
        {"forwarded: for=\"1.2.3.4:_port\", for=\"10.0.0.1:_obf.port\"", "1.2.3.4"},
        {"forwarded: for=1.2.3.4, for=\"10.0.0.1:_\"", "-"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (strcmp(ask(cases[i].fields), cases[i].client) != 0)
            fail_msg("%s: %s", cases[i].fields, ask(cases[i].fields));
}

static void scheme_and_host_are_those_of_the_clients_hop(void **state)
{
    static const struct {
        const char *fields, *scheme, *authority;
    } cases[] = {
        {"x-forwarded-for: 203.0.113.9", NULL, NULL},
        {"x-forwarded-proto: https|x-forwarded-host: Hooks.example.com:8443", "https", "Hooks.example.com:8443"},
        {"x-forwarded-for: 203.0.113.9|x-forwarded-proto: HTTPS", "https", NULL},
        {"x-forwarded-for: 203.0.113.9, 10.0.0.1|x-forwarded-proto: https, http|x-forwarded-host: a, b", "https", "a"},
        {"x-forwarded-for: 1.1.1.1, 203.0.113.9, 10.0.0.1|x-forwarded-proto: x, https, http", "https", NULL},
        {"x-forwarded-for: 1.1.1.1, 203.0.113.9|x-forwarded-proto: https", "https", NULL},
        {"x-forwarded-for: 203.0.113.9|x-forwarded-proto: http, https|x-forwarded-host: evil, good", "https", "good"},
        {"x-forwarded-proto: ftp", NULL, NULL},
        {"x-forwarded-host: a b", NULL, NULL},
        {"x-forwarded-host: a/b", NULL, NULL},
        {"x-forwarded-host: user@a", NULL, NULL},
        {"x-forwarded-host: a:", NULL, NULL},
        {"x-forwarded-host: a:99999", NULL, NULL},
        {"x-forwarded-host: a:_x", NULL, NULL},
        {"x-forwarded-host: :80", NULL, NULL},
        {"x-forwarded-host: a:b:80", NULL, NULL},
        {"x-forwarded-host: [::1]:80", NULL, "[::1]:80"},
        {"x-forwarded-host: [::1]", NULL, "[::1]"},
        {"x-forwarded-host: [::1", NULL, NULL},
        {"x-forwarded-host: [::1]x:80", NULL, NULL},
        {"x-forwarded-host: [evil]", NULL, NULL},
        {"x-forwarded-host: caf\xc3\xa9", NULL, NULL},
        {"forwarded: for=203.0.113.9;proto=https;host=hooks.example.com", "https", "hooks.example.com"},
        {"forwarded: proto=https;host=\"hooks.example.com:8443\"", "https", "hooks.example.com:8443"},
        {"forwarded: for=1.1.1.1;host=evil, for=203.0.113.9;proto=https", "https", NULL},
        {"forwarded: for=203.0.113.9;proto=https;host=a, for=10.0.0.1;proto=http;host=b", "https", "a"},
        {"forwarded: nonsense, for=10.0.0.1;proto=http;host=b", "http", "b"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (strcmp(ask(cases[i].fields), "!") == 0)
            fail_msg("%s: %s", cases[i].fields, why);
        is(found.scheme, cases[i].scheme);
        is(found.authority, cases[i].authority);
    }
}

/* Nobody knows which one the proxy has set, and what only the other says would count, too. */
static void both_kinds_at_once_are_refused(void **state)
{
    static const char *const cases[] = {
        "forwarded: for=127.0.0.1|x-forwarded-for: 203.0.113.9",
        "x-forwarded-for: 203.0.113.9|forwarded: for=203.0.113.9",
        "forwarded: for=1.1.1.1;proto=http|x-forwarded-for: 1.1.1.1|x-forwarded-proto: https",
        "forwarded: for=unknown;proto=https;host=evil.x|x-forwarded-for: 203.0.113.9",
        "forwarded: proto=https;host=evil.x|x-forwarded-for: 203.0.113.9",
        "forwarded: nonsense|x-forwarded-proto: https",
        "forwarded: |x-forwarded-host: a",
        "forwarded: for=203.0.113.9|x-forwarded-for: ",
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (strcmp(ask(cases[i]), "!") != 0)
            fail_msg("%s: %s", cases[i], ask(cases[i]));
        assert_non_null(why);
        assert_null(found.scheme.at);
        assert_null(found.authority.at);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_from_the_right_who_is_no_proxy_is_the_client),
        cmocka_unit_test(what_cannot_be_read_ends_the_reading),
        cmocka_unit_test(scheme_and_host_are_those_of_the_clients_hop),
        cmocka_unit_test(both_kinds_at_once_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
