/*
 * test_jwt.c: tokens of RFC 7515's appendix, and every way in which a token may not be believed.
 */
#include "codec/base64.h"
#include "crypto/digest.h"
#include "crypto/jwt.h"
#include "test_keys.h"
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on

/* RFC 7515 A.1 and A.3; its claims expire at 1300819380. */
#define A1_HEADER "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9"
#define CLAIMS "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
#define A1_TOKEN A1_HEADER "." CLAIMS ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
#define A1_SECRET "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"
#define A3_SIGNATURE "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
#define A3_TOKEN "eyJhbGciOiJFUzI1NiJ9." CLAIMS "." A3_SIGNATURE
/* SubjectPublicKeyInfo up to the point (RFC 5480), then A.3's x and y */
#define P256_HEAD "3059301306072a8648ce3d020106082a8648ce3d03010703420004"
#define A3_X "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
#define A3_Y "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"

static const struct jwt_checks in_time = {.now = 1300819379};
static struct json_reader *reader;

static void assert_refused(struct jwt_key *k, struct slice token, const struct jwt_checks *checks, const char *words)
{
    struct error err = {""};
    assert_int_equal(jwt_verify(k, token, checks, reader, &err), -1);
    if (strstr(err.text, words) == NULL)
        fail_msg("%s, not: %s", err.text, words);
}

static struct jwt_key *secret_key(const char *algorithm, const char *secret)
{
    struct error err;
    struct jwt_key *k = jwt_key_secret(slice_of(algorithm), slice_of(secret), &err);
    assert_non_null(k);
    return k;
}

static struct jwt_key *a1_key(void)
{
    struct buf secret = {0};
    struct error err;
    assert_true(base64_decode_url(slice_of(A1_SECRET), &secret));
    struct jwt_key *k = jwt_key_secret(SLICE_NONE, buf_slice(&secret), &err);
    buf_free(&secret);
    return k;
}

static void rfc7515_a1_is_accepted_and_all_like_it_refused(void **state)
{
    struct jwt_key *k = a1_key();
    struct error err;
    struct json_walk walk;
    struct json_token token;
    char text[] = A1_TOKEN;
    assert_int_equal(jwt_verify(k, slice_of(text), &in_time, reader, &err), 0);
    assert_true(json_walk_at(reader, SLICE("/iss"), &walk));
    json_next(&walk, &token);
    assert_true(slice_equal(token.text, SLICE("joe")));
    for (size_t i = 0; i < strlen(text); i++) { /* any other character, anywhere */
        char was = text[i];
        text[i] = was == 'A' ? 'B' : 'A';
        assert_int_equal(jwt_verify(k, slice_of(text), &in_time, reader, &err), -1);
        text[i] = was;
    }
    for (size_t len = 0; len < strlen(text); len++)
        assert_int_equal(jwt_verify(k, (struct slice){text, len}, &in_time, reader, &err), -1);
    assert_refused(k, SLICE(A1_TOKEN "."), &in_time, "three parts");
    assert_refused(k, SLICE(A1_TOKEN "="), &in_time, "signature");
    assert_refused(k, SLICE(A1_TOKEN ""), &(struct jwt_checks){.now = 1300819380}, "expired");
    assert_int_equal(jwt_verify(k, slice_of(text), &(struct jwt_checks){.now = 1300819389, .leeway = 10}, reader, &err),
                     0);
    jwt_key_free(&k);
    jwt_key_free(&k);
}

static void rfc7515_a3_is_accepted(void **state)
{
    struct buf der = {0};
    struct error err;
    assert_true(base64_unhex(SLICE(P256_HEAD), &der));
    assert_true(base64_decode_url(SLICE(A3_X), &der) && base64_decode_url(SLICE(A3_Y), &der));
    struct jwt_key *k = jwt_key_public(SLICE_NONE, buf_slice(&der), &err);
    assert_non_null(k);
    assert_int_equal(jwt_verify(k, SLICE(A3_TOKEN), &in_time, reader, &err), 0);
    assert_refused(k, SLICE(A1_TOKEN), &in_time, "algorithm");
    jwt_key_free(&k);
    buf_free(&der);
}

