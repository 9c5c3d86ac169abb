/*
 * Promise: trees of verifiers give one verdict, one reason and one identity; nothing forged reaches a function; what is
 * held is let go exactly once.
 */
#include "policy/credential.h"
#include "policy/scheme.h"
#include "policy/verify.h"
#include "request.h"

#define GITHUB_HEX "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"

static struct verifier *hub(const char *secret)
{
    static const struct scheme_spec spec = {.name = "github",
                                            .algorithm = DIGEST_SHA256,
                                            .headers = {{"x-hub-signature-256", 19}},
                                            .header_count = 1,
                                            .prefix = {"sha256=", 7},
                                            .payload = {"{body}", 6}};
    struct verify_facts facts = {"header:x-github-event", "header:x-github-delivery", 202, 1000};
    struct error err;
    struct scheme *s = scheme_new(&spec, &err);
    assert_int_equal(scheme_keys_add(s, scheme_own_keys(s), slice_of(secret), &err), 0);
    struct verifier *v = verify_new_scheme(&s, &facts, (struct verify_function){.release = NULL});
    assert_null(s);
    return v;
}

static struct verifier *known(enum credential_kind kind, const char *place, const char *name, const char *secret)
{
    struct error err;
    struct credential *c = credential_new(kind, slice_of(place), &err);
    assert_int_equal(credential_add(c, slice_of(name), slice_of(secret), &err), 0);
    return verify_new_credential(&c);
}

static void count_release(void *owner, int ref)
{
    *(int *)owner += ref;
}

/* A group that has its children to itself. */
static struct verifier *group(bool any, struct verifier *a, struct verifier *b)
{
    struct verifier *children[] = {a, b};
    struct verifier *v = verify_new_group(any, children, 2);
    verify_release(&a);
    verify_release(&b);
    return v;
}

static void signed_request(struct request *r, const char *body)
{
    request_make(r, body);
    request_header(r, "x-hub-signature-256", SLICE("sha256=" GITHUB_HEX));
}

static struct verify_auth auth;
static enum reason why;

static enum verdict check(const struct verifier *v, const struct request *r)
{
    return verify_check(v, &r->http, at_second(0), &auth, &why);
}

static void a_leaf_says_who(void **state)
{
    struct request r;
    struct verifier *v = hub("It's a Secret to Everybody");
    signed_request(&r, "Hello, World!");
    assert_int_equal(check(v, &r), VERDICT_PASS);
    assert_true(slice_equal(auth.by, SLICE("github")));
    assert_int_equal(auth.index, 1);
    assert_null(auth.subject.at);
    signed_request(&r, "Hello, World?");
    assert_int_equal(check(v, &r), VERDICT_REFUSE);
    assert_int_equal(why, REASON_bad_signature);
    assert_null(auth.by.at);
    assert_string_equal(verify_event_type(v), "header:x-github-event");
    assert_string_equal(verify_delivery(v), "header:x-github-delivery");
    assert_int_equal(verify_ack_status(v), 202);
    assert_int_equal(verify_max_body(v), 1000);
    assert_false(verify_needs_lua(v));
    verify_release(&v);
    assert_null(v);
    verify_release(&v);
}

static void any_lets_in_by_either_and_says_the_furthest_reason(void **state)
{
    struct request r;
    struct verifier *v =
        group(true, hub("It's a Secret to Everybody"), known(CREDENTIAL_API_KEY_HEADER, "x-api-key", "alice", "k"));
    assert_string_equal(verify_describe(v), "any(github, api_key)");
    assert_string_equal(verify_event_type(v), "header:x-github-event");
    assert_int_equal(verify_max_body(v), 1000);
    signed_request(&r, "Hello, World!");
    assert_int_equal(check(v, &r), VERDICT_PASS);
    signed_request(&r, "x");
    assert_int_equal(check(v, &r), VERDICT_REFUSE);
    assert_int_equal(why, REASON_bad_signature); /* though the key, asked later, is merely missing */
    request_header(&r, "x-api-key", SLICE("k"));
    assert_int_equal(check(v, &r), VERDICT_PASS);
    assert_true(slice_equal(auth.by, SLICE("api_key")));
    assert_true(slice_equal(auth.subject, SLICE("alice")));
    request_make(&r, "x");
    assert_int_equal(check(v, &r), VERDICT_REFUSE);
    assert_int_equal(why, REASON_missing_header);
    verify_release(&v);
}

static void all_needs_both_and_knows_the_subject(void **state)
{
    struct request r;
    struct verifier *v = group(false, hub("It's a Secret to Everybody"), known(CREDENTIAL_BEARER, NULL, "ci", "t"));
    assert_string_equal(verify_describe(v), "all(github, bearer)");
    assert_string_equal(verify_challenge(v), "Bearer");
    signed_request(&r, "Hello, World!");
    assert_int_equal(check(v, &r), VERDICT_REFUSE);
    assert_int_equal(why, REASON_missing_credential);
    request_header(&r, "authorization", SLICE("Bearer t"));
    assert_int_equal(check(v, &r), VERDICT_PASS);
    assert_true(slice_equal(auth.subject, SLICE("ci")));
    r.http.body = SLICE("forged");
    assert_int_equal(check(v, &r), VERDICT_REFUSE);
    assert_int_equal(why, REASON_bad_signature);
    verify_release(&v);
}

