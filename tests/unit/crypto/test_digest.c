/*
 * test_digest.c: digests and HMAC by published vectors (RFC 2202, 4231; FIPS 180-4 examples), a key's reuse, and the
 * small helpers beside them.
 */
#include "codec/base64.h"
#include "crypto/digest.h"
#include "crypto/equal.h"
#include "crypto/random.h"
#include "crypto/secret.h"
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on

static void assert_hex(const unsigned char *bytes, size_t len, const char *expected)
{
    char text[2 * DIGEST_MAX + 1] = "";
    base64_hex((struct slice){(const char *)bytes, len}, text);
    assert_string_equal(text, expected);
}

static void digests_of_abc(void **state)
{
    static const char *const expected[DIGEST_COUNT] = {
        [DIGEST_MD5] = "900150983cd24fb0d6963f7d28e17f72",
        [DIGEST_SHA1] = "a9993e364706816aba3e25717850c26c9cd0d89d",
        [DIGEST_SHA256] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        [DIGEST_SHA384] = "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"
                          "8086072ba1e7cc2358baeca134c825a7",
        [DIGEST_SHA512] = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                          "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"};
    const struct slice parts[] = {SLICE("a"), SLICE_NONE, SLICE("bc")};
    unsigned char out[DIGEST_MAX];
    for (int a = 0; a < DIGEST_COUNT; a++) {
        assert_true(digest_available(a));
        digest_of(a, parts, 3, out);
        assert_hex(out, digest_size(a), expected[a]);
    }
}

struct vector {
    struct slice key, message;
    const char *mac[DIGEST_COUNT];
};

static const char key1[20] = {[0 ... 19] = 0x0b}, key6[131] = {[0 ... 130] = (char)0xaa};

/* RFC 4231 4.2, 4.3, 4.7 (a key longer than SHA-256's block), and RFC 2202's digests of the same. */
static const struct vector vectors[] = {
    {{key1, 20},
     {"Hi There", 8},
     {"5ccec34ea9656392457fa1ac27f08fbc", "b617318655057264e28bc0b6fb378c8ef146be00",
      "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
      "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59cfaea9ea9076ede7f4af152e8b2fa9cb6",
      "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cdedaa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f170"
      "2e696c203a126854"}},
    {{"Jefe", 4},
     {"what do ya want for nothing?", 28},
     {"750c783e6ab0b503eaa86e310a5db738", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
      "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
      "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649",
      "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b"
      "636e070a38bce737"}},
    {{key6, 131},
     {"Test Using Larger Than Block-Size Key - Hash Key First", 54},
     {"bfecaf4efff90a3a668f3922fec3762d", "90d0dace1c1bdc957339307803160335bde6df2b",
      "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
      "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c60c2ef6ab4030fe8296248df163f44952",
      "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f3526b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec"
      "8b915a985d786598"}}};

static void hmac_follows_the_vectors(void **state)
{
    unsigned char out[DIGEST_MAX];
    struct error err;
    for (size_t i = 0; i < 3; i++) {
        for (int a = 0; a < DIGEST_COUNT; a++) {
            const struct vector *v = &vectors[i];
            struct digest_key *key = digest_key_new(a, v->key, &err);
            assert_non_null(key);
            for (size_t cut = 0; cut <= v->message.len; cut += 4) { /* one key, many messages, in any parts */
                const struct slice parts[] = {{v->message.at, cut}, slice_from(v->message, cut)};
                assert_int_equal(digest_hmac(key, parts, 2, out), digest_size(a));
                assert_hex(out, digest_size(a), v->mac[a]);
            }
            digest_key_free(&key);
            assert_null(key);
            digest_key_free(&key);
        }
    }
}

static void algorithms_have_their_names(void **state)
{
    enum digest_algorithm a;
    for (int i = 0; i < DIGEST_COUNT; i++)
        assert_true(digest_named(slice_of(digest_name(i)), &a) && (int)a == i);
    assert_false(digest_named(SLICE("SHA256"), &a));
    assert_false(digest_named(SLICE("sha25"), &a));
    assert_false(digest_named(SLICE(""), &a));
}

static void equal_means_every_byte_and_the_length(void **state)
{
    assert_true(equal_secret(SLICE("ab\0c"), SLICE("ab\0c")));
    assert_true(equal_secret(SLICE_NONE, SLICE("")));
    assert_false(equal_secret(SLICE("ab\0c"), SLICE("ab\0d")));
    assert_false(equal_secret(SLICE("abc"), SLICE("ab")));
}

static void secrets_are_copies(void **state)
{
    char bytes[5000];
    memset(bytes, 'k', sizeof(bytes));
    struct secret s = secret_copy((struct slice){bytes, sizeof(bytes)}), none = secret_copy(SLICE_NONE);
    secret_wipe(bytes, sizeof(bytes));
    assert_int_equal(bytes[0] | bytes[4999], 0);
    assert_true(s.len == 5000 && s.at[0] == 'k' && s.at[4999] == 'k');
    assert_int_equal(none.len, 0);
    secret_free(&s);
    secret_free(&s);
    secret_free(&none);
    assert_null(s.at);
}

static void random_bytes_differ(void **state)
{
    unsigned char a[32] = {0}, b[32] = {0};
    random_fill(a, sizeof(a));
    random_fill(b, sizeof(b));
    assert_memory_not_equal(a, b, sizeof(a));
    random_fill(a, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests_of_abc),
        cmocka_unit_test(hmac_follows_the_vectors),
        cmocka_unit_test(algorithms_have_their_names),
        cmocka_unit_test(equal_means_every_byte_and_the_length),
        cmocka_unit_test(secrets_are_copies),
        cmocka_unit_test(random_bytes_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