/* A token by hand: header and claims as text, HMAC-SHA-256 with `secret`, or no signature at all. */
static struct buf token_of(const char *header, const char *claims, const char *secret)
{
    struct buf token = {0};
    unsigned char mac[DIGEST_MAX];
    struct error err;
    base64_encode_url(slice_of(header), &token);
    buf_add_char(&token, '.');
    base64_encode_url(slice_of(claims), &token);
    struct slice part = buf_slice(&token);
    size_t len = 0;
    if (secret != NULL) {
        struct digest_key *key = digest_key_new(DIGEST_SHA256, slice_of(secret), &err);
        len = digest_hmac(key, &part, 1, mac);
        digest_key_free(&key);
    }
    buf_add_char(&token, '.');
    base64_encode_url((struct slice){(char *)mac, len}, &token);
    return token;
}

static void assert_token(struct jwt_key *k, const char *header, const char *claims, const char *secret,
                         const struct jwt_checks *checks, const char *words /* NULL: accepted */)
{
    struct buf token = token_of(header, claims, secret);
    struct error err = {""};
    if (words != NULL)
        assert_refused(k, buf_slice(&token), checks, words);
    else if (jwt_verify(k, buf_slice(&token), checks, reader, &err) != 0)
        fail_msg("%s %s: %s", header, claims, err.text);
    buf_free(&token);
}

#define HS "{\"alg\":\"HS256\"}"

static void the_algorithm_is_the_keys(void **state)
{
    struct error err;
    struct jwt_key *k = secret_key("", "s"), *k512 = secret_key("HS512", "s");
    struct jwt_key *rsa = jwt_key_public(SLICE_NONE, slice_of(rsa_public), &err);
    assert_token(k, HS, "{}", "s", &in_time, NULL);
    assert_token(k, "{\"alg\":\"none\"}", "{}", NULL, &in_time, "algorithm");
    assert_token(k, "{\"alg\":\"None\"}", "{}", "s", &in_time, "algorithm");
    assert_token(k, "{\"alg\":\"hs256\"}", "{}", "s", &in_time, "algorithm");
    assert_token(k, "{\"alg\":null}", "{}", "s", &in_time, "algorithm");
    assert_token(k, "{}", "{}", "s", &in_time, "algorithm");
    assert_token(k, HS, "{}", NULL, &in_time, "signature");
    assert_token(k, HS, "{}", "t", &in_time, "signature");
    assert_token(k, "{\"alg\":\"HS256\",\"crit\":[\"x\"]}", "{}", "s", &in_time, "crit");
    assert_token(k512, HS, "{}", "s", &in_time, "algorithm");
    /* the public key as an HMAC secret: the old confusion */
    assert_token(rsa, HS, "{}", rsa_public, &in_time, "algorithm");
    assert_null(jwt_key_secret(SLICE("RS256"), SLICE("s"), &err));
    assert_null(jwt_key_secret(SLICE("none"), SLICE("s"), &err));
    assert_null(jwt_key_secret(SLICE_NONE, SLICE(""), &err));
    assert_null(jwt_key_public(SLICE("HS256"), slice_of(rsa_public), &err));
    assert_null(jwt_key_public(SLICE("ES256"), slice_of(rsa_public), &err));
    assert_null(jwt_key_public(SLICE("ecdsa-sha384"), slice_of(p384_public), &err));
    jwt_key_free(&k);
    jwt_key_free(&k512);
    jwt_key_free(&rsa);
}

