/*
 * sign.c: one-shot EVP_DigestSign and EVP_DigestVerify by a table of algorithms.
 * Owns: keys. Runs in: any thread, a key in one at a time. Fails: words; OpenSSL's error queue is left empty.
 */
#include "crypto/sign.h"
#include "base/panic.h"
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdlib.h>

#define RSA_BITS_MIN 2048
#define ED25519_LEN 32

enum kind { KIND_RSA, KIND_P256, KIND_P384, KIND_ED25519 };

struct sign_key {
    EVP_PKEY *pkey;
    enum kind kind;
    bool is_private;
};

static const char *const kind_names[] = {"an RSA key", "an EC key on P-256", "an EC key on P-384", "an Ed25519 key"};

static const struct {
    const char *name, *small; /* NULL: there is no such name */
    const char *digest;       /* NULL: the algorithm has its own */
    enum kind kind;
    bool pss;
    size_t half; /* of r || s; 0: the signature as OpenSSL makes it */
} algorithms[SIGN_COUNT] = {
    [SIGN_RS256] = {"RS256", "rsa-sha256", "SHA2-256", KIND_RSA, false, 0},
    [SIGN_RS384] = {"RS384", "rsa-sha384", "SHA2-384", KIND_RSA, false, 0},
    [SIGN_RS512] = {"RS512", "rsa-sha512", "SHA2-512", KIND_RSA, false, 0},
    [SIGN_PS256] = {"PS256", "rsa-pss-sha256", "SHA2-256", KIND_RSA, true, 0},
    [SIGN_PS384] = {"PS384", "rsa-pss-sha384", "SHA2-384", KIND_RSA, true, 0},
    [SIGN_PS512] = {"PS512", "rsa-pss-sha512", "SHA2-512", KIND_RSA, true, 0},
    [SIGN_ES256] = {"ES256", NULL, "SHA2-256", KIND_P256, false, 32},
    [SIGN_ES384] = {"ES384", NULL, "SHA2-384", KIND_P384, false, 48},
    [SIGN_ECDSA_SHA256] = {NULL, "ecdsa-sha256", "SHA2-256", KIND_P256, false, 0},
    [SIGN_ECDSA_SHA384] = {NULL, "ecdsa-sha384", "SHA2-384", KIND_P384, false, 0},
    [SIGN_ED25519] = {"EdDSA", "ed25519", NULL, KIND_ED25519, false, 0},
};

bool sign_named(struct slice name, enum sign_algorithm *algorithm_out)
{
    for (int i = 0; i < SIGN_COUNT; i++) {
        const char *large = algorithms[i].name, *small = algorithms[i].small;
        if ((large != NULL && slice_equal(name, slice_of(large))) ||
            (small != NULL && slice_equal(name, slice_of(small)))) {
            *algorithm_out = (enum sign_algorithm)i;
            return true;
        }
    }
    return false;
}

const char *sign_name(enum sign_algorithm a)
{
    CHECK(a < SIGN_COUNT);
    return algorithms[a].name != NULL ? algorithms[a].name : algorithms[a].small;
}

/* --- keys --------------------------------------------------------------------------------------------------------- */

/* Instead of a question at the terminal: an encrypted key is refused, and the words say why. */
static int no_password(char *buf, int size, int writing, void *asked)
{
    *(bool *)asked = true;
    return -1;
}

static BIO *reader_of(struct slice bytes)
{
    BIO *bio = bytes.len <= INT32_MAX ? BIO_new_mem_buf(bytes.at != NULL ? bytes.at : "", (int)bytes.len) : NULL;
    NEED(bio != NULL);
    return bio;
}

static bool find_kind(EVP_PKEY *pkey, enum kind *kind_out)
{
    char group[32] = "";
    if (EVP_PKEY_is_a(pkey, "RSA"))
        *kind_out = KIND_RSA;
    else if (EVP_PKEY_is_a(pkey, "ED25519"))
        *kind_out = KIND_ED25519;
    else if (EVP_PKEY_get_group_name(pkey, group, sizeof(group), NULL) != 1)
        return false;
    else if (strcmp(group, "prime256v1") == 0)
        *kind_out = KIND_P256;
    else if (strcmp(group, "secp384r1") == 0)
        *kind_out = KIND_P384;
    else
        return false;
    return true;
}

