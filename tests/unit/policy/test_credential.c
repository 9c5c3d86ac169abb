/*
 * Promise: who shows a known key, user or token gets in under its name; everybody else is refused with the reason.
 * Expectations: RFC 7617 section 2's example, sha256sum(1).
 */
#include "policy/credential.h"
#include "request.h"
#include <stdio.h>

static struct credential *make(enum credential_kind kind, const char *place)
{
    struct error err;
    struct credential *c = credential_new(kind, slice_of(place), &err);
    assert_non_null(c);
    return c;
}

static void add(struct credential *c, const char *name, const char *secret)
{
    struct error err;
    assert_int_equal(credential_add(c, slice_of(name), slice_of(secret), &err), 0);
}

/* The reason, or the subject's name, or "#index". */
static const char *outcome(const struct credential *c, const struct request *r)
{
    static char text[64];
    int index;
    struct slice subject;
    enum reason why = credential_check(c, &r->http, &index, &subject);
    if (why != REASON_none)
        return policy_reason_name(why);
    snprintf(text, sizeof text, subject.at != NULL ? "%.*s" : "%.*s#%d", SLICE_ARG(subject), index);
    return text;
}

static const char *with_header(const struct credential *c, const char *name, const char *value)
{
    struct request r;
    request_make(&r, "");
    if (value != NULL)
        request_header(&r, name, slice_of(value));
    return outcome(c, &r);
}

static const char *with_query(const struct credential *c, const char *query)
{
    struct request r;
    request_make(&r, "");
    r.http.query = slice_of(query);
    return outcome(c, &r);
}

static void api_keys_in_a_header(void **state)
{
    struct credential *c = make(CREDENTIAL_API_KEY_HEADER, "X-Api-Key");
    assert_string_equal(with_header(c, "x-api-key", "secret"), "no_secret");
    add(c, "alice", "secret");
    /* printf test | sha256sum */
    add(c, "bob", "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08");
    assert_string_equal(with_header(c, "x-api-key", "secret"), "alice");
    assert_string_equal(with_header(c, "x-api-key", "test"), "bob");
    assert_string_equal(with_header(c, "x-api-key", "Secret"), "bad_credential");
    assert_string_equal(with_header(c, "x-api-key", "secretx"), "bad_credential");
    assert_string_equal(with_header(c, "x-api-key", "secre"), "bad_credential");
    assert_string_equal(
        with_header(c, "x-api-key", "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"),
        "bad_credential");
    assert_string_equal(with_header(c, "x-api-key", ""), "missing_credential");
    assert_string_equal(with_header(c, "x-api-key", NULL), "missing_credential");
    assert_null(credential_challenge(c));
    credential_free(&c);
}

static void duplicated_keys_are_refused(void **state)
{
    struct request r;
    struct credential *c = make(CREDENTIAL_API_KEY_HEADER, "x-api-key");
    add(c, NULL, "one");
    request_make(&r, "");
    request_header(&r, "x-api-key", SLICE("one"));
    assert_string_equal(outcome(c, &r), "#1");
    request_header(&r, "x-api-key", SLICE("two"));
    assert_string_equal(outcome(c, &r), "malformed_header");
    credential_free(&c);
}

static void api_keys_in_the_query(void **state)
{
    struct credential *c = make(CREDENTIAL_API_KEY_QUERY, "key");
    add(c, NULL, "one");
    add(c, NULL, "t w+o");
    assert_string_equal(with_query(c, "a=b&key=one"), "#1");
    assert_string_equal(with_query(c, "key=t+w%2Bo"), "#2");
    assert_string_equal(with_query(c, "key=One"), "bad_credential");
    assert_string_equal(with_query(c, "Key=one"), "missing_credential");
    assert_string_equal(with_query(c, "key="), "missing_credential");
    assert_string_equal(with_query(c, "key=one&key=one"), "malformed_header");
    assert_string_equal(with_query(c, "key=%zz"), "malformed_header");
    assert_string_equal(with_query(c, NULL), "missing_credential");
    credential_free(&c);
}

static void basic_as_the_rfc_has_it(void **state)
{
    struct credential *c = make(CREDENTIAL_BASIC, "WallyWorld");
    struct error err;
    add(c, "Aladdin", "open sesame");
    add(c, "colon", "a:b");
    assert_string_equal(credential_challenge(c), "Basic realm=\"WallyWorld\", charset=\"UTF-8\"");
    assert_string_equal(with_header(c, "authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), "Aladdin");
    assert_string_equal(with_header(c, "authorization", "bAsIc   QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), "Aladdin");
    assert_string_equal(with_header(c, "authorization", "Basic Y29sb246YTpi"), "colon"); /* colon:a:b */
    assert_string_equal(with_header(c, "authorization", "Basic Y29sb246b3BlbiBzZXNhbWU="), "bad_credential");
    assert_string_equal(with_header(c, "authorization", "Basic Og=="), "bad_credential");
    assert_string_equal(with_header(c, "authorization", "Basic QWxhZGRpbg=="), "malformed_header");
    assert_string_equal(with_header(c, "authorization", "Basic ****"), "malformed_header");
    assert_string_equal(with_header(c, "authorization", "Basic "), "missing_credential");
    assert_string_equal(with_header(c, "authorization", "Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), "missing_credential");
    assert_int_equal(credential_add(c, SLICE("a:b"), SLICE("x"), &err), -1);
    credential_free(&c);
    assert_null(credential_new(CREDENTIAL_BASIC, SLICE("a\"b"), &err));
    assert_null(credential_new(CREDENTIAL_BASIC, SLICE("a\r\nb"), &err));
}

static void bearer_tokens(void **state)
{
    struct credential *c = make(CREDENTIAL_BEARER, NULL);
    add(c, "ci", "token-1");
    assert_string_equal(credential_challenge(c), "Bearer");
    assert_string_equal(with_header(c, "authorization", "Bearer token-1"), "ci");
    assert_string_equal(with_header(c, "authorization", "bearer token-1"), "ci");
    assert_string_equal(with_header(c, "authorization", "Bearer token-2"), "bad_credential");
    assert_string_equal(with_header(c, "authorization", "Bearertoken-1"), "missing_credential");
    assert_string_equal(with_header(c, "authorization", "token-1"), "missing_credential");
    credential_free(&c);
}

static void faulty_secrets_are_named_without_being_shown(void **state)
{
    struct credential *c = make(CREDENTIAL_BEARER, NULL);
    struct error err;
    assert_int_equal(credential_add(c, SLICE_NONE, SLICE(""), &err), -1);
    assert_string_equal(err.text, "is empty");
    assert_int_equal(credential_add(c, SLICE_NONE, SLICE("sha256:abcd"), &err), -1);
    assert_string_equal(err.text, "is not 'sha256:' and 64 hex digits");
    credential_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(api_keys_in_a_header),  cmocka_unit_test(duplicated_keys_are_refused),
        cmocka_unit_test(api_keys_in_the_query), cmocka_unit_test(basic_as_the_rfc_has_it),
        cmocka_unit_test(bearer_tokens),         cmocka_unit_test(faulty_secrets_are_named_without_being_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