static void challenges_of_alternatives_stand_in_a_list(void **state)
{
    struct verifier *v =
        group(true, known(CREDENTIAL_BASIC, "here", "u", "p"), known(CREDENTIAL_BEARER, NULL, NULL, "t"));
    assert_string_equal(verify_challenge(v), "Basic realm=\"here\", charset=\"UTF-8\", Bearer");
    assert_null(verify_event_type(v));
    verify_release(&v);
}

static void a_function_is_asked_only_when_it_matters(void **state)
{
    struct request good, forged;
    int released = 0;
    signed_request(&good, "Hello, World!");
    signed_request(&forged, "forged");
    struct verifier *v =
        group(false, verify_new_function(7, count_release, &released), hub("It's a Secret to Everybody"));
    assert_true(verify_needs_lua(v));
    assert_int_equal(verify_kind(v), VERIFY_ALL);
    assert_int_equal(verify_kind(verify_child(v, 0)), VERIFY_FUNCTION);
    assert_int_equal(verify_ref(verify_child(v, 0)), 7);
    assert_int_equal(verify_kind(verify_child(v, 1)), VERIFY_LEAF);
    assert_null(verify_child(v, 2));
    assert_int_equal(check(v, &good), VERDICT_LUA);
    assert_int_equal(check(v, &forged), VERDICT_REFUSE); /* although the function stands first */
    assert_int_equal(why, REASON_bad_signature);
    verify_release(&v);
    assert_int_equal(released, 7);

    v = group(true, verify_new_function(1, count_release, &released), hub("It's a Secret to Everybody"));
    assert_int_equal(check(v, &good), VERDICT_PASS);
    assert_int_equal(check(v, &forged), VERDICT_LUA);
    struct verifier *again = verify_hold(v);
    verify_release(&v);
    assert_int_equal(released, 7);
    verify_release(&again);
    assert_int_equal(released, 8);
}

static void secrets_are_asked_for_only_where_a_signature_is(void **state)
{
    static const struct scheme_spec spec = {.name = "hmac",
                                            .headers = {{"x-sig", 5}},
                                            .header_count = 1,
                                            .algorithm = DIGEST_SHA256,
                                            .payload = {"{body}", 6}};
    struct verify_facts facts = {.event_type = NULL};
    struct request r;
    struct error err;
    int released = 0;
    struct scheme *s = scheme_new(&spec, &err);
    struct verifier *v =
        verify_new_scheme(&s, &facts, (struct verify_function){.ref = 3, .release = count_release, .owner = &released});
    struct slice secrets[] = {SLICE("other"), SLICE("It's a Secret to Everybody")};
    request_make(&r, "Hello, World!");
    assert_int_equal(check(v, &r), VERDICT_REFUSE);
    assert_int_equal(why, REASON_missing_header);
    request_header(&r, "x-sig", SLICE("nonsense"));
    assert_int_equal(check(v, &r), VERDICT_REFUSE);
    assert_int_equal(why, REASON_malformed_header);
    r.headers[0].value = SLICE(GITHUB_HEX);
    assert_int_equal(check(v, &r), VERDICT_LUA);
    assert_int_equal(verify_check_secrets(v, &r.http, at_second(0), secrets, 2, &auth, &why, &err), 0);
    assert_int_equal(why, REASON_none);
    assert_int_equal(auth.index, 2);
    assert_int_equal(verify_check_secrets(v, &r.http, at_second(0), secrets, 1, &auth, &why, &err), 0);
    assert_int_equal(why, REASON_bad_signature);
    assert_int_equal(verify_check_secrets(v, &r.http, at_second(0), secrets, 0, &auth, &why, &err), 0);
    assert_int_equal(why, REASON_no_secret);
    verify_release(&v);
    assert_int_equal(released, 3);
}

static void reasons_have_names_and_statuses(void **state)
{
    assert_string_equal(policy_reason_name(REASON_bad_signature), "bad_signature");
    assert_int_equal(policy_reason_status(REASON_bad_signature), 401);
    assert_int_equal(policy_reason_status(REASON_verifier_failed), 500);
    assert_int_equal(verify_further(REASON_missing_header, REASON_malformed_header), REASON_malformed_header);
    assert_int_equal(verify_further(REASON_expired, REASON_malformed_header), REASON_expired);
    assert_int_equal(verify_further(REASON_missing_credential, REASON_no_secret), REASON_missing_credential);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_leaf_says_who),
        cmocka_unit_test(any_lets_in_by_either_and_says_the_furthest_reason),
        cmocka_unit_test(all_needs_both_and_knows_the_subject),
        cmocka_unit_test(challenges_of_alternatives_stand_in_a_list),
        cmocka_unit_test(a_function_is_asked_only_when_it_matters),
        cmocka_unit_test(secrets_are_asked_for_only_where_a_signature_is),
        cmocka_unit_test(reasons_have_names_and_statuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
