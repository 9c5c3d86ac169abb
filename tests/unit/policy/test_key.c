/*
 * test_key.c: the one kind of key: what is none is refused in words that name the nearest; each kind is read where it
 * says; what is missing, or there and empty, is none; a client of IPv6 is its network.
 */
#include "policy/key.h"

#include "codec/json.h"
#include "request.h"

#include <stdio.h>
#include <stdlib.h>

static void parsing_gives_back_what_describing_says(void **unused)
{
    static const char *const texts[] = {"ip",       "auth", "body",  "header:x-api-key",        "query:a b&c=",
                                        "param:id", "/a/b", "/a~1b", "header:x!#$%&'*+-.^_`|~", "query:ip:12",
                                        "/"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct key key;
        struct error err = {""};
        struct buf text = {0};

        if (key_parse(slice_of(texts[i]), &key, &err) != 0)
            fail_msg("%s: %s", texts[i], err.text);
        key_describe(&key, &text);
        assert_string_equal(buf_text(&text), texts[i]);
        key_free(&key);
        assert_null(key.name);
        buf_free(&text);
    }
    struct key key;
    assert_int_equal(key_parse(SLICE("header:X-Api-Key"), &key, NULL), 0);
    assert_string_equal(key.name, "x-api-key");
    key_free(&key);
}

#define EXPECTED                                                                                                   \
    "expected \"ip\", \"auth\", \"body\", \"header:NAME\", \"query:NAME\", \"param:NAME\" or a JSON pointer like " \
    "\"/a/b\""

static void what_is_no_key_is_refused_in_words(void **unused)
{
    static const struct {
        struct slice text;
        const char *words;
    } cases[] = {
        {SLICE("ipp"), "'ipp' is no key (did you mean \"ip\"?): " EXPECTED},
        {SLICE("IP"), "'IP' is no key (did you mean \"ip\"?): " EXPECTED},
        {SLICE("hedaer:x"), "'hedaer:x' is no key (did you mean \"header:\"?): " EXPECTED},
        {SLICE("header"), "'header' is no key (did you mean \"header:\"?): " EXPECTED},
        {SLICE("cookie:x"), "'cookie:x' is no key: " EXPECTED},
        {SLICE(""), "'' is no key: " EXPECTED},
        {SLICE("function"), "'function' is no key: " EXPECTED},
        {SLICE("pointer"), "'pointer' is no key: " EXPECTED},
        {SLICE("ip "), "'ip ' is no key (did you mean \"ip\"?): " EXPECTED},
        {SLICE("ip:1"), "'ip:1' is no key: " EXPECTED},
        {SLICE("header:"), "'header:': the name is missing"},
        {SLICE("header:a b"), "'header:a b': a name has no such characters"},
        {SLICE("param:a/b"), "'param:a/b': a name has no such characters"},
        {SLICE("query:a\0b"), "a key with a NUL byte in it"},
        {SLICE("header:a\0b"), "a key with a NUL byte in it"},
        {SLICE("param:a\0b"), "a key with a NUL byte in it"},
        {SLICE("/a\0b"), "a key with a NUL byte in it"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct key key;
        struct error err = {""};

        assert_int_equal(key_parse(cases[i].text, &key, &err), -1);
        assert_string_equal(err.text, cases[i].words);
        key_free(&key);
    }
    struct key key;
    struct error err = {""};
    assert_int_equal(key_parse(SLICE("/a~2"), &key, &err), -1);
    assert_non_null(strstr(err.text, "'/a~2': "));
}

static struct buf room;

static void expect(const char *text, const struct key_source *from, struct slice wanted)
{
    struct key key;
    struct error err = {""};

    if (key_parse(slice_of(text), &key, &err) != 0)
        fail_msg("%s", err.text);
    struct slice got = key_read(&key, from, &room);
    if (!slice_equal(got, wanted) || (got.at == NULL) != (wanted.at == NULL))
        fail_msg("%s is '%.*s'", text, SLICE_ARG(got));
    key_free(&key);
}

static void a_client_is_its_address_or_its_network(void **unused)
{
    static const struct {
        const char *address;
        struct slice key;
    } cases[] = {
        {"10.1.2.3", SLICE("\x0a\1\2\3")},
        {"2001:db8:1:2:3:4:5:6", SLICE("\x20\1\x0d\xb8\0\1\0\2")},
        {"2001:db8:1:2::1", SLICE("\x20\1\x0d\xb8\0\1\0\2")},
        {"2001:0DB8:1:2:ffff::", SLICE("\x20\1\x0d\xb8\0\1\0\2")},
        {"2001:db8:1:3::1", SLICE("\x20\1\x0d\xb8\0\1\0\3")},
        {"::1", SLICE("\0\0\0\0\0\0\0\0")},
        {"fe80::1", SLICE("\xfe\x80\0\0\0\0\0\0")},
        {"::ffff:10.1.2.3", SLICE("\x0a\1\2\3")},
    };
    struct request r;
    request_make(&r, "");
    struct key_source from = {.http = &r.http};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_true(ip_parse(slice_of(cases[i].address), &r.http.client));
        expect("ip", &from, cases[i].key);
    }
    r.http.client = (struct ip){.kind = IP_UNIX};
    expect("ip", &from, SLICE("unix:"));
}

