/*
 * fuzz_forwarded.c: header fields of proxies, one a line ("x-forwarded-for: ..."). What a trusted proxy puts behind
 * anything that a client has sent decides alone; what is found lies in the request.
 */
#include "base/buf.h"
#include "fuzz.h"
#include "policy/forwarded.h"

#define FIELDS 16

static struct ips *proxies(void)
{
    static struct ips *all; /* made once */
    char *texts[] = {(char *)"10.0.0.0/8", (char *)"2001:db8:1::/48"};
    if (all == NULL)
        all = ips_new(texts, 2, NULL);
    return all;
}

static bool inside(struct slice s, struct slice text)
{
    return s.at == NULL || (s.at >= text.at && s.at + s.len <= text.at + text.len);
}

/* The client that one field names, with an element of the proxy's behind it. */
static void check_last(struct slice sent, const char *name, const char *element, const char *expected)
{
    struct buf value = {0};
    const char *why;
    struct forwarded found;
    struct ip ip;
    buf_add_slice(&value, sent);
    buf_add_text(&value, element);
    struct http_header field = {slice_of(name), buf_slice(&value)};
    struct http_request req = {.headers = &field, .header_count = 1};
    CHECK(forwarded_read(&req, proxies(), &found, &why) == 0);
    CHECK(ip_parse(slice_of(expected), &ip) && ip_equal(&found.client, &ip));
    buf_free(&value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = fuzz_copy(data, size), rest = text, value;
    struct http_header fields[FIELDS];
    struct http_request req = {.headers = fields};
    struct forwarded found;
    const char *why = NULL;
    while (rest.len > 0 && req.header_count < FIELDS) {
        value = fuzz_part(&rest, '\n');
        struct slice name = fuzz_part(&value, ':');
        fields[req.header_count++] = (struct http_header){name, slice_trim(value)};
    }
    if (forwarded_read(&req, proxies(), &found, &why) != 0) {
        CHECK(why != NULL);
    } else {
        CHECK(found.scheme.at == NULL || slice_equal(found.scheme, SLICE("http")) ||
              slice_equal(found.scheme, SLICE("https")));
        CHECK(inside(found.authority, text));
        for (size_t i = 0; i < found.authority.len; i++)
            CHECK(found.authority.at[i] > ' ' && found.authority.at[i] < 0x7f && found.authority.at[i] != ',');
    }
    check_last(text, "x-forwarded-for", ", 203.0.113.9", "203.0.113.9");
    check_last(text, "x-forwarded-for", ",[2001:db8:2::9]:80", "2001:db8:2::9");
    check_last(text, "forwarded", ", for=203.0.113.9", "203.0.113.9");
    check_last(text, "forwarded", ", by=\"a,b\\\"c\";for=203.0.113.9;proto=https", "203.0.113.9");
    check_last(text, "forwarded", ",for=\"[2001:db8:2::9]:4711\"", "2001:db8:2::9");
    free((void *)text.at);
    return 0;
}
