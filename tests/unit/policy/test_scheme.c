/*
 * Promise: a scheme's data, executed, lets in what the provider signed and refuses everything else with the reason.
 * Expectations: GitHub's documented vector, Standard Webhooks' published vector, and HMACs computed with openssl(1).
 */
#include "base/buf.h"
#include "policy/payload.h"
#include "policy/scheme.h"
#include "request.h"
#include <stdio.h>

static const struct scheme_spec github = {.name = "github",
                                          .algorithm = DIGEST_SHA256,
                                          .headers = {{"X-Hub-Signature-256", 19}},
                                          .header_count = 1,
                                          .prefix = {"sha256=", 7},
                                          .payload = {"{body}", 6}};
static const struct scheme_spec stripe = {
    .name = "stripe",
    .algorithm = DIGEST_SHA256,
    .headers = {{"stripe-signature", 16}},
    .header_count = 1,
    .pairs = ',',
    .field = {"v1", 2},
    .payload = {"{field:t}.{body}", 16},
    .timestamp = {.at = {"field:t", 7}, .unit = TIMESTAMP_SECONDS, .past = {300000000000}}};
static const struct scheme_spec standard = {.name = "standard",
                                            .algorithm = DIGEST_SHA256,
                                            .headers = {{"webhook-signature", 17}},
                                            .header_count = 1,
                                            .list = ' ',
                                            .prefix = {"v1,", 3},
                                            .encoding = SCHEME_BASE64,
                                            .payload = {"{header:webhook-id}.{header:webhook-timestamp}.{body}", 53},
                                            .key = {SCHEME_KEY_BASE64, SCHEME_KEY_BASE64, {"whsec_", 6}},
                                            .timestamp = {.at = {"header:webhook-timestamp", 24},
                                                          .unit = TIMESTAMP_SECONDS,
                                                          .past = {300000000000},
                                                          .future = {300000000000}}};

static struct scheme *scheme_of(const struct scheme_spec *spec, const char *secret)
{
    struct error err = {""};
    struct scheme *s = scheme_new(spec, &err);
    assert_string_equal(err.text, "");
    assert_non_null(s);
    if (secret != NULL)
        assert_int_equal(scheme_keys_add(s, scheme_own_keys(s), slice_of(secret), &err), 0);
    return s;
}

static void add(struct scheme *s, const char *secret)
{
    struct error err;
    assert_int_equal(scheme_keys_add(s, scheme_own_keys(s), slice_of(secret), &err), 0);
}

static const char *reason(struct scheme *s, struct request *r, int64_t now, int *index)
{
    return policy_reason_name(scheme_check(s, scheme_own_keys(s), &r->http, at_second(now), index));
}

/* --- GitHub: docs.github.com, validating webhook deliveries, "Testing the webhook payload validation" --- */

#define GITHUB_SECRET "It's a Secret to Everybody"
#define GITHUB_HEX "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"

static const char *github_reason(const char *body, const char *secret, const char *header)
{
    struct request r;
    int index;
    struct scheme *s = scheme_of(&github, secret);
    request_make(&r, body);
    if (header != NULL)
        request_header(&r, "x-hub-signature-256", slice_of(header));
    const char *why = reason(s, &r, 0, &index);
    assert_int_equal(index, strcmp(why, "none") == 0);
    scheme_free(&s);
    return why;
}

static void github_documented_vector_passes(void **state)
{
    assert_string_equal(github_reason("Hello, World!", GITHUB_SECRET, "sha256=" GITHUB_HEX), "none");
    assert_string_equal(github_reason("Hello, World!", GITHUB_SECRET, " sha256=" GITHUB_HEX " "), "none");
}

static void github_empty_body_passes_when_signed(void **state)
{
    /* printf '' | openssl dgst -sha256 -hmac s */
    assert_string_equal(
        github_reason("", "s", "sha256=64eca07cce67929c357d63d0a4aec207e774800403298914fc04e88ce02ac49f"), "none");
}