static void claims_are_checked(void **state)
{
    struct jwt_key *k = secret_key("", "s");
    const struct jwt_checks at100 = {.now = 100}, lenient = {.now = 100, .leeway = 5};
    const struct jwt_checks wants = {.now = 100, .issuer = SLICE("me"), .audience = SLICE("you")};
    assert_token(k, HS, "{\"exp\":101}", "s", &at100, NULL);
    assert_token(k, HS, "{\"exp\":100.5}", "s", &at100, NULL);
    assert_token(k, HS, "{\"exp\":100}", "s", &at100, "expired");
    assert_token(k, HS, "{\"exp\":96}", "s", &lenient, NULL);
    assert_token(k, HS, "{\"exp\":95}", "s", &lenient, "expired");
    assert_token(k, HS, "{\"exp\":101,\"exp\":99}", "s", &at100, "expired");
    assert_token(k, HS, "{\"exp\":\"101\"}", "s", &at100, "exp is not a number");
    assert_token(k, HS, "{\"exp\":null}", "s", &at100, "exp is not a number");
    assert_token(k, HS, "{\"nbf\":100}", "s", &at100, NULL);
    assert_token(k, HS, "{\"nbf\":101}", "s", &at100, "not valid yet");
    assert_token(k, HS, "{\"nbf\":105}", "s", &lenient, NULL);
    assert_token(k, HS, "{\"iat\":101}", "s", &at100, "future");
    assert_token(k, HS, "{\"iss\":\"me\",\"aud\":\"you\"}", "s", &wants, NULL);
    assert_token(k, HS, "{\"iss\":\"me\",\"aud\":[\"a\",\"you\"]}", "s", &wants, NULL);
    assert_token(k, HS, "{\"iss\":\"me\",\"aud\":[\"a\",[\"you\"]]}", "s", &wants, "audience");
    assert_token(k, HS, "{\"iss\":\"me\",\"aud\":[]}", "s", &wants, "audience");
    assert_token(k, HS, "{\"iss\":\"me\"}", "s", &wants, "audience");
    assert_token(k, HS, "{\"iss\":\"ME\",\"aud\":\"you\"}", "s", &wants, "issuer");
    assert_token(k, HS, "{\"aud\":\"you\"}", "s", &wants, "issuer");
    assert_token(k, HS, "[]", "s", &at100, "not a JSON object");
    assert_token(k, HS, "{\"a\":}", "s", &at100, "expected a value at byte 6");
    assert_token(k, "[", "{}", "s", &at100, "the header is not JSON");
    jwt_key_free(&k);
}

static void what_is_signed_is_accepted(void **state)
{
    struct error err;
    static const char seed[] = "0123456789abcdef0123456789abcdef";
    struct jwt_key *keys[] = {secret_key("HS384", "s"), jwt_key_private(SLICE("PS512"), slice_of(rsa_private), &err),
                              jwt_key_private(SLICE_NONE, slice_of(p384_private), &err)};
    struct jwt_key *publics[] = {secret_key("HS384", "s"), jwt_key_public(SLICE("PS512"), slice_of(rsa_public), &err),
                                 jwt_key_public(SLICE("ES384"), slice_of(p384_public), &err)};
    for (size_t i = 0; i < 3; i++) {
        struct buf token = {0};
        assert_int_equal(jwt_sign(keys[i], SLICE("{\"sub\":\"x\"}"), SLICE("key \"1\""), &token, &err), 0);
        assert_int_equal(jwt_verify(publics[i], buf_slice(&token), &in_time, reader, &err), 0);
        for (size_t j = 0; j < 3; j++)
            assert_true(i == j || jwt_verify(publics[j], buf_slice(&token), &in_time, reader, &err) == -1);
        buf_free(&token);
    }
    for (size_t i = 0; i < 3; i++) {
        jwt_key_free(&keys[i]);
        jwt_key_free(&publics[i]);
    }
    struct jwt_key *ed = jwt_key_private(SLICE("EdDSA"), slice_of(seed), &err);
    struct buf token = {0};
    assert_int_equal(jwt_sign(ed, SLICE("{}"), SLICE_NONE, &token, &err), 0);
    assert_true(slice_starts(buf_slice(&token), SLICE("eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9.e30.")));
    buf_free(&token);
    jwt_key_free(&ed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc7515_a1_is_accepted_and_all_like_it_refused),
        cmocka_unit_test(rfc7515_a3_is_accepted),
        cmocka_unit_test(the_algorithm_is_the_keys),
        cmocka_unit_test(claims_are_checked),
        cmocka_unit_test(what_is_signed_is_accepted),
    };
    reader = json_reader_new();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    json_reader_free(&reader);
    return failed;
}
