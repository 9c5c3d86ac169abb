/*
 * test_sign.c: signatures by RFC 8032's vectors, and those that the openssl command made; keys that will not do.
 */
#include "codec/base64.h"
#include "crypto/sign.h"
#include "test_keys.h"
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on

static const char encrypted_private[] = "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
                                        "MIIBHDBXBgkqhkiG9w0BBQ0wSjApBgkqhkiG9w0BBQwwHAQI+IQca2cXAYMCAggA\n"
                                        "MAwGCCqGSIb3DQIJBQAwHQYJYIZIAWUDBAEqBBDb+PtmkABttrCSPjYUS+3LBIHA\n"
                                        "z4Q/XmiHxEojCZq5FIGkqhdQQWyoIcbzmqz7PM3q0ACr57eCLL+0Kvv+RxD7pUH+\n"
                                        "oYRvc+P91Iyhl2APIHGncFvc5JWWfNNt32MOxZQCImlEth5JTjFjJ17PXrsARWuw\n"
                                        "rQhzFiBt/m9uSkSQxRZa/NhehAo7wSBmNB6q9/dtxrPwy2GiPNMjli8GOkQ2GSo+\n"
                                        "eijtfkVO71vjJfkOnUBsOEtDjuQrO4pSWv3bD0TB6J82havpih96WDGh52LXNJ6+\n"
                                        "-----END ENCRYPTED PRIVATE KEY-----\n";
static const char rsa_1024_public[] = "-----BEGIN PUBLIC KEY-----\n"
                                      "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDNYmpH//9r5Lv7V2H1TehVRmPL\n"
                                      "QF6nbgTjTrJ7JLgkeb3Os1ondRziNyaw4u0KVWcYrj5pnwbkgcfEQfFzL4xP/rZ7\n"
                                      "fUfmlElgkYHqXLuYE3/j3D3AQ1y9/cNTptZ2nBX32dgL3ZU47YkUO1vsSnNP/lR9\n"
                                      "vDhJBdP6X83r+nOa9QIDAQAB\n"
                                      "-----END PUBLIC KEY-----\n";
static const char p521_public[] = "-----BEGIN PUBLIC KEY-----\n"
                                  "MIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQAf2j9aRrmeM8RsbsjdmLNWWYMFDrX\n"
                                  "NviJUFui1c6Nw0dBtiBz9Pru+r/f1oENQzsMcFs2zHAcOn1IsE7zOBOEhL0AKo0D\n"
                                  "n62qy3aAD/NQvuRZKY9OupTLBg2cKc10P+xF7rpj9eKKdIXsOVYLwai0tkFH0bkF\n"
                                  "zRYUJlMZkOi9YJlF6zk=\n"
                                  "-----END PUBLIC KEY-----\n";
/* openssl dgst -sha256 -sign; -sha384 with PSS, salt as the digest; -sha384 on P-384, as DER and as r || s */
static const char rs256_signature[] =
    "ioQN+JgxjZSwGmWsUXS7WSMKsHDZTND1jqtDGZDwsZYFNSAb+NgfVPZTjkmGFn9B3xKCjEB+GyRQkQZ1MqkMGDPkxV8ZXLgDU1JY"
    "0A9WIcQk0jxvBsYUVWd0zpQoAZKv1kKfbLxc+u6WyBeuVM5nRO/41df4wu8jcwHbFfpWnIWf7BkiH927mcJvhO7WIl+FPlQTmWjM"
    "a7kwFDhXIBO9TnPikpI4/s40ZY/HpbmKCp+10598yYGedodIUfsMfCO9/QXlLZO79cbmFwWhoXUlIaLstNmC4I7kn5LCy2W1bOQw"
    "jSGH/Z9k9XiYLswkpEdVnVrbuWQKvL0/qluCSWhETw==";
static const char ps384_signature[] =
    "8hU8rTae6zOa40DwT+GdeOIfxhaoogS6lnccMOZX6mmBgDOdpcDcqiSqYs20sxIpZ1PMHIigU7PemRFnKtPmKC390dPNIkDH4l6m"
    "aOdsQu0T8MToWFDW1bvDVpu1ADC0hv4dYF8vsMH8vnI6NyLsRXTV/p9/9TO4JvYE/a4e/xaK7+21Tl5RS38jSNI/Ijo1sAlAFM2T"
    "lGn9f6Hwz4wp54mt6mbDUwt70eX4GJ9BYLcyAOwloeJCfL3D1sQoFIZMrL9lF7YTn0+CeCEkezfCLE2Oq1ekv4Z2hkzS3OQTuwUL"
    "+MWOoYYOUJvBgF5FrE7vR4qEbPQ1snu6+rt6HDTbYA==";
