/*
 * fuzz_signature.c: signature headers and bodies from strangers (one a line, the body last) against the schemes of
 * GitHub, Stripe and Standard Webhooks: nothing that was not signed is ever genuine.
 */
#include "fuzz.h"
#include "policy/scheme.h"

#define HEADERS 8

static const struct scheme_spec specs[] = {
    {.name = "github",
     .headers = {SLICE("x-hub-signature-256")},
     .header_count = 1,
     .prefix = SLICE("sha256="),
     .payload = SLICE("{body}")},
    {.name = "stripe",
     .headers = {SLICE("stripe-signature")},
     .header_count = 1,
     .pairs = ',',
     .field = SLICE("v1"),
     .payload = SLICE("{field:t}.{body}"),
     .timestamp = {.at = SLICE("field:t"), .unit = TIMESTAMP_SECONDS, .past = DUR_S(300)}},
    {.name = "standard",
     .headers = {SLICE("webhook-signature")},
     .header_count = 1,
     .list = ' ',
     .prefix = SLICE("v1,"),
     .encoding = SCHEME_BASE64,
     .payload = SLICE("{header:webhook-id}.{header:webhook-timestamp}.{body}"),
     .timestamp = {.at = SLICE("header:webhook-timestamp"), .past = DUR_S(300), .future = DUR_S(300)}},
};
enum { SCHEMES = sizeof(specs) / sizeof(specs[0]) };

static struct scheme **schemes(void)
{
    static struct scheme *made[SCHEMES]; /* once in a process: the fuzzer calls millions of times */
    for (size_t i = 0; i < SCHEMES && made[i] == NULL; i++) {
        struct error err;
        made[i] = scheme_new(&specs[i], &err);
        CHECK(made[i] != NULL);
        CHECK(scheme_keys_add(made[i], scheme_own_keys(made[i]), SLICE("a secret that no input knows"), &err) == 0);
    }
    return made;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct slice names[] = {SLICE("x-hub-signature-256"), SLICE("stripe-signature"),
                                         SLICE("webhook-signature"), SLICE("webhook-id"), SLICE("webhook-timestamp")};
    struct slice all = fuzz_copy(data, size), rest = all;
    struct http_header headers[HEADERS];
    struct http_request request = {.method = SLICE("POST"), .path = SLICE("/a"), .raw_path = SLICE("/a")};
    for (size_t i = 0; i < HEADERS && slice_find(rest, '\n') != SIZE_MAX; i++) {
        size_t which = i < 5 ? i : i - 5; /* some stand twice */
        headers[request.header_count++] = (struct http_header){names[which], slice_trim(fuzz_part(&rest, '\n'))};
    }
    request.headers = headers;
    request.body = rest;
    for (size_t i = 0; i < SCHEMES; i++) {
        struct scheme *s = schemes()[i];
        int index = 0;
        enum reason form = scheme_check_form(s, &request);
        enum reason why = scheme_check(s, scheme_own_keys(s), &request, (wall_t){1700000000LL * 1000000000}, &index);
        CHECK(why != REASON_none && why != REASON_expired && why != REASON_no_secret);
        CHECK(form == REASON_none || form == why);
    }
    free((void *)all.at);
    return 0;
}