static void each_is_read_where_it_says(void **unused)
{
    struct slice names[] = {SLICE("id"), SLICE("rest")}, values[] = {SLICE("42"), SLICE("")};
    struct verify_auth auth = {.by = SLICE("api_key"), .index = 2, .subject = SLICE("alice")};
    struct request r;

    request_make(&r, "bytes");
    request_header(&r, "x-api-key", SLICE("\t abc "));
    request_header(&r, "x-api-key", SLICE("second"));
    request_header(&r, "x-empty", SLICE("  "));
    r.http.query = SLICE("a=1&b=x+y%2B%26&a=2&c&d=&%65=decoded&bad=%zz&%zz=bad&alone&alone=late");
    struct key_source from = {
        .http = &r.http, .auth = &auth, .param_names = names, .param_values = values, .param_count = 2};
    expect("header:X-Api-Key", &from, SLICE("abc"));
    expect("header:x-empty", &from, SLICE_NONE);
    expect("header:x-none", &from, SLICE_NONE);
    expect("query:a", &from, SLICE("1"));
    expect("query:b", &from, SLICE("x y+&"));
    expect("query:c", &from, SLICE_NONE);
    expect("query:d", &from, SLICE_NONE);
    expect("query:e", &from, SLICE("decoded"));
    expect("query:bad", &from, SLICE_NONE);
    expect("query:none", &from, SLICE_NONE);
    expect("query:alone", &from, SLICE_NONE); /* the first one counts, as in req.query */
    expect("param:id", &from, SLICE("42"));
    expect("param:rest", &from, SLICE_NONE);
    expect("param:none", &from, SLICE_NONE);
    expect("body", &from, SLICE("bytes"));
    expect("auth", &from, SLICE("api_key\0alice"));
    auth.subject = SLICE_NONE;
    expect("auth", &from,
           SLICE("api_key\0"
                 "2"));
    auth.by = SLICE_NONE;
    expect("auth", &from, SLICE_NONE);
    r.http.query = SLICE_NONE;
    r.http.body = SLICE_NONE;
    from = (struct key_source){.http = &r.http};
    expect("query:a", &from, SLICE_NONE);
    expect("body", &from, SLICE_NONE);
    expect("auth", &from, SLICE_NONE);
    expect("param:id", &from, SLICE_NONE);
    expect("/a", &from, SLICE_NONE);
}

static void a_pointer_reads_scalars(void **unused)
{
    static const char json[] =
        "{\"s\":\"text\",\"e\":\"\",\"i\":-5,\"u\":18446744073709551615,\"big\":123456789012345678901,"
        "\"d\":1.5,\"t\":true,\"f\":false,\"n\":null,\"a\":[\"x\",1],\"o\":{\"p/q\":\"deep\"}}";
    static const char *const cases[][2] = {
        {"/s", "text"},
        {"/e", NULL},
        {"/i", "-5"},
        {"/u", "18446744073709551615"},
        {"/big", "123456789012345678901"},
        {"/d", "1.5"},
        {"/t", "true"},
        {"/f", "false"},
        {"/n", NULL},
        {"/a", NULL},
        {"/a/0", "x"},
        {"/a/1", "1"},
        {"/o", NULL},
        {"/o/p~1q", "deep"},
        {"/none", NULL},
    };
    struct json_reader *reader = json_reader_new();
    struct json_fault fault;
    struct request r;

    request_make(&r, json);
    assert_int_equal(json_parse(reader, slice_of(json), &fault), 0);
    struct key_source from = {.http = &r.http, .json = reader};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expect(cases[i][0], &from, slice_of(cases[i][1]));
    json_reader_free(&reader);
}

static int released;

static void release(void *owner, int ref)
{
    released = ref;
}

static void a_function_is_given_back_once(void **unused)
{
    struct key key = {.kind = KEY_FUNCTION, .function = {.ref = 7, .release = release}};
    struct request r;
    request_make(&r, "x");
    assert_null(key_read(&key, &(struct key_source){.http = &r.http}, &room).at);
    key_free(&key);
    assert_int_equal(released, 7);
    released = 0;
    key_free(&key);
    assert_int_equal(released, 0);
}

static int end(void **state)
{
    buf_free(&room);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parsing_gives_back_what_describing_says),
        cmocka_unit_test(what_is_no_key_is_refused_in_words),
        cmocka_unit_test(a_client_is_its_address_or_its_network),
        cmocka_unit_test(each_is_read_where_it_says),
        cmocka_unit_test(a_pointer_reads_scalars),
        cmocka_unit_test(a_function_is_given_back_once),
    };
    return cmocka_run_group_tests(tests, NULL, end);
}