/* Makes a key of what was read, which may be NULL: then `expected` says what it should have been. */
static struct sign_key *key_of(EVP_PKEY *pkey, bool is_private, const char *expected, struct error *err)
{
    enum kind kind = KIND_RSA;
    bool known = pkey != NULL && find_kind(pkey, &kind);
    ERR_clear_error();
    if (pkey == NULL) {
        error_set(err, "not a key: expected %s", expected);
        return NULL;
    }
    if (!known) {
        EVP_PKEY_free(pkey);
        error_set(err, "a key of a kind that is not supported: RSA, EC on P-256 or P-384, and Ed25519 are");
        return NULL;
    }
    if (kind == KIND_RSA && EVP_PKEY_get_bits(pkey) < RSA_BITS_MIN) {
        error_set(err, "an RSA key of %d bits: %d is the least", EVP_PKEY_get_bits(pkey), RSA_BITS_MIN);
        EVP_PKEY_free(pkey);
        return NULL;
    }
    struct sign_key *k = need_zero(1, sizeof(*k));
    *k = (struct sign_key){pkey, kind, is_private};
    return k;
}

struct sign_key *sign_key_private(struct slice key, struct error *err)
{
    const unsigned char *raw = (const unsigned char *)key.at;
    if (key.len == ED25519_LEN)
        return key_of(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, raw, key.len), true, "an Ed25519 seed", err);
    bool asked = false;
    BIO *bio = reader_of(key);
    EVP_PKEY *pkey = PEM_read_bio_PrivateKey(bio, NULL, no_password, &asked);
    BIO_free(bio);
    if (pkey == NULL && asked) {
        ERR_clear_error();
        error_set(err, "the key is encrypted: give it without a password");
        return NULL;
    }
    return key_of(pkey, true, "a private key in PEM, or the 32 bytes of an Ed25519 seed", err);
}

static EVP_PKEY *public_of_certificate(struct slice pem)
{
    BIO *bio = reader_of(pem);
    X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    EVP_PKEY *pkey = cert != NULL ? X509_get_pubkey(cert) : NULL;
    X509_free(cert);
    BIO_free(bio);
    return pkey;
}

static EVP_PKEY *public_of_pem(struct slice pem)
{
    BIO *bio = reader_of(pem);
    EVP_PKEY *pkey = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
    BIO_free(bio);
    return pkey;
}

struct sign_key *sign_key_public(struct slice key, struct error *err)
{
    const unsigned char *raw = (const unsigned char *)key.at;
    if (key.len == ED25519_LEN)
        return key_of(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, raw, key.len), false, "an Ed25519 key", err);
    EVP_PKEY *pkey = public_of_pem(key);
    if (pkey == NULL)
        pkey = public_of_certificate(key);
    if (pkey == NULL && key.len > 0 && key.len <= INT32_MAX)
        pkey = d2i_PUBKEY(NULL, &raw, (long)key.len);
    return key_of(pkey, false, "a public key or certificate in PEM, or the 32 bytes of an Ed25519 key", err);
}

void sign_key_free(struct sign_key **k)
{
    if (*k == NULL)
        return;
    EVP_PKEY_free((*k)->pkey);
    free(*k);
    *k = NULL;
}

enum sign_algorithm sign_key_algorithm(const struct sign_key *k)
{
    static const enum sign_algorithm usual[] = {
        [KIND_RSA] = SIGN_RS256, [KIND_P256] = SIGN_ES256, [KIND_P384] = SIGN_ES384, [KIND_ED25519] = SIGN_ED25519};
    return usual[k->kind];
}

bool sign_key_fits(const struct sign_key *k, enum sign_algorithm a, struct error *err)
{
    CHECK(a < SIGN_COUNT);
    if (k->kind == algorithms[a].kind)
        return true;
    error_set(err, "%s needs %s, this is %s", sign_name(a), kind_names[algorithms[a].kind], kind_names[k->kind]);
    return false;
}

