/*
 * fuzz_proxy.c: a request that goes on and a reply that comes back, in parts with a NUL between: path, query, the
 * request's header and the reply's, one field a line. What goes on or back is one URL of the upstream, and fields that
 * end where they say, none of them about its connection.
 */
#include "fuzz.h"
#include "http/proxy.h"

#define FIELDS 24

static void check_text(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        CHECK(((unsigned char)s.at[i] >= ' ' || s.at[i] == '\t') && s.at[i] != 0x7f);
}

static void check_name(struct slice name)
{
    CHECK(name.len > 0 && !proxy_is_of_connection(name) && !slice_equal(name, SLICE("content-length")));
    for (size_t i = 0; i < name.len; i++)
        CHECK(name.at[i] > ' ' && name.at[i] != ':' && name.at[i] != 0x7f);
}

static void check_url(struct slice url)
{
    struct url u;
    CHECK(slice_starts(url, SLICE("http://up:81/v2")) && url_parse(url, &u) == NULL && u.port == 81);
    CHECK(slice_equal(u.host, SLICE("up")) && slice_find(url, '#') == SIZE_MAX && slice_find(url, ' ') == SIZE_MAX);
    check_text(url);
}

static void check_request(const struct proxy_plan *plan, const struct http_request *r)
{
    static struct proxy_room room;
    struct httpc_request made;
    struct proxy_refusal refusal;
    struct trace trace = {.carried = true};
    if (proxy_request(plan, plan->upstreams, r, &trace, &room, &made, &refusal) != 0) {
        CHECK(refusal.status >= 400 && refusal.words != NULL);
        return;
    }
    check_url(made.url);
    for (size_t i = 0; i < made.header_count; i++) {
        check_name(made.headers[i].name);
        check_text(made.headers[i].value);
    }
}

static void check_response(const struct proxy_plan *plan, struct slice head)
{
    struct http_response r;
    struct httpc_reply reply = {.status = 200, .head = head};
    struct error err;
    long long length;
    size_t at = 0;
    http_response_init(&r);
    if (proxy_response(plan, plan->upstreams, &reply, &r, &length, &err) == 0) {
        CHECK(length >= -1);
        for (size_t i = 0; i < r.header_count; i++) {
            struct slice name = {r.bytes.at + at, r.header[i].name_len};
            struct slice value = {name.at + name.len, r.header[i].value_len};
            at += name.len + value.len;
            check_name(name);
            check_text(value);
        }
    }
    http_response_free(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice whole = fuzz_copy(data, size), rest = whole;
    struct http_header headers[FIELDS];
    struct proxy_upstream up = {.origin = "http://up:81", .origin_len = 12};
    struct proxy_plan plan = {.upstreams = &up, .upstream_count = 1, .strip = SLICE("/api")};
    struct http_request r = {.method = SLICE("POST"),
                             .authority = SLICE("a"),
                             .scheme = SLICE("http"),
                             .client = {.kind = IP_V4, .at = {192, 0, 2, 1}},
                             .version = 0x200,
                             .headers = headers};
    CHECK(url_parse(SLICE("http://up:81/v2"), &up.url) == NULL);
    r.raw_path = r.path = fuzz_part(&rest, '\0');
    r.query = fuzz_part(&rest, '\0');
    struct slice fields = fuzz_part(&rest, '\0');
    while (fields.len > 0 && r.header_count < FIELDS) {
        struct slice line = fuzz_part(&fields, '\n'), name = fuzz_part(&line, ':');
        headers[r.header_count++] = (struct http_header){name, line};
        r.header_bytes += name.len + line.len;
    }
    if (r.path.len > 0 && r.path.at[0] == '/')
        check_request(&plan, &r);
    check_response(&plan, rest);
    free((void *)whole.at);
    return 0;
}