static const char ecdsa_sha384_signature[] =
    "MGUCMFUwueurhS4QMUAGhYYiP5n+NhjNQUTKs7ZMadE1Oidx5A7D/UidiZo6TciQDCH0SQIxAKOUuWSzGaHthjeyflDc5msI/HM9"
    "DrPKh6n8F6/FlSfX5Q0XkRRzXRfkw7NQcQ5UuQ==";
static const char es384_signature[] =
    "VTC566uFLhAxQAaFhiI/mf42GM1BRMqztkxp0TU6J3HkDsP9SJ2JmjpNyJAMIfRJo5S5ZLMZoe2GN7J+UNzmawj8cz0Os8qHqfwX"
    "r8WVJ9flDReRFHNdF+TDs1BxDlS5";

static struct buf decoded(const char *text, bool (*decode)(struct slice text, struct buf *out))
{
    struct buf bytes = {0};
    assert_true(decode(slice_of(text), &bytes));
    return bytes;
}

/* RFC 8032 7.1, tests 1 and 2. */
static void ed25519_follows_rfc8032(void **state)
{
    static const struct {
        const char *seed, *key, *message, *signature;
    } vectors[] = {{"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
                    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
                    "d25bf5f0595bbe24655141438e7a100b"},
                   {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                    "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
                    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
                    "387b2eaeb4302aeeb00d291612bb0c00"}};
    struct error err;
    for (size_t i = 0; i < 2; i++) {
        struct buf seed = decoded(vectors[i].seed, base64_unhex), key = decoded(vectors[i].key, base64_unhex);
        struct buf message = decoded(vectors[i].message, base64_unhex), out = {0};
        struct buf expected = decoded(vectors[i].signature, base64_unhex);
        struct sign_key *private = sign_key_private(buf_slice(&seed), &err),
                        *public = sign_key_public(buf_slice(&key), &err);
        assert_int_equal(sign_make(private, SIGN_ED25519, buf_slice(&message), &out, &err), 0);
        assert_true(slice_equal(buf_slice(&out), buf_slice(&expected)));
        assert_true(sign_check(public, SIGN_ED25519, buf_slice(&message), buf_slice(&out)));
        out.at[10] ^= 1;
        assert_false(sign_check(public, SIGN_ED25519, buf_slice(&message), buf_slice(&out)));
        sign_key_free(&private);
        sign_key_free(&public);
        buf_free(&seed);
        buf_free(&key);
        buf_free(&message);
        buf_free(&out);
        buf_free(&expected);
    }
}

static void assert_accepts(const char *pem, enum sign_algorithm a, const char *base64)
{
    struct error err;
    struct sign_key *key = sign_key_public(slice_of(pem), &err);
    assert_non_null(key);
    struct buf signature = decoded(base64, base64_decode);
    assert_true(sign_check(key, a, SLICE("the message"), buf_slice(&signature)));
    assert_false(sign_check(key, a, SLICE("the messagf"), buf_slice(&signature)));
    for (int other = 0; other < SIGN_COUNT; other++)
        assert_true(other == (int)a || !sign_check(key, other, SLICE("the message"), buf_slice(&signature)));
    for (size_t len = 0; len < signature.len; len += 7) /* cut short */
        assert_false(sign_check(key, a, SLICE("the message"), (struct slice){signature.at, len}));
    for (size_t at = 0; at < signature.len; at += 5) {
        signature.at[at] ^= 0x40;
        assert_false(sign_check(key, a, SLICE("the message"), buf_slice(&signature)));
        signature.at[at] ^= 0x40;
    }
    memset(signature.at, 0, signature.len); /* r = s = 0 */
    assert_false(sign_check(key, a, SLICE("the message"), buf_slice(&signature)));
    buf_free(&signature);
    sign_key_free(&key);
}

