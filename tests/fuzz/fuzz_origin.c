/*
 * fuzz_origin.c: policy/cors on any bytes: "listed LF said LF authority LF headers", as a script lists an origin, a
 * browser says one, and asks for headers. Whatever is allowed is byte by byte what was said; what is listed exactly is
 * only met by itself in another spelling; a wildcard only by what is longer than it.
 */
#include "fuzz.h"
#include "policy/cors.h"

static bool same_letters(struct slice a, struct slice b)
{
    return slice_equal_nocase(a, b);
}

static void check_allowed(struct slice listed, struct slice said)
{
    struct cors_origin a, b;
    if (slice_equal(listed, SLICE("*")) || slice_equal(listed, SLICE("null"))) {
        CHECK(slice_equal(listed, SLICE("*")) || slice_equal(said, listed));
        return;
    }
    CHECK(cors_parse_origin(listed, true, &a) == NULL && cors_parse_origin(said, false, &b) == NULL);
    CHECK(same_letters(a.scheme, b.scheme) && a.port == b.port && !b.below);
    if (a.below)
        CHECK(b.host.len > a.host.len + 1 && b.host.at[b.host.len - a.host.len - 1] == '.');
    else
        CHECK(a.v6 ? b.v6 : same_letters(a.host, b.host));
    for (size_t i = 0; i < said.len; i++) /* it goes into a header */
        CHECK((unsigned char)said.at[i] > ' ' && (unsigned char)said.at[i] < 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = fuzz_copy(data, size), rest = text;
    struct slice listed = fuzz_part(&rest, '\n'), said = fuzz_part(&rest, '\n'), authority = fuzz_part(&rest, '\n');
    struct http_header headers[] = {{SLICE("origin"), said},
                                    {SLICE("access-control-request-method"), SLICE("PUT")},
                                    {SLICE("access-control-request-headers"), rest}};
    struct http_request r = {.method = SLICE("OPTIONS"),
                             .scheme = SLICE("http"),
                             .authority = authority,
                             .headers = headers,
                             .header_count = 3};
    struct cors *c = cors_new();
    struct http_response out;
    struct error err;
    http_response_init(&out);
    if (cors_add_origin(c, listed, &err) == 0) {
        CHECK(cors_add_origin(c, listed, &err) != 0); /* it stands there already */
        enum cors_verdict verdict = cors_judge(c, &r);
        cors_answer(c, &r, &out);
        if (verdict == CORS_ALLOWED) {
            check_allowed(listed, said);
            CHECK(cors_is_preflight(&r));
            if (cors_preflight(c, &r, SLICE("PUT"), &out) == 0)
                CHECK(http_response_has(&out, SLICE("access-control-allow-methods")));
        } else {
            CHECK(!http_response_has(&out, SLICE("access-control-allow-origin")));
        }
        cors_remove(&out);
        CHECK(!http_response_has(&out, SLICE("access-control-allow-origin")));
    } else {
        CHECK(err.text[0] != '\0' && c->count == 0);
    }
    cors_add_header(c, rest, &err);
    http_response_free(&out);
    cors_free(&c);
    free((void *)text.at);
    return 0;
}
