/*
 * test_siphash.c: the reference vectors of SipHash-2-4, and OpenSSL's own over every length and random keys.
 */
#include "crypto/siphash.h"

#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void the_reference_vectors_hold(void **unused)
{
    static const struct siphash_key key = {{UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)}};
    static const char bytes[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14};

    assert_true(siphash_of(key, (struct slice){bytes, 15}) == UINT64_C(0xa129ca6149be45e5)); /* the paper's own */
    assert_true(siphash_of(key, SLICE_NONE) == UINT64_C(0x726fdb47dd0e0e31));
    assert_true(siphash_of(key, (struct slice){bytes, 1}) == UINT64_C(0x74f839c593dc67fd));
    assert_true(siphash_of(key, (struct slice){bytes, 8}) == UINT64_C(0x93f5f5799a932462));
}

static uint64_t by_openssl(const struct siphash_key *key, const void *bytes, size_t len)
{
    unsigned size = 8;
    size_t got = 0;
    unsigned char out[8];
    uint64_t number = 0;
    OSSL_PARAM params[] = {OSSL_PARAM_construct_uint("size", &size), OSSL_PARAM_construct_end()};
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
    EVP_MAC_CTX *c = EVP_MAC_CTX_new(mac);

    assert_int_equal(EVP_MAC_init(c, (const unsigned char *)key->half, 16, params), 1);
    assert_int_equal(EVP_MAC_update(c, bytes, len), 1);
    assert_int_equal(EVP_MAC_final(c, out, &got, sizeof(out)), 1);
    assert_int_equal(got, 8);
    for (int i = 7; i >= 0; i--)
        number = number << 8 | out[i];
    EVP_MAC_CTX_free(c);
    EVP_MAC_free(mac);
    return number;
}

static void it_is_what_openssl_makes(void **unused)
{
    char bytes[300];
    struct siphash_key key;

    for (size_t len = 0; len < sizeof(bytes); len++) {
        assert_int_equal(RAND_bytes((unsigned char *)&key, sizeof(key)), 1);
        assert_int_equal(RAND_bytes((unsigned char *)bytes, sizeof(bytes)), 1);
        assert_true(siphash_of(key, (struct slice){bytes, len}) == by_openssl(&key, bytes, len));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reference_vectors_hold),
        cmocka_unit_test(it_is_what_openssl_makes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