/* --- signatures --------------------------------------------------------------------------------------------------- */

/* r || s to DER; the caller frees *der_out with OPENSSL_free. The length, or 0. */
static size_t der_of_halves(struct slice signature, size_t half, unsigned char **der_out)
{
    const unsigned char *at = (const unsigned char *)signature.at;
    if (signature.len != 2 * half)
        return 0;
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(at, (int)half, NULL), *s = BN_bin2bn(at + half, (int)half, NULL);
    NEED(sig != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(sig, r, s) == 1);
    *der_out = NULL;
    int len = i2d_ECDSA_SIG(sig, der_out);
    ECDSA_SIG_free(sig);
    NEED(len > 0);
    return (size_t)len;
}

static void add_halves(const unsigned char *der, size_t len, size_t half, struct buf *out)
{
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)len);
    char *to = buf_reserve(out, 2 * half);
    NEED(sig != NULL);
    if (to != NULL) {
        NEED(BN_bn2binpad(ECDSA_SIG_get0_r(sig), (unsigned char *)to, (int)half) == (int)half);
        NEED(BN_bn2binpad(ECDSA_SIG_get0_s(sig), (unsigned char *)to + half, (int)half) == (int)half);
        out->len += 2 * half;
    }
    ECDSA_SIG_free(sig);
}

/* Sets the padding of an operation just begun. */
static bool set_padding(EVP_PKEY_CTX *operation, enum sign_algorithm a)
{
    if (!algorithms[a].pss)
        return true;
    return EVP_PKEY_CTX_set_rsa_padding(operation, RSA_PKCS1_PSS_PADDING) > 0 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(operation, RSA_PSS_SALTLEN_DIGEST) > 0;
}

int sign_make(struct sign_key *k, enum sign_algorithm a, struct slice message, struct buf *out, struct error *err)
{
    if (!k->is_private)
        return error_set(err, "signing needs a private key");
    if (!sign_key_fits(k, a, err))
        return -1;
    const unsigned char *bytes = (const unsigned char *)(message.at != NULL ? message.at : "");
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *operation;
    size_t len = (size_t)EVP_PKEY_get_size(k->pkey);
    unsigned char *signature = need_alloc(len);
    NEED(ctx != NULL);
    bool good = EVP_DigestSignInit_ex(ctx, &operation, algorithms[a].digest, NULL, NULL, k->pkey, NULL) == 1 &&
                set_padding(operation, a) && EVP_DigestSign(ctx, signature, &len, bytes, message.len) == 1;
    if (good && algorithms[a].half != 0)
        add_halves(signature, len, algorithms[a].half, out);
    else if (good)
        buf_add(out, signature, len);
    free(signature);
    EVP_MD_CTX_free(ctx);
    ERR_clear_error();
    return good ? 0 : error_set(err, "OpenSSL could not sign with %s", sign_name(a));
}

bool sign_check(struct sign_key *k, enum sign_algorithm a, struct slice message, struct slice signature)
{
    if (!sign_key_fits(k, a, NULL))
        return false;
    const unsigned char *bytes = (const unsigned char *)(message.at != NULL ? message.at : "");
    const unsigned char *given = (const unsigned char *)(signature.at != NULL ? signature.at : "");
    unsigned char *der = NULL;
    size_t len = signature.len;
    if (algorithms[a].half != 0) {
        len = der_of_halves(signature, algorithms[a].half, &der);
        given = der;
    }
    if (len == 0)
        return false;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *operation;
    NEED(ctx != NULL);
    bool good = EVP_DigestVerifyInit_ex(ctx, &operation, algorithms[a].digest, NULL, NULL, k->pkey, NULL) == 1 &&
                set_padding(operation, a) && EVP_DigestVerify(ctx, given, len, bytes, message.len) == 1;
    EVP_MD_CTX_free(ctx);
    OPENSSL_free(der);
    ERR_clear_error();
    return good;
}