static void github_refusals_have_their_reason(void **state)
{
    static const struct {
        const char *body, *secret, *header, *reason;
    } cases[] = {
        {"Hello, World?", GITHUB_SECRET, "sha256=" GITHUB_HEX, "bad_signature"},
        {"Hello, World!\n", GITHUB_SECRET, "sha256=" GITHUB_HEX, "bad_signature"},
        {"", GITHUB_SECRET, "sha256=" GITHUB_HEX, "bad_signature"},
        {"Hello, World!", "another secret", "sha256=" GITHUB_HEX, "bad_signature"},
        {"Hello, World!", GITHUB_SECRET, "sha256=657107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
         "bad_signature"},
        {"Hello, World!", GITHUB_SECRET, NULL, "missing_header"},
        {"Hello, World!", GITHUB_SECRET, "", "missing_header"},
        {"Hello, World!", GITHUB_SECRET, "sha256=", "malformed_header"},
        {"Hello, World!", GITHUB_SECRET, "sha256=757107ea", "malformed_header"},
        {"Hello, World!", GITHUB_SECRET, "sha256=" GITHUB_HEX "00", "malformed_header"},
        {"Hello, World!", GITHUB_SECRET, GITHUB_HEX, "malformed_header"},
        {"Hello, World!", GITHUB_SECRET, "sha1=" GITHUB_HEX, "malformed_header"},
        {"Hello, World!", GITHUB_SECRET, "sha256=z57107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
         "malformed_header"},
        {"Hello, World!", NULL, "sha256=" GITHUB_HEX, "no_secret"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(github_reason(cases[i].body, cases[i].secret, cases[i].header), cases[i].reason);
}

/* One valid and one forged header: which of them a proxy or a script would see cannot be known. */
static void duplicated_header_is_refused(void **state)
{
    struct request r;
    int index;
    struct scheme *s = scheme_of(&github, GITHUB_SECRET);
    request_make(&r, "Hello, World!");
    request_header(&r, "x-hub-signature-256", SLICE("sha256=" GITHUB_HEX));
    request_header(&r, "x-hub-signature-256", SLICE("sha256=" GITHUB_HEX));
    assert_string_equal(reason(s, &r, 0, &index), "malformed_header");
    scheme_free(&s);
}

static void huge_and_binary_headers_are_refused(void **state)
{
    static char huge[60000];
    struct request r;
    int index;
    struct scheme *s = scheme_of(&github, GITHUB_SECRET);
    memset(huge, 'a', sizeof huge);
    memcpy(huge, "sha256=", 7);
    request_make(&r, "x");
    request_header(&r, "x-hub-signature-256", (struct slice){huge, sizeof huge});
    assert_string_equal(reason(s, &r, 0, &index), "malformed_header");
    memset(huge + 7, '\0', 64);
    r.headers[0].value.len = 71;
    assert_string_equal(reason(s, &r, 0, &index), "malformed_header");
    scheme_free(&s);
}

static void rotation_says_which_secret_matched(void **state)
{
    struct request r;
    int index;
    struct scheme *s = scheme_of(&github, "new");
    add(s, "middle");
    add(s, GITHUB_SECRET);
    request_make(&r, "Hello, World!");
    request_header(&r, "x-hub-signature-256", SLICE("sha256=" GITHUB_HEX));
    assert_string_equal(reason(s, &r, 0, &index), "none");
    assert_int_equal(index, 3);
    scheme_free(&s);
}

/* --- Stripe: several v1, v0 ignored, 300 s into the past --- */

#define T "1492774577"
/* printf '1492774577.{"id":"evt_1"}' | openssl dgst -sha256 -hmac whsec_test_secret, and with whsec_other */
#define STRIPE_GOOD "799c4ba7bb339f3c8601adfd112f0e477c930a268be1243d341abb8286501c2f"
#define STRIPE_OTHER "7de382fc9d50efc4cbab2272c65bd6bca85a6eb696ebf6d9dfed06b24d0a3ca8"

static const char *stripe_reason(const char *header, int64_t now)
{
    struct request r;
    int index;
    struct scheme *s = scheme_of(&stripe, "whsec_test_secret");
    request_make(&r, "{\"id\":\"evt_1\"}");
    request_header(&r, "stripe-signature", slice_of(header));
    const char *why = reason(s, &r, now, &index);
    scheme_free(&s);
    return why;
}

static void stripe_any_v1_passes_and_v0_never(void **state)
{
    int64_t now = 1492774577;
    assert_string_equal(stripe_reason("t=" T ",v1=" STRIPE_GOOD, now), "none");
    assert_string_equal(stripe_reason("t=" T ", v1=" STRIPE_OTHER ", v1=" STRIPE_GOOD ",v0=00", now), "none");
    assert_string_equal(stripe_reason("v1=" STRIPE_GOOD ",v1=" STRIPE_OTHER ",t=" T, now), "none");
    assert_string_equal(stripe_reason("t=" T ",v1=" STRIPE_OTHER, now), "bad_signature");
    assert_string_equal(stripe_reason("t=" T ",v0=" STRIPE_GOOD, now), "malformed_header");
    assert_string_equal(stripe_reason("t=" T ",v0=" STRIPE_GOOD ",v1=" STRIPE_OTHER, now), "bad_signature");
}

static void stripe_window_is_300_s_into_the_past(void **state)
{
    int64_t now = 1492774577;
    assert_string_equal(stripe_reason("t=" T ",v1=" STRIPE_GOOD, now + 300), "none");
    assert_string_equal(stripe_reason("t=" T ",v1=" STRIPE_GOOD, now + 301), "expired");
    assert_string_equal(stripe_reason("t=" T ",v1=" STRIPE_GOOD, now - 100000), "none");
    assert_string_equal(stripe_reason("t=" T ",v1=" STRIPE_OTHER, now + 301), "bad_signature");
}

static void stripe_malformed_headers(void **state)
{
    static const char *const cases[] = {"v1=" STRIPE_GOOD,
                                        "t=,v1=" STRIPE_GOOD,
                                        "t=abc,v1=" STRIPE_GOOD,
                                        "t=-1492774577,v1=" STRIPE_GOOD,
                                        "t=99999999999999999999,v1=" STRIPE_GOOD,
                                        "t=" T ",t=1492774578,v1=" STRIPE_GOOD,
                                        "t=" T,
                                        "t=" T ",v1",
                                        "t=" T ",v1=",
                                        ",,,,",
                                        "="};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(stripe_reason(cases[i], 1492774577), "malformed_header");
}

/* --- Standard Webhooks: the vector published with the specification's libraries --- */

#define STANDARD_SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define STANDARD_ID "msg_p5jXN8AQM9LWM0D4loKWxJek"
#define STANDARD_TS "1614265330"
#define STANDARD_SIG "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
#define STANDARD_BODY "{\"test\": 2432232314}"

static const char *standard_reason(const char *id, const char *ts, const char *signature, int64_t now)
{
    struct request r;
    int index;
    struct scheme *s = scheme_of(&standard, STANDARD_SECRET);
    request_make(&r, STANDARD_BODY);
    if (id != NULL)
        request_header(&r, "webhook-id", slice_of(id));
    if (ts != NULL)
        request_header(&r, "webhook-timestamp", slice_of(ts));
    request_header(&r, "webhook-signature", slice_of(signature));
    const char *why = reason(s, &r, now, &index);
    scheme_free(&s);
    return why;
}

static void standard_vector_passes_within_the_window(void **state)
{
    int64_t now = 1614265330;
    assert_string_equal(standard_reason(STANDARD_ID, STANDARD_TS, "v1," STANDARD_SIG, now), "none");
    assert_string_equal(standard_reason(STANDARD_ID, STANDARD_TS, "v1," STANDARD_SIG, now + 300), "none");
    assert_string_equal(standard_reason(STANDARD_ID, STANDARD_TS, "v1," STANDARD_SIG, now - 300), "none");
    assert_string_equal(standard_reason(STANDARD_ID, STANDARD_TS, "v1," STANDARD_SIG, now + 301), "expired");
    assert_string_equal(standard_reason(STANDARD_ID, STANDARD_TS, "v1," STANDARD_SIG, now - 301), "expired");
}

static void standard_takes_any_v1_of_the_list(void **state)
{
    int64_t now = 1614265330;
    const char *other = "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc=";
    char list[300];
    snprintf(list, sizeof list, "%s v2,%s v1,%s", other, STANDARD_SIG, STANDARD_SIG);
    assert_string_equal(standard_reason(STANDARD_ID, STANDARD_TS, list, now), "none");
    snprintf(list, sizeof list, "%s v1a,%s", other, STANDARD_SIG);
    assert_string_equal(standard_reason(STANDARD_ID, STANDARD_TS, list, now), "bad_signature");
    assert_string_equal(standard_reason(STANDARD_ID, STANDARD_TS, "v2," STANDARD_SIG, now), "malformed_header");
    assert_string_equal(standard_reason(STANDARD_ID, STANDARD_TS, STANDARD_SIG, now), "malformed_header");
}

static void standard_needs_all_its_headers(void **state)
{
    int64_t now = 1614265330;
    assert_string_equal(standard_reason(NULL, STANDARD_TS, "v1," STANDARD_SIG, now), "missing_header");
    assert_string_equal(standard_reason("", STANDARD_TS, "v1," STANDARD_SIG, now), "missing_header");
    assert_string_equal(standard_reason(STANDARD_ID, NULL, "v1," STANDARD_SIG, now), "missing_header");
    assert_string_equal(standard_reason(STANDARD_ID, "soon", "v1," STANDARD_SIG, now), "malformed_header");
    assert_string_equal(standard_reason("msg_other", STANDARD_TS, "v1," STANDARD_SIG, now), "bad_signature");
}

static void standard_secret_must_be_base64_after_its_prefix(void **state)
{
    struct error err;
    struct scheme *s = scheme_of(&standard, NULL);
    struct scheme_keys *keys = scheme_own_keys(s);
    assert_int_equal(scheme_keys_add(s, keys, SLICE("whsec_not base64!"), &err), -1);
    assert_string_equal(err.text, "is not base64 after 'whsec_'");
    assert_int_equal(scheme_keys_add(s, keys, SLICE("whsec_"), &err), -1);
    assert_int_equal(keys->count, 0);
    assert_int_equal(scheme_keys_add(s, keys, SLICE("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), &err), 0);
    scheme_free(&s);
}

/* --- the vocabulary of the other providers --- */

/* Persona's rotation: groups of pairs parted by a space, each with a time of its own. */
static void groups_of_pairs_have_payloads_of_their_own(void **state)
{
    struct scheme_spec persona = stripe;
    struct request r;
    int index;
    persona.list = ' ';
    struct scheme *s = scheme_of(&persona, "whsec_test_secret");
    request_make(&r, "{\"id\":\"evt_1\"}");
    request_header(&r, "stripe-signature", SLICE("t=1492774500,v1=" STRIPE_GOOD " t=" T ",v1=" STRIPE_GOOD));
    assert_string_equal(reason(s, &r, 1492774577, &index), "none");
    r.headers[0].value = SLICE("t=1492774500,v1=" STRIPE_GOOD " t=1,v1=" STRIPE_GOOD);
    assert_string_equal(reason(s, &r, 1492774577, &index), "bad_signature");
    /* past the fourth group nothing is computed */
    r.headers[0].value = SLICE("t=1,v1=" STRIPE_OTHER " t=1,v1=" STRIPE_OTHER " t=1,v1=" STRIPE_OTHER
                               " t=1,v1=" STRIPE_OTHER " t=" T ",v1=" STRIPE_GOOD);
    assert_string_equal(reason(s, &r, 1492774577, &index), "bad_signature");
    scheme_free(&s);
}

/* Box: a primary and a secondary header, either may match. */
static void one_of_several_headers_is_enough(void **state)
{
    struct scheme_spec box = github;
    struct request r;
    int index;
    box.headers[0] = SLICE("primary");
    box.headers[1] = SLICE("secondary");
    box.header_count = 2;
    struct scheme *s = scheme_of(&box, GITHUB_SECRET);
    request_make(&r, "Hello, World!");
    assert_string_equal(reason(s, &r, 0, &index), "missing_header");
    request_header(&r, "primary", SLICE("sha256=" STRIPE_GOOD));
    assert_string_equal(reason(s, &r, 0, &index), "bad_signature");
    request_header(&r, "secondary", SLICE("sha256=" GITHUB_HEX));
    assert_string_equal(reason(s, &r, 0, &index), "none");
    scheme_free(&s);
}

/* The bytes that a template gives, one behind the other. */
static void assembled(const char *template, const struct request *r, const char *expected)
{
    struct payload p;
    struct error err;
    struct slice parts[PAYLOAD_PARTS_MAX];
    struct buf all = {0};
    assert_int_equal(payload_compile(slice_of(template), &p, &err), 0);
    assert_int_equal(payload_assemble(&p, &r->http, NULL, NULL, parts), REASON_none);
    for (size_t i = 0; i < p.count; i++)
        buf_add_slice(&all, parts[i]);
    assert_string_equal(buf_text(&all), expected);
    buf_free(&all);
    payload_free(&p);
}

/* Twilio, Square, HubSpot: the URL is what the sender calls, whatever proxies have made of it. */
static void a_url_is_the_one_that_its_sender_knows(void **state)
{
    const struct http_published published = {SLICE("https://hooks.example.com/base"), SLICE("https"),
                                             SLICE("hooks.example.com")};
    struct request r;
    struct payload p;
    struct error err;
    request_make(&r, "body");
    r.http.scheme = SLICE("http");
    r.http.authority = SLICE("127.0.0.1:8080");
    r.http.raw_path = SLICE("/a%20b/");
    assembled("{url}", &r, "http://127.0.0.1:8080/a%20b/");
    r.http.query = SLICE("x=1&y");
    assembled("{method}{url}{body}", &r, "POSThttp://127.0.0.1:8080/a%20b/?x=1&ybody");
    r.http.query = SLICE("");
    r.http.scheme = SLICE("https");
    assembled("{url}.", &r, "https://127.0.0.1:8080/a%20b/?.");
    r.http.published = &published;
    assembled("{url}", &r, "https://hooks.example.com/base/a%20b/?");
    assert_int_equal(payload_compile(SLICE("{url:x}"), &p, &err), -1);
    assert_int_equal(payload_compile(SLICE("{url}{url}{url}{url}"), &p, &err), -1);
    assert_string_equal(err.text, "more than 16 parts");
}

static void impossible_schemes_say_why(void **state)
{
    static const struct {
        const char *payload, *timestamp, *words;
    } cases[] = {
        {"{body", "", "payload: a single '{': write it twice to mean itself"},
        {"}", "", "payload: a single '}': write it twice to mean itself"},
        {"{bodyy}", "", "payload: 'bodyy' is no place (known: body, method, path, query, url, header:NAME)"},
        {"{header:}", "", "payload: '' is no name"},
        {"static", "", "payload: nothing of the request is in it: it would sign every request alike"},
        {"{field:t}.{body}", "", "payload: the signature header has no fields"},
        {"{body}", "header:x-time",
         "timestamp: {header:x-time} is not in payload, so it is not signed and protects nothing"},
        {"{body}", "body", "timestamp: 'body' must be header:NAME"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct scheme_spec spec = github;
        struct error err;
        spec.payload = slice_of(cases[i].payload);
        spec.timestamp.at = slice_of(cases[i].timestamp);
        assert_null(scheme_new(&spec, &err));
        assert_string_equal(err.text, cases[i].words);
    }
}

static void key_forms(void **state)
{
    struct scheme_spec spec = github;
    struct error err;
    struct request r;
    int index;
    request_make(&r, "Hello, World!");
    request_header(&r, "x-hub-signature-256", SLICE("sha256=" GITHUB_HEX));
    spec.key.form = spec.key.bare = SCHEME_KEY_HEX; /* the hex of GitHub's text */
    struct scheme *s = scheme_of(&spec, "4974277320612053656372657420746f204576657279626f6479");
    assert_string_equal(reason(s, &r, 0, &index), "none");
    assert_int_equal(scheme_keys_add(s, scheme_own_keys(s), SLICE("xyz"), &err), -1);
    scheme_free(&s);
    spec.key.form = SCHEME_KEY_BASE64; /* OpenAI: without the prefix, the text itself */
    spec.key.bare = SCHEME_KEY_UTF8;
    spec.key.prefix = SLICE("whsec_");
    s = scheme_of(&spec, GITHUB_SECRET);
    assert_string_equal(reason(s, &r, 0, &index), "none");
    scheme_free(&s);
    s = scheme_of(&spec, "whsec_SXQncyBhIFNlY3JldCB0byBFdmVyeWJvZHk=");
    assert_string_equal(reason(s, &r, 0, &index), "none");
    scheme_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(github_documented_vector_passes),
        cmocka_unit_test(github_empty_body_passes_when_signed),
        cmocka_unit_test(github_refusals_have_their_reason),
        cmocka_unit_test(duplicated_header_is_refused),
        cmocka_unit_test(huge_and_binary_headers_are_refused),
        cmocka_unit_test(rotation_says_which_secret_matched),
        cmocka_unit_test(stripe_any_v1_passes_and_v0_never),
        cmocka_unit_test(stripe_window_is_300_s_into_the_past),
        cmocka_unit_test(stripe_malformed_headers),
        cmocka_unit_test(standard_vector_passes_within_the_window),
        cmocka_unit_test(standard_takes_any_v1_of_the_list),
        cmocka_unit_test(standard_needs_all_its_headers),
        cmocka_unit_test(standard_secret_must_be_base64_after_its_prefix),
        cmocka_unit_test(groups_of_pairs_have_payloads_of_their_own),
        cmocka_unit_test(one_of_several_headers_is_enough),
        cmocka_unit_test(a_url_is_the_one_that_its_sender_knows),
        cmocka_unit_test(impossible_schemes_say_why),
        cmocka_unit_test(key_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