static void signatures_of_others_are_accepted_as_they_are(void **state)
{
    assert_accepts(rsa_public, SIGN_RS256, rs256_signature);
    assert_accepts(rsa_public, SIGN_PS384, ps384_signature);
    assert_accepts(p384_public, SIGN_ECDSA_SHA384, ecdsa_sha384_signature);
    assert_accepts(p384_public, SIGN_ES384, es384_signature);
}

/* PKCS #1 v1.5 has no salt: ours is the very signature that openssl made. */
static void rsa_signs_as_openssl_does(void **state)
{
    struct error err;
    struct buf out = {0}, expected = decoded(rs256_signature, base64_decode);
    struct sign_key *key = sign_key_private(slice_of(rsa_private), &err);
    assert_int_equal(sign_make(key, SIGN_RS256, SLICE("the message"), &out, &err), 0);
    assert_true(slice_equal(buf_slice(&out), buf_slice(&expected)));
    sign_key_free(&key);
    buf_free(&out);
    buf_free(&expected);
}

static void what_is_signed_is_accepted(void **state)
{
    static const struct {
        enum sign_algorithm a;
        const char *private, *public;
        size_t len; /* of the signature; 0: varies */
    } pairs[] = {{SIGN_RS512, rsa_private, rsa_public, 256},
                 {SIGN_PS256, rsa_private, rsa_public, 256},
                 {SIGN_PS512, rsa_private, rsa_public, 256},
                 {SIGN_ES384, p384_private, p384_public, 96},
                 {SIGN_ECDSA_SHA384, p384_private, p384_public, 0}};
    struct error err;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        struct sign_key *private = sign_key_private(slice_of(pairs[i].private), &err);
        struct sign_key *public = sign_key_public(slice_of(pairs[i].public), &err);
        for (int round = 0; round < 20; round++) { /* r or s may have a leading zero */
            struct buf out = {0};
            assert_int_equal(sign_make(private, pairs[i].a, SLICE("x"), &out, &err), 0);
            assert_true(pairs[i].len == 0 || out.len == pairs[i].len);
            assert_true(sign_check(public, pairs[i].a, SLICE("x"), buf_slice(&out)));
            buf_free(&out);
        }
        sign_key_free(&private);
        sign_key_free(&public);
    }
}

static void keys_that_will_not_do_are_named(void **state)
{
    struct error err;
    struct buf out = {0};
    assert_null(sign_key_private(slice_of(encrypted_private), &err));
    assert_non_null(strstr(err.text, "encrypted"));
    assert_null(sign_key_private(SLICE("-----BEGIN nothing"), &err));
    assert_null(sign_key_private(SLICE(""), &err));
    assert_null(sign_key_private(slice_of(rsa_public), &err));
    assert_null(sign_key_public(SLICE(""), &err));
    assert_null(sign_key_public(slice_of(rsa_private), &err));
    assert_null(sign_key_public(slice_of(rsa_1024_public), &err));
    assert_non_null(strstr(err.text, "1024 bits"));
    assert_null(sign_key_public(slice_of(p521_public), &err));
    assert_non_null(strstr(err.text, "not supported"));
    struct sign_key *key = sign_key_public(slice_of(rsa_public), &err);
    assert_int_equal(sign_make(key, SIGN_RS256, SLICE("x"), &out, &err), -1);
    assert_false(sign_key_fits(key, SIGN_ES256, &err));
    assert_string_equal(err.text, "ES256 needs an EC key on P-256, this is an RSA key");
    sign_key_free(&key);
    assert_int_equal(out.len, 0);
}

static void names_are_the_standards(void **state)
{
    enum sign_algorithm a;
    for (int i = 0; i < SIGN_COUNT; i++)
        assert_true(sign_named(slice_of(sign_name(i)), &a) && (int)a == i);
    assert_true(sign_named(SLICE("ed25519"), &a) && a == SIGN_ED25519);
    assert_false(sign_named(SLICE("none"), &a));
    assert_false(sign_named(SLICE("rs256"), &a));
    assert_false(sign_named(SLICE(""), &a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ed25519_follows_rfc8032),
        cmocka_unit_test(signatures_of_others_are_accepted_as_they_are),
        cmocka_unit_test(rsa_signs_as_openssl_does),
        cmocka_unit_test(what_is_signed_is_accepted),
        cmocka_unit_test(keys_that_will_not_do_are_named),
        cmocka_unit_test(names_are_the_standards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
